"""What the pictures of a run share: their frame, their texts, marks of steps and limits."""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from switch.apps.load.figures import DUE
from switch.apps.load.model import Run, Step
from switch.apps.load.svg import WIDTH, Drawing, Scale
from switch.apps.load.threshold import Threshold, duration_text, parse
from switch.native import load

__all__ = [
    "ABOVE",
    "COLUMNS_MAX", "FRAME_TOP", "LEFT", "RIGHT", "TABLE_ROWS_MAX", "Picture", "key", "limit_line",
    "limits", "said", "span", "steps_marked", "tick", "us",
]  # fmt: skip

LEFT: Final = 74
RIGHT: Final = WIDTH - 20
FRAME_TOP: Final = 48
COLUMNS_MAX: Final = 240
ABOVE: Final = 28
"""An axis label above the marks of steps."""
TABLE_ROWS_MAX: Final = 60


class Picture(msgspec.Struct, frozen=True):
    """One drawing and the table that says the same."""

    name: str
    title: str
    says: str
    """What to look for."""
    svg: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def limits(run: Run, kind: str) -> list[Threshold]:
    """Upper limits of durations of this kind, from due time."""
    parsed = [parse(one.threshold) for one in run.verdicts]
    return [
        one
        for one in parsed
        if one.kind == "time" and one.entry in (kind, kind + DUE) and one.operator[0] == ">"
    ]


def span(values: Sequence[float]) -> tuple[float, float]:
    """Round ends of a logarithmic axis around these nanoseconds."""
    real = [value for value in values if value > 0] or [1e6]
    low, high = min(real), max(real)

    def down(value: float) -> float:
        power = 10.0 ** math.floor(math.log10(value))
        return max(one * power for one in (1, 2, 5) if one * power <= value * 1.0001)

    low_end, high_end = down(low), down(high * 1.1)
    following = {1: 2, 2: 5, 5: 10}
    power = 10.0 ** math.floor(math.log10(high_end) + 1e-9)
    top = following[round(high_end / power)] * power
    return low_end, max(top, low_end * 10)


def tick(ns: float) -> str:
    """1 µs, 20 ms, 5 s."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size * 0.999:
            return f"{ns / size:g} {unit}"
    return f"{ns:g} ns"


def said(histogram: "load.Histogram", q: float) -> str:
    return duration_text(histogram.quantile(q)) if len(histogram) else "-"


def us(value: float | None) -> str:
    return "-" if value is None else duration_text(value * 1e3)


def limit_line(drawing: Drawing, y: float, text: str) -> None:
    drawing.line([(LEFT, y), (RIGHT, y)], "limit")
    drawing.text((LEFT + 6, y - 5), text, "start", "badtext")


def key(drawing: Drawing, kinds: Sequence[tuple[str, str]]) -> None:
    """Which line is which, at the top."""
    x = float(LEFT + 130)
    for kind, text in kinds:
        drawing.line([(x, 12), (x + 30, 12)], kind)
        drawing.text((x + 36, 16), text, "start", f"{kind}text")
        x += 150


def steps_marked(
    drawing: Drawing, steps: Sequence[Step], across: Scale, top: float, bottom: float
) -> None:
    """Where a step of the ladder begins, with its rate as far as there is room."""
    free = -math.inf
    for step in steps:
        x, end = across(step.at_s), across(step.at_s + step.seconds)
        drawing.rect(x, top, end - x, bottom - top, "band")
        mark = "✓" if step.passed else ("✗" if step.valid else "?")
        text = f"{step.rate:g} {mark}"
        if x >= free and x + 7 * len(text) <= RIGHT:
            drawing.text((x + 2, top - 4), text)
            free = x + 7 * (len(text) + 1)
