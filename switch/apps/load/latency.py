"""Pictures of latency: by percentile, and over time."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from switch.apps.load.figures import DUE, SENT
from switch.apps.load.model import Run
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
    said,
    span,
    steps_marked,
    tick,
)
from switch.apps.load.svg import Drawing, linear, linear_ticks, log_ticks, logarithmic
from switch.apps.load.threshold import duration_text
from switch.native import load

__all__ = ["heat", "percentiles"]

CURVE_POINTS: Final = 160
ROWS_PER_DECADE: Final = 8
PERCENTS: Final = (0, 50, 75, 90, 95, 99, 99.9, 99.99, 99.999)


def percentiles(run: Run, kind: str, series: Mapping[str, "load.Series"]) -> Picture:
    """Latency by percentile, from due and from sent."""
    first = round(run.shown[0] * 1e3 / run.slice_ms)
    last = math.ceil(run.shown[1] * 1e3 / run.slice_ms) + 1
    due = series[kind + DUE].total(first, last)
    sent = series[kind + SENT].total(first, last)
    bound = limits(run, kind)
    frame = (LEFT, FRAME_TOP, RIGHT, 330)
    nines = max(1.0, math.log10(max(10, len(due))))
    values = [due.quantile(0.01), sent.quantile(0.01), due.maximum, *(one.limit for one in bound)]
    low, high = span(values)
    across, up = linear(0, nines, LEFT, RIGHT), logarithmic(low, high, 330, FRAME_TOP)
    title = f"Latency of {kind} by percentile"
    drawing = Drawing(
        title,
        f"Two curves over {len(due):,} requests. From due: p50 {said(due, 0.5)}, p99 "
        f"{said(due, 0.99)}, longest {duration_text(due.maximum)}. From sent: p99 "
        f"{said(sent, 0.99)}.",
        380,
        f"percentiles-{kind}",
    )
    ticks = [
        (math.log10(1 / (1 - p / 100)) if p else 0.0, f"{p:g} %")
        for p in PERCENTS
        if math.log10(100 / (100 - p)) <= nines + 1e-9
    ]
    drawing.across(ticks, across, frame, "share of requests that were at least as fast")
    drawing.up([(one, tick(one)) for one in log_ticks(low, high)], up, frame, "latency")
    for one in bound:
        limit_line(drawing, up(one.limit), f"limit p{one.figure} {duration_text(one.limit)}")
        if one.figure.replace(".", "").isdigit():
            x = across(math.log10(100 / (100 - float(one.figure))))
            drawing.line([(x, up(one.limit) - 7), (x, up(one.limit) + 7)], "badline")
    for histogram, kind_of_line in ((sent, "second"), (due, "first")):
        points = []
        for number in range(CURVE_POINTS + 1):
            x = nines * number / CURVE_POINTS
            q = min(1.0, 1 - 10**-x)
            points.append((across(x), up(max(histogram.quantile(q), 1))))
        drawing.line(points, kind_of_line)
    key(drawing, [("first", "from due"), ("second", "from sent")])
    rows = [
        (f"{p:g} %", said(due, p / 100), said(sent, p / 100))
        for p in PERCENTS[1:]
        if len(due) * (1 - p / 100) >= 1
    ]
    rows.append(("longest", duration_text(due.maximum), duration_text(sent.maximum)))
    says = (
        "From due counts the time a request waited before it could be sent; where the two part, "
        "something stood still."
    )
    head = ("percentile", "from due", "from sent")
    return Picture(f"percentiles-{kind}", title, says, drawing.render(), head, rows)


def heat(run: Run, kind: str, due: "load.Series") -> Picture:
    """Where in time which latencies were: a stall is a column with a head."""
    frame = (LEFT, FRAME_TOP, RIGHT, 350)
    slices = len(due)
    per_column = max(1, math.ceil(slices / COLUMNS_MAX))
    columns: list[dict[int, int]] = []
    for start in range(0, slices, per_column):
        cells: dict[int, int] = {}
        for number in range(start, min(start + per_column, slices)):
            for value, count in due.buckets(number):
                row = math.floor(math.log10(max(value, 1)) * ROWS_PER_DECADE)
                cells[row] = cells.get(row, 0) + count
        columns.append(cells)
    rows = [row for cells in columns for row in cells]
    bottom_row, top_row = min(rows, default=0), max(rows, default=0) + 1
    low, high = 10 ** (bottom_row / ROWS_PER_DECADE), 10 ** (top_row / ROWS_PER_DECADE)
    seconds = max(slices * run.slice_ms / 1e3, run.shown[1], 0.001)
    across, up = linear(0, seconds, LEFT, RIGHT), logarithmic(low, high, 350, FRAME_TOP)
    most = max((count for cells in columns for count in cells.values()), default=1)
    title = f"Latency of {kind} over time"
    drawing = Drawing(
        title,
        f"{seconds:.0f} s; each cell is darker the more requests that were due then had that "
        f"latency. Longest {duration_text(due.total().maximum)}.",
        400,
        f"heat-{kind}",
    )
    drawing.across(
        [(one, f"{one:g}") for one in linear_ticks(seconds, 8)], across, frame, "due, seconds"
    )
    drawing.up([(one, tick(one)) for one in log_ticks(low, high)], up, frame, "latency", ABOVE)
    steps_marked(drawing, run.steps, across, FRAME_TOP, 350)
    width = across(per_column * run.slice_ms / 1e3) - across(0)
    for number, cells in enumerate(columns):
        x = across(number * per_column * run.slice_ms / 1e3)
        for row, count in sorted(cells.items()):
            top = up(10 ** ((row + 1) / ROWS_PER_DECADE))
            shade = 0.18 + 0.82 * math.log1p(count) / math.log1p(most)
            height = up(10 ** (row / ROWS_PER_DECADE)) - top
            drawing.rect(x, top, width, height, "heat", shade)
    for one in limits(run, kind):
        limit_line(drawing, up(one.limit), f"limit p{one.figure} {duration_text(one.limit)}")
    table = heat_table(run, due)
    says = "A pause is a slope that falls back to the floor: who came first waited longest."
    head = ("from, s", "requests", "p50", "p99", "longest")
    return Picture(f"heat-{kind}", title, says, drawing.render(), head, table)


def heat_table(run: Run, due: "load.Series") -> Sequence[tuple[str, ...]]:
    each = max(1, math.ceil(len(due) / TABLE_ROWS_MAX))
    table = []
    for start in range(0, len(due), each):
        part = due.total(start, start + each)
        if len(part):
            table.append(
                (
                    f"{start * run.slice_ms / 1e3:.1f}",
                    f"{len(part):,}",
                    said(part, 0.5),
                    said(part, 0.99),
                    duration_text(part.maximum),
                )
            )
    return table
