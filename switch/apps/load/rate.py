"""Pictures of rates: offered and achieved over time, and p99 by rate."""

import math
from collections.abc import Sequence
from typing import Final

from switch.apps.load.model import Moment, Run, Step
from switch.apps.load.picture import (
    ABOVE,
    COLUMNS_MAX,
    FRAME_TOP,
    LEFT,
    RIGHT,
    TABLE_ROWS_MAX,
    Picture,
    key,
    limit_line,
    limits,
    span,
    steps_marked,
    tick,
    us,
)
from switch.apps.load.svg import Drawing, Scale, linear, linear_ticks, log_ticks, logarithmic
from switch.apps.load.threshold import duration_text

__all__ = ["ladder", "rates"]

NEAR: Final = 0.02
"""Seconds by which a step may miss the edges of its slices."""


def rates(run: Run) -> Picture:
    """Offered, achieved and errors over time."""
    columns = grouped(run.timeline, run.slice_ms)
    seconds = max((one.at_s for one, _ in columns), default=0.0) + columns[-1][1]
    upper, lower = (LEFT, FRAME_TOP, RIGHT, 220), (LEFT, 262, RIGHT, 330)
    top = max(
        (max(one.offered, one.answered + one.declined) / width for one, width in columns), default=1
    )
    failed = max(((one.errors + one.not_sent) / width for one, width in columns), default=0)
    across = linear(0, seconds, LEFT, RIGHT)
    up = linear(0, top * 1.05 or 1, 220, FRAME_TOP)
    down = linear(0, failed * 1.1 or 1, 330, 262)
    offered = sum(one.offered for one in run.timeline)
    errors = sum(one.errors + one.not_sent for one in run.timeline)
    title = "Offered, achieved, errors"
    drawing = Drawing(
        title,
        f"{offered:,} requests offered over {seconds:.0f} s, {errors:,} of them in error or not "
        "sent.",
        380,
        "rates",
    )
    ticks = [(one, f"{one:g}") for one in linear_ticks(seconds, 8)]
    drawing.across(ticks, across, lower, "seconds")
    drawing.up(
        [(one, f"{one:,.0f}") for one in linear_ticks(top)], up, upper, "requests a second", ABOVE
    )
    drawing.line([(LEFT, 220), (RIGHT, 220)], "axis")
    marks = linear_ticks(failed, 2) if failed else [0.0]
    drawing.up([(one, f"{one:,.4g}") for one in marks], down, lower, "errors a second")
    steps_marked(drawing, run.steps, across, FRAME_TOP, 220)
    curves(drawing, broken(whole(columns, run)), across, up)
    bars(drawing, columns, across, down)
    key(drawing, [("first", "achieved"), ("second", "offered")])
    says = (
        "Achieved falls below offered while answers are missing, and rises above it when they "
        "come in a heap."
    )
    head = ("from, s", "offered/s", "achieved/s", "declined/s", "errors", "not sent")
    return Picture("rates", title, says, drawing.render(), head, moment_rows(run))


def curves(
    drawing: Drawing,
    pieces: Sequence[Sequence[tuple[Moment, float]]],
    across: Scale,
    up: Scale,
) -> None:
    """Offered over achieved, each piece by itself."""
    for columns in pieces:
        middles = [across(one.at_s + width / 2) for one, width in columns]
        achieved = [up((one.answered + one.declined) / width) for one, width in columns]
        offered = [up(one.offered / width) for one, width in columns]
        drawing.line(zip(middles, achieved, strict=True), "first")
        drawing.line(zip(middles, offered, strict=True), "second")


def bars(
    drawing: Drawing, columns: Sequence[tuple[Moment, float]], across: Scale, down: Scale
) -> None:
    """Errors and what was not sent."""
    bottom = down(0)
    for one, width in columns:
        if one.errors + one.not_sent:
            left, right = across(one.at_s), across(one.at_s + width)
            y = down((one.errors + one.not_sent) / width)
            drawing.rect(left, y, right - left, bottom - y, "bad")


def moment_rows(run: Run) -> list[tuple[str, ...]]:
    return [
        (
            f"{one.at_s:.1f}",
            f"{one.offered / width:,.0f}",
            f"{(one.answered + one.declined) / width:,.0f}",
            f"{one.declined / width:,.0f}",
            f"{one.errors:,}",
            f"{one.not_sent:,}",
        )
        for one, width in grouped(run.timeline, run.slice_ms, TABLE_ROWS_MAX)
    ]


def grouped(
    timeline: Sequence[Moment], slice_ms: int, most: int = COLUMNS_MAX
) -> list[tuple[Moment, float]]:
    """At most so many columns, each with its width in seconds."""
    per_column = max(1, math.ceil(len(timeline) / most))
    width = per_column * slice_ms / 1e3
    sums: dict[int, list[int]] = {}
    for one in timeline:
        number = math.floor(one.at_s / width + 1e-6)
        five = sums.setdefault(number, [0] * 5)
        for place, count in enumerate(
            (one.offered, one.answered, one.declined, one.errors, one.not_sent)
        ):
            five[place] += count
    return [(Moment(number * width, *five), width) for number, five in sorted(sums.items())]


def whole(columns: Sequence[tuple[Moment, float]], run: Run) -> list[tuple[Moment, float]]:
    """Without those that were not offered from their beginning to their end."""
    spans = [(step.at_s, step.at_s + step.seconds) for step in run.steps] or [(0.0, run.shown[1])]
    return [
        (one, width)
        for one, width in columns
        if any(low <= one.at_s + NEAR and one.at_s + width <= high + NEAR for low, high in spans)
    ]


def broken(columns: Sequence[tuple[Moment, float]]) -> list[list[tuple[Moment, float]]]:
    """Runs of columns without a gap."""
    pieces: list[list[tuple[Moment, float]]] = []
    for one in columns:
        last = pieces[-1][-1] if pieces else None
        if last is None or one[0].at_s - last[0].at_s > 1.5 * one[1]:
            pieces.append([])
        pieces[-1].append(one)
    return pieces


def ladder(run: Run) -> Picture:
    """p99 by rate, each try of a step a point."""
    steps = [step for step in run.steps if step.p99_us]
    bound = limits(run, run.kinds[0].name) if run.kinds else []
    frame = (LEFT, FRAME_TOP, RIGHT, 330)
    highest = max(step.rate for step in steps)
    values = [(step.p99_us or 0) * 1e3 for step in steps] + [one.limit for one in bound]
    low, high = span(values)
    across = linear(0, highest * 1.06, LEFT, RIGHT)
    up = logarithmic(low, high, 330, FRAME_TOP)
    title = "p99 by offered rate"
    held = "no rate held" if run.sustained is None else f"{run.sustained:,.0f}/s held"
    drawing = Drawing(title, f"{len(steps)} steps up to {highest:,.0f}/s; {held}.", 380, "ladder")
    ticks = [(one, f"{one:,.0f}") for one in linear_ticks(highest * 1.06, 8)]
    drawing.across(ticks, across, frame, "offered, requests a second")
    drawing.up([(one, tick(one)) for one in log_ticks(low, high)], up, frame, "p99 from due")
    for one in bound:
        if one.figure == "99":
            limit_line(drawing, up(one.limit), f"limit {duration_text(one.limit)}")
    valid = sorted((step for step in steps if step.passed), key=lambda step: step.rate)
    drawing.line([(across(one.rate), up((one.p99_us or 1) * 1e3)) for one in valid], "first")
    if run.sustained is not None:
        x = across(run.sustained)
        drawing.line([(x, FRAME_TOP), (x, 330)], "mark")
        right = x < (LEFT + RIGHT) / 2
        drawing.text(
            (x + (6 if right else -6), 324),
            f"holds {run.sustained:,.0f}/s",
            "start" if right else "end",
            "goodtext",
        )
    points(drawing, steps, across, up)
    says = "The rate that holds is the last one below the limit; one failure is tried once more."
    head = (
        "offered/s", "", "achieved/s", "p50", "p99", "p99.9", "longest", "errors",
        "send lag p99.9", "switch CPU", "ledgers",
    )  # fmt: skip
    return Picture("ladder", title, says, drawing.render(), head, step_rows(run))


def points(drawing: Drawing, steps: Sequence[Step], across: Scale, up: Scale) -> None:
    """Each try with a shape of its own, and which shape is which."""
    for step in steps:
        at = (across(step.rate), up((step.p99_us or 1) * 1e3))
        if not step.valid:
            drawing.circle(at, 4.5, "open")
        elif step.passed:
            drawing.circle(at, 5, "goodpoint")
        else:
            drawing.cross(at, 5, "badline")
    x = float(LEFT + 90)
    for said_text, kind in (("● held", "goodtext"), ("✕ failed", "badtext"), ("○ invalid", "")):
        drawing.text((x, 16), said_text, "start", kind)
        x += 90


def step_rows(run: Run) -> list[tuple[str, ...]]:
    return [
        (
            f"{step.rate:,.0f}",
            "held" if step.passed else ("failed" if step.valid else "invalid"),
            f"{step.achieved:,.0f}",
            *(us(value) for value in (step.p50_us, step.p99_us, step.p999_us, step.max_us)),
            f"{step.errors:,}",
            us(step.send_lag_p999_us),
            "" if step.cpu_us_per_request is None else f"{step.cpu_us_per_request:.0f} µs",
            step.conservation,
        )
        for step in run.steps
    ]
