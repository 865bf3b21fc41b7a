"""A little SVG: scales, axes, lines, cells. No library, no script, nothing fetched.

A drawing has a title and a description for those who do not see it, colours that follow the
reader's theme, and dashes or shapes beside every colour. Numbers stand in tables beside it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Final

__all__ = ["STYLE", "Drawing", "Scale", "linear", "linear_ticks", "log_ticks", "logarithmic"]

WIDTH: Final = 880
FONT_WIDTH: Final = 6.6
"""Of a letter of the axis font, near enough to place texts."""

STYLE: Final = """\
.lp{--ink:#1d2733;--faint:#5b6876;--grid:#dfe4ea;--first:#1f5fa8;--second:#b3541e;--bad:#b3261e;
--good:#1b7a43;--heat:#1f5fa8;--band:#f4f6f9;--paper:#ffffff}
@media (prefers-color-scheme:dark){.lp{--ink:#e4e9ef;--faint:#9fabb8;--grid:#2c3641;--first:#78b0f0;
--second:#f0a06c;--bad:#ff8a80;--good:#6fcf97;--heat:#78b0f0;--band:#1b232c;--paper:#12181f}}
@media print{.lp{--ink:#000;--faint:#444;--grid:#ccc;--first:#1f5fa8;--second:#b3541e;--bad:#b3261e;
--good:#1b7a43;--heat:#1f5fa8;--band:#f4f6f9;--paper:#fff}}
svg.lp{font:12px system-ui,-apple-system,"Segoe UI","Noto Sans","PingFang SC",sans-serif;
width:100%;height:auto;background:var(--paper)}
svg.lp text{fill:var(--faint);font-variant-numeric:tabular-nums}
svg.lp .said{fill:var(--ink)}
svg.lp .grid{stroke:var(--grid);stroke-width:1;fill:none}
svg.lp .axis{stroke:var(--faint);stroke-width:1;fill:none}
svg.lp .first{stroke:var(--first);stroke-width:2;fill:none}
svg.lp .second{stroke:var(--second);stroke-width:2;fill:none;stroke-dasharray:6 4}
svg.lp .limit{stroke:var(--bad);stroke-width:1.5;fill:none;stroke-dasharray:2 3}
svg.lp .mark{stroke:var(--good);stroke-width:1.5;fill:none;stroke-dasharray:8 4}
svg.lp .heat{fill:var(--heat)}
svg.lp .band{fill:var(--band)}
svg.lp .bad{fill:var(--bad)}
svg.lp .badline{stroke:var(--bad);stroke-width:2.5;fill:none}
svg.lp .goodpoint{fill:var(--good);stroke:var(--paper);stroke-width:1.5}
svg.lp .open{fill:var(--paper);stroke:var(--faint);stroke-width:2}
svg.lp text.firsttext{fill:var(--first)}
svg.lp text.secondtext{fill:var(--second)}
svg.lp text.badtext{fill:var(--bad)}
svg.lp text.goodtext{fill:var(--good)}
"""

Scale = Callable[[float], float]
Point = tuple[float, float]


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """From [low, high] to [start, end], not beyond."""
    span = (high - low) or 1.0

    def scale(value: float) -> float:
        share = min(1.0, max(0.0, (value - low) / span))
        return start + share * (end - start)

    return scale


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """The same over the logarithm; `low` is above 0."""
    inner = linear(math.log10(low), math.log10(high), start, end)
    return lambda value: inner(math.log10(max(value, low)))


def linear_ticks(high: float, wanted: int = 5) -> list[float]:
    """Round numbers from 0 to `high`."""
    if high <= 0:
        return [0.0]
    rough = high / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough * 0.999)
    return [number * step for number in range(int(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within, with thirds of them when there are few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    tens = [10.0**power for power in range(first, last + 1)]
    if len(tens) > 2:
        return tens
    finer = [10.0**power * part for power in range(first - 1, last + 1) for part in (1, 2, 5)]
    return [one for one in finer if low * 0.999 <= one <= high * 1.001]


class Drawing:
    """Collects parts; `render` gives the element."""

    def __init__(self, title: str, description: str, height: int, name: str) -> None:
        self._title = title
        self._description = description
        self._height = height
        self._name = name
        self._parts: list[str] = []

    def line(self, points: Iterable[Point], kind: str) -> None:
        """Straight pieces."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if path:
            self._parts.append(f'<polyline class="{kind}" points="{path}"/>')

    def rect(
        self, x: float, y: float, width: float, height: float, kind: str, opacity: float = 1.0
    ) -> None:
        shade = "" if opacity >= 1 else f' fill-opacity="{opacity:.3f}"'
        self._parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.1):.1f}" '
            f'height="{max(height, 0.1):.1f}"{shade}/>'
        )

    def circle(self, at: Point, radius: float, kind: str) -> None:
        self._parts.append(
            f'<circle class="{kind}" cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}"/>'
        )

    def cross(self, at: Point, radius: float, kind: str) -> None:
        x, y = at
        self.line([(x - radius, y - radius), (x + radius, y + radius)], kind)
        self.line([(x - radius, y + radius), (x + radius, y - radius)], kind)

    def text(self, at: Point, said: str, anchor: str = "start", kind: str = "") -> None:
        named = f' class="{kind}"' if kind else ""
        self._parts.append(
            f'<text{named} x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}">'
            f"{escape(said)}</text>"
        )

    def across(
        self,
        ticks: Sequence[tuple[float, str]],
        scale: Scale,
        frame: tuple[float, float, float, float],
        label: str,
    ) -> None:
        """The axis at the bottom: grid, numbers that do not touch, label."""
        left, top, right, bottom = frame
        free = -math.inf
        for value, said in ticks:
            x = scale(value)
            self.line([(x, top), (x, bottom)], "grid")
            half = FONT_WIDTH * len(said) / 2
            if x - half >= free:
                self.text((x, bottom + 17), said, "middle")
                free = x + half + FONT_WIDTH
        self.line([(left, bottom), (right, bottom)], "axis")
        self.text(((left + right) / 2, bottom + 36), label, "middle")

    def up(
        self,
        ticks: Sequence[tuple[float, str]],
        scale: Scale,
        frame: tuple[float, float, float, float],
        label: str,
        above: float = 12,
    ) -> None:
        """The axis at the left; its label stands so far above."""
        left, top, right, bottom = frame
        for value, said in ticks:
            y = scale(value)
            self.line([(left, y), (right, y)], "grid")
            self.text((left - 8, y + 4), said, "end")
        self.line([(left, top), (left, bottom)], "axis")
        self.text((left - 58, top - above), label)

    def render(self) -> str:
        """The element, with a style of its own, so that it can stand alone."""
        return (
            f'<svg class="lp" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} '
            f'{self._height}" role="img" aria-labelledby="{self._name}-t {self._name}-d">'
            f'<title id="{self._name}-t">{escape(self._title)}</title>'
            f'<desc id="{self._name}-d">{escape(self._description)}</desc>'
            f"<style>{STYLE}</style>{''.join(self._parts)}</svg>"
        )
