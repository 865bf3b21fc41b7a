"""Percentiles of a node's times, read from its meter file while it runs.

The journal knows when a request left for its bank; only the meter knows when the answer left for
the acquirer, so what the switch itself adds is read here.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from switch.native import meter

__all__ = ["BOUNDS_US", "Percentiles"]

_STEP: Final = 1.02


def _bounds() -> tuple[int, ...]:
    bounds: list[int] = []
    at = 1.0
    while at < 60e6:
        if not bounds or int(at) > bounds[-1]:
            bounds.append(int(at))
        at = max(at + 1, at * _STEP)
    return (*bounds, 60_000_000)


BOUNDS_US: Final = _bounds()
"""2 % apart, 1 µs to 60 s; a percentile is one of them."""


class Percentiles:
    """All series of one family, merged; since the start and since the last look.

    A restarted worker begins a new file: what its predecessor counted is kept.
    """

    def __init__(self, family: str) -> None:
        """`family`: name of the histogram without labels, for example
        ``tapswitch_internal_duration_seconds``."""
        self._prefix = family + "{"
        self._family = family
        self._before = [0] * len(BOUNDS_US)
        self._now = [0] * len(BOUNDS_US)
        self._seen = [0] * len(BOUNDS_US)

    def read(self, reader: meter.MeterReader) -> None:
        """Takes in what the file says now."""
        counts = [0] * len(BOUNDS_US)
        for name in reader.histograms():
            if name == self._family or name.startswith(self._prefix):
                cumulative, _, _ = reader.buckets(name, BOUNDS_US)
                counts = [a + b for a, b in zip(counts, cumulative, strict=True)]
        if counts[-1] < self._now[-1]:
            self._before = self._total()
        self._now = counts

    def since_start(self, *quantiles: float) -> tuple[int, ...]:
        """Times in µs below which these shares (0..1) lie; 0 when nothing was counted."""
        return _quantiles(self._total(), quantiles)

    def since_last(self, *quantiles: float) -> tuple[int, ...]:
        """The same of what was counted since this was last called."""
        total = self._total()
        part = [a - b for a, b in zip(total, self._seen, strict=True)]
        self._seen = total
        return _quantiles(part, quantiles)

    def _total(self) -> list[int]:
        return [a + b for a, b in zip(self._before, self._now, strict=True)]


def _quantiles(cumulative: Sequence[int], quantiles: Sequence[float]) -> tuple[int, ...]:
    count = cumulative[-1]
    if not count:
        return (0,) * len(quantiles)
    return tuple(BOUNDS_US[bisect_left(cumulative, max(1.0, q * count))] for q in quantiles)


assert all(low < high for low, high in pairwise(BOUNDS_US))
