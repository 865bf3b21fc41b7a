"""Where a ladder goes next: up by a factor until a rate fails, then between the two by halves."""

import math
from typing import Final

import msgspec

__all__ = ["Climb", "Search"]

RATE_MIN: Final = 1.0
"""Below this a switch does nothing; the ladder ends."""
DOWN: Final = 2.0
"""While nothing has held yet, each failure halves the rate."""


class Climb(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Rates are requests a second."""

    start: float = 500.0
    factor: float = 1.5
    rate_max: float = 50_000.0
    precision: float = 0.02
    """The answer is known to within this share of itself."""


class Search:
    """Pure: says a rate, is told whether it held."""

    def __init__(self, climb: Climb) -> None:
        self._climb = climb
        self.good: float | None = None
        """The highest rate that held."""
        self.bad: float | None = None
        """The lowest that did not."""

    @property
    def next(self) -> float | None:
        """The rate to try; None when the answer is known."""
        climb, good, bad = self._climb, self.good, self.bad
        if good is None:
            down = min(climb.start, climb.rate_max) if bad is None else bad / DOWN
            return rounded(down) if down >= RATE_MIN else None
        if bad is None:
            return rounded(min(good * climb.factor, climb.rate_max)) if self._below_max else None
        middle = rounded(math.sqrt(good * bad))
        narrow = (bad - good) / good <= climb.precision
        return None if narrow or not good < middle < bad else middle

    @property
    def _below_max(self) -> bool:
        return self.good is not None and self.good < rounded(self._climb.rate_max)

    @property
    def ended_by(self) -> str:
        """Why there is nothing to try any more, in words."""
        if self.good is None:
            return f"nothing held down to {self.bad or RATE_MIN:g}/s"
        if self.bad is None:
            return f"{self.good:g}/s is the highest rate that was asked for"
        return f"{self.bad:g}/s did not hold"

    def take(self, rate: float, held: bool) -> None:
        """What became of a rate."""
        if held:
            self.good = max(rate, self.good or 0.0)
        else:
            self.bad = min(rate, self.bad or math.inf)


def rounded(rate: float) -> float:
    """Four digits: rates are said aloud."""
    return float(f"{rate:.4g}")
