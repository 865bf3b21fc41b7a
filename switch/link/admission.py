"""How much of one acquirer is let in: a token bucket for its rate, and how long its requests may
wait for their turn.

Times are monotonic nanoseconds, passed in. What is refused here costs no record and touches no
state; its acquirer is told so at once (91) and may ask again.

**Source:** K. Nichols, V. Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012; B. Maurer,
"Fail at Scale", ACM Queue 13(8), 2015, for its form in a server: a queue that has not been empty
for an interval is a standing one, and waiting in it is cut down to the target.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Bucket", "Patience"]

_SECOND: Final = 1_000_000_000


class Bucket:
    """Lets `rate` requests a second in, and up to `burst` at once after a pause; rate 0: any
    number."""

    __slots__ = ("_at_ns", "_level", "burst", "rate")

    def __init__(self, rate: int, burst: int, now_ns: int) -> None:
        self.rate = rate
        self.burst = burst
        self._level = float(burst)
        self._at_ns = now_ns

    def adopt(self, rate: int, burst: int) -> None:
        """Other limits from now on; what was used stays used."""
        self._level = min(self._level, float(burst)) if self.rate else float(burst)
        self.rate, self.burst = rate, burst

    def level(self, now_ns: int) -> int:
        """Whole requests that may come in now. Of a bucket without a rate: do not ask."""
        passed_ns = now_ns - self._at_ns
        if passed_ns > 0:
            self._level = min(float(self.burst), self._level + passed_ns * self.rate / _SECOND)
            self._at_ns = now_ns
        return int(self._level)

    def take(self, count: int) -> None:
        """So many came in."""
        self._level -= count


class Patience:
    """How long a request may have waited when its turn comes: the interval as long as the queue
    runs empty within every interval, the target when it stands, and for an interval after something
    was refused while it stood. Without that an overload of twice what can be served would be an
    interval's worth of requests that are served late, again and again: a queue that is cut down to
    the target runs empty now and then."""

    __slots__ = ("_empty_ns", "_strict_ns", "interval_ns", "target_ns")

    def __init__(self, target_ns: int, interval_ns: int, now_ns: int) -> None:
        self.target_ns = target_ns
        self.interval_ns = interval_ns
        self._empty_ns = now_ns
        self._strict_ns = 0

    def emptied(self, now_ns: int) -> None:
        """Nothing waits any more."""
        self._empty_ns = now_ns

    def refused(self, now_ns: int) -> None:
        """Something was refused for its waiting."""
        if self._strict(now_ns):
            self._strict_ns = now_ns + self.interval_ns

    def limit_ns(self, now_ns: int) -> int:
        """The longest wait that is served now; what has waited longer is refused."""
        return self.target_ns if self._strict(now_ns) else self.interval_ns

    def _strict(self, now_ns: int) -> bool:
        return now_ns - self._empty_ns > self.interval_ns or now_ns < self._strict_ns
