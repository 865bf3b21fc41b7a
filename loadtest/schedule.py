"""When one terminal's requests are due: known beforehand, whatever the answers do.

Locust's own waiting times begin when a task ends and forget what was missed meanwhile; a system
that stands still would be asked less, and its pause would not be measured (coordinated omission).
"""

import math
from random import Random
from typing import Final

__all__ = ["ARRIVALS", "Due", "phase"]

ARRIVALS: Final = ("poisson", "even")
"""poisson: gaps as of customers that know nothing of each other. even: equal gaps."""


class Due:
    """Due times in seconds, rising; the first one lies within a gap of now."""

    def __init__(
        self, rate: float, arrivals: str, number: int, times_s: tuple[float, float], rng: Random
    ) -> None:
        """`number`: of the terminal among all, from 0. `times_s`: the start of the run, from which
        even terminals are spread evenly however many they are, and now."""
        if rate <= 0 or arrivals not in ARRIVALS:
            raise ValueError(f"{rate} a second, {arrivals!r}")
        self._rate = rate
        self._even = arrivals == "even"
        self._rng = rng
        start_s, now_s = times_s
        if self._even:
            gaps = max(0, math.ceil((now_s - start_s) * rate - phase(number)))
            self.next_s = start_s + (phase(number) + gaps) / rate
        else:
            # Memoryless: the first gap is one like all others.
            self.next_s = now_s + rng.expovariate(rate)

    def take(self) -> float:
        """The time that is due now; the next one becomes due a gap later, whatever happened."""
        due = self.next_s
        self.next_s += 1 / self._rate if self._even else self._rng.expovariate(self._rate)
        return due


def phase(number: int) -> float:
    """Van der Corput's sequence in base 2 (0, 1/2, 1/4, 3/4, …): even over [0, 1) at any length."""
    found, part = 0.0, 0.5
    while number:
        found += part * (number & 1)
        number >>= 1
        part /= 2
    return found
