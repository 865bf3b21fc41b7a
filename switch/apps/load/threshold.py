"""When a load run has failed: one grammar for `tapswitch bench ladder` and for locust.

    p99(0200) > 10ms      a percentile of an entry, from the time a request was due
    p99.9(0200 sent)>1s   the same from the time it was sent
    max(0200) > 2s        also mean(0200)
    error_rate > 0.01%    a share of what was offered; with an entry: error_rate(0400) > 1%
    not_sent > 0          a count; achieved_rate < 990/s is a number a second

A threshold states what is a failure. A figure that was asked for and is not there fails too.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from switch.errors import ThresholdError
from switch.settings.nearest import nearest

__all__ = [
    "COUNTS",
    "Figures",
    "Threshold",
    "Verdict",
    "duration_text",
    "judge",
    "parse",
    "parse_all",
]

COUNTS: Final = (
    "offered", "sent", "answered", "approved", "declined", "errors", "timeouts", "not_sent", "late",
)  # fmt: skip
"""Of requests. errors: what got no usable answer in time. late: answers after the deadline."""
_SHARES: Final[Mapping[str, tuple[str, str]]] = {
    "error_rate": ("errors", "offered"),
    "decline_rate": ("declined", "answered"),
}
_RATES: Final = ("offered_rate", "achieved_rate")
_TIMES: Final = ("max", "mean")
_UNITS_NS: Final[Mapping[str, int]] = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
}  # fmt: skip
_OPERATORS: Final[Mapping[str, tuple[Callable[[float, float], bool], str]]] = {
    ">=": (lambda value, limit: value >= limit, "<"),
    "<=": (lambda value, limit: value <= limit, ">"),
    ">": (lambda value, limit: value > limit, "<="),
    "<": (lambda value, limit: value < limit, ">="),
}
"""Operator to what it means and to its opposite."""

_PERCENTILE: Final = re.compile(r"p(\d+(?:\.\d+)?)$")
_NAME: Final = re.compile(r"\s*([A-Za-z_]\w*(?:\.\d+)?)\s*")
_ENTRY: Final = re.compile(r"\(\s*([^()]*?)\s*\)\s*")
_OPERATOR: Final = re.compile(r"(>=|<=|>|<)\s*")
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)\s*")
_UNIT: Final = re.compile(r"(\S*)\s*$")


class Figures(Protocol):
    """What a run has measured. `entry` "" is all entries together."""

    @property
    def entries(self) -> Sequence[str]:
        """Names of what durations are known of."""

    @property
    def seconds(self) -> float:
        """How long was measured."""

    def duration_ns(self, entry: str, figure: str) -> float | None:
        """`figure`: "max", "mean" or a percentile such as "99.9"; None without any."""

    def count(self, entry: str, name: str) -> int | None:
        """One of `COUNTS`; None for an entry that is not there."""


class Threshold(msgspec.Struct, frozen=True):
    """One condition of failure."""

    text: str
    """As it was written, without spaces at its ends."""
    figure: str
    """A name of this grammar; a percentile without its p."""
    entry: str
    operator: str
    limit: float
    """Nanoseconds, a share of 1, a count, or a number a second."""
    kind: str
    """time, share, count or rate."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of a threshold."""

    threshold: str
    ok: bool
    value: float | None
    """In the unit of the threshold's limit; None when there was no such figure."""
    limit: float
    kind: str
    text: str
    """A line with ✓ or ✗."""


def parse_all(texts: Iterable[str], entries: Sequence[str] = ()) -> list[Threshold]:
    """All of them. Raises: ThresholdError for the first that is wrong."""
    return [parse(text, entries) for text in texts]


def parse(text: str, entries: Sequence[str] = ()) -> Threshold:
    """Reads one; `entries` are the names that will be there, if that is known.

    Raises: ThresholdError with a caret under what is wrong and what was probably meant.
    """
    at, name = _take(text, 0, _NAME, "a figure such as p99(0200), error_rate or not_sent")
    figure, kind = _figure(text, len(text) - len(text.lstrip()), name)
    entry = ""
    if at < len(text) and text[at] == "(":
        place = at + 1
        at, entry = _take(text, at, _ENTRY, "a closing parenthesis behind the entry's name")
        _known(text, place, entry, entries)
    elif kind == "time":
        raise _wrong(text, at, 1, f"{name} of what?", f"name an entry: {name}(0200)")
    at, operator = _take(text, at, _OPERATOR, "one of > >= < <=")
    place = at
    at, number = _take(text, at, _NUMBER, "a number")
    unit = (_UNIT.match(text, at) or [""])[0].strip()
    limit = _limit(text, at, kind, float(number), unit)
    if kind == "share" and limit > 1:
        raise _wrong(text, place, len(number), "a share is at most 100%", "0.01% or 0.0001")
    return Threshold(text.strip(), figure, entry, operator, limit, kind)


def judge(threshold: Threshold, figures: Figures) -> Verdict:
    """Compares."""
    value = _value(threshold, figures)
    failed, opposite = _OPERATORS[threshold.operator]
    name = threshold.text.partition(threshold.operator)[0].strip()
    limit = _told(threshold.limit, threshold.kind)
    if value is None:
        ok, said = False, f"{name}: nothing was measured, limit {threshold.operator} {limit}"
        known = ", ".join(figures.entries)
        if threshold.entry and threshold.entry not in figures.entries:
            said = f"{name}: there is no entry {threshold.entry!r}; there are: {known or 'none'}"
    else:
        ok = not failed(value, threshold.limit)
        sign = opposite if ok else threshold.operator
        said = f"{name} {_told(value, threshold.kind)} {sign} {limit}"
    text = f"{'✓' if ok else '✗'} {said}"
    return Verdict(threshold.text, ok, value, threshold.limit, threshold.kind, text)


def _value(threshold: Threshold, figures: Figures) -> float | None:
    entry, figure = threshold.entry, threshold.figure
    match threshold.kind:
        case "time":
            return figures.duration_ns(entry, figure)
        case "share":
            part, whole = (figures.count(entry, name) for name in _SHARES[figure])
            return part / whole if part is not None and whole else None
        case "rate":
            counted = figures.count(entry, "offered" if figure == "offered_rate" else "answered")
            return counted / figures.seconds if counted is not None and figures.seconds else None
        case _:
            return figures.count(entry, figure)


def _take(text: str, at: int, pattern: re.Pattern[str], expected: str) -> tuple[int, str]:
    """The next part and the place behind it."""
    found = pattern.match(text, at)
    if found is None:
        rest = text[at:].split(maxsplit=1)
        word = rest[0] if rest else ""
        raise _wrong(text, at, len(word) or 1, f"here must stand {expected}", "")
    return found.end(), found[1]


def _figure(text: str, start: int, name: str) -> tuple[str, str]:
    if found := _PERCENTILE.match(name):
        percent = float(found[1])
        if 0 < percent < 100:
            return found[1], "time"
        meant = f"p{found[1][:2]}.{found[1][2:]}" if found[1].isdigit() else "p99.9"
        problem = f"{name} is no percentile below 100"
        raise _wrong(text, start, len(name), problem, f'did you mean "{meant}"?')
    if name in _TIMES:
        return name, "time"
    if name in _SHARES:
        return name, "share"
    if name in _RATES:
        return name, "rate"
    if name in COUNTS:
        return name, "count"
    known = (*COUNTS, *_SHARES, *_RATES, *_TIMES, "p50", "p99", "p99.9")
    found_name = nearest(name, known)
    meant = f'did you mean "{found_name}"?' if found_name else f"known: {', '.join(known)}"
    raise _wrong(text, start, len(name), f'there is no figure "{name}"', meant)


def _known(text: str, place: int, entry: str, entries: Sequence[str]) -> None:
    if entries and entry not in entries:
        meant = nearest(entry, entries)
        hint = f'did you mean "{meant}"?' if meant else f"there are: {', '.join(entries)}"
        raise _wrong(text, place, max(1, len(entry)), f'there is no entry "{entry}"', hint)


def _limit(text: str, at: int, kind: str, number: float, unit: str) -> float:
    """The number in the base unit of its kind."""
    if kind == "time":
        if unit in _UNITS_NS:
            return number * _UNITS_NS[unit]
        meant = nearest(unit, _UNITS_NS) if unit else ""
        problem = f'there is no unit of time "{unit}"' if unit else "a time needs a unit"
        hint = f'did you mean "{meant}"?' if meant else "us, ms or s, such as 10ms"
    elif kind == "share":
        if unit in ("%", ""):
            return number / 100 if unit else number
        problem, hint = f'a share has no unit "{unit}"', "0.01% or 0.0001"
    elif kind == "rate":
        if unit in ("/s", ""):
            return number
        problem, hint = f'a rate has no unit "{unit}"', "990/s"
    else:
        if not unit:
            return number
        problem, hint = f'a count has no unit "{unit}"', f"such as {number:g}"
    raise _wrong(text, at, max(1, len(unit)), problem, hint)


def _wrong(text: str, at: int, width: int, problem: str, hint: str) -> ThresholdError:
    return ThresholdError(problem, text=text, at=at, width=width, help=hint)


def _told(value: float, kind: str) -> str:
    if kind == "time":
        return duration_text(value)
    if kind == "share":
        return f"{100 * value:.4g} %"
    if kind == "rate":
        return f"{value:,.1f}/s"
    return f"{value:,.0f}"


def duration_text(ns: float) -> str:
    """Three digits and a unit: 312 µs, 3.90 ms, 1.20 s."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            value = ns / size
            return f"{value:.{max(0, 2 - int(math.log10(value)))}f} {unit}"
    return f"{ns:.0f} ns"
