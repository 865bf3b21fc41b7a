"""How fast new connections of one member are taken, whoever opens them.

A token bucket: what comes faster waits in the kernel's queue, which is bounded, and whose overflow
makes peers try again a second later. A thousand links that come back at once are taken one by one,
so that those who sit in service notice nothing.

A connection that ended because of what its peer sent costs more than one that did not: whoever
opens links to send rubbish gets few of them.
"""

from typing import Final

__all__ = ["BURST_MAX", "RUBBISH_COSTS", "Arrivals"]

BURST_MAX: Final = 16
"""Taken at once after a quiet time; in one turn of the loop they cost a few milliseconds."""
RUBBISH_COSTS: Final = 20
"""Turns that a connection takes away whose peer sent what no payment system sends."""
DEBT_S_MAX: Final = 5.0
"""For so long at most nobody is taken, whatever was sent before."""
_SECOND: Final = 1_000_000_000


class Arrivals:
    """One member's bucket."""

    __slots__ = ("_at_ns", "_tokens", "per_s_max")

    def __init__(self, per_s_max: int) -> None:
        self.per_s_max = per_s_max
        """May be changed at any time."""
        self._tokens = float(BURST_MAX)
        self._at_ns = 0

    def wait_s(self, now_ns: int) -> float:
        """0.0: one more may be taken; else for how many seconds none may."""
        self._fill(now_ns)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.per_s_max

    def taken(self) -> None:
        """One was taken."""
        self._tokens -= 1.0

    def rubbish(self, now_ns: int) -> None:
        """A connection of this member ended because of what its peer sent."""
        self._fill(now_ns)
        self._tokens = max(self._tokens - RUBBISH_COSTS, -DEBT_S_MAX * self.per_s_max)

    def _fill(self, now_ns: int) -> None:
        if self._at_ns:
            gained = (now_ns - self._at_ns) * self.per_s_max / _SECOND
            self._tokens = min(self._tokens + gained, float(BURST_MAX))
        self._at_ns = now_ns
