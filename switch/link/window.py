"""Our own numbers towards one institution: a (STAN, transmission time) pair never comes twice.

The pair (time, STAN) only ever grows, compared as whole seconds first: across connections, because
the window belongs to the institution; across clock steps, because the time never goes back; across
wraps of the STAN, because a wrap moves the time on by a second; across restarts, because a window
starts above the highest pair that the journal knows, and every message of ours is recorded before
it is sent.

Source: house.md, rule 10. ISO 8583:1987 fields 7 (MMDDhhmmss, UTC) and 11 (n6).
"""

from switch.constants import STAN_MAX
from switch.model.time import transmission_time

__all__ = ["Window"]


class Window:
    """Allocates the numbers; `time` and `time_s` belong to the STAN that `next` returned last."""

    __slots__ = ("stan", "time", "time_s")

    def __init__(self, time_s: int = 0, stan: int = 0) -> None:
        """Starts above the pair (`time_s`, `stan`), the institution's mark of the journal."""
        self.time_s = time_s
        self.stan = stan
        self.time = transmission_time(time_s)

    def next(self, now_s: int) -> int:
        """The next STAN, 1..999999; read `time` (MMDDhhmmss) with it. `now_s`: Unix seconds, may
        step back."""
        stan = self.stan + 1
        if now_s > self.time_s:
            self.time_s = now_s
            self.time = transmission_time(now_s)
            if stan > STAN_MAX:
                stan = 1
        elif stan > STAN_MAX:
            stan = 1
            self.time_s += 1
            self.time = transmission_time(self.time_s)
        self.stan = stan
        return stan

    def number(self, now_s: int) -> tuple[int, str]:
        """`next` with its time, for a peer that has no matcher."""
        stan = self.next(now_s)
        return stan, self.time
