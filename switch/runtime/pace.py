"""Whose hand-shake begins next, and when: so that TLS takes a share of the loop and no more.

A hand-shake is the dearest thing that a stranger can make us do: about a millisecond of the one
loop that serves everybody, against a hundredth of it for a payment. What each really took is
measured, and pays for itself: the next one begins when the time spent on those before it is no more
than their share of the time that went by. A slower machine, a longer key, a busy neighbour: each
makes hand-shakes rarer, never payments slower. Nobody is refused for it; who comes meanwhile stays
in the kernel's queue.

Members that wait take turns, one hand-shake each: a fleet that comes back keeps no other member's
single link, nor a bank that we dial, waiting behind it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from switch.runtime.clock import monotonic_ns

__all__ = ["Pace"]

MS: Final = 1_000_000

GAP_NS: Final = 2 * MS
"""From one begin to the next at least. Peers that are far away have cost nothing yet when the next
one comes: this bounds what they can owe together."""
AROUND: Final = 2
"""Times the measured steps: a link costs as much again around them (socket, buffers, session,
sign-on, log): 1.3 ms of processor time in all by 0.6 ms in the steps, with P-256 on both sides."""
STEP_NS_MAX: Final = 10 * MS
"""A step that took longer stood still for another reason, and is not paid for by those who wait."""
DEBT_NS_MAX: Final = 2_000 * MS
"""Nobody waits longer for what was spent, whatever it was."""
CREDIT_NS: Final = 10 * MS
"""So much of the time in which nobody came may be used up later: a timer is a millisecond late."""


class Pace:
    """The hand-shakes of one worker."""

    def __init__(self, share_max: int) -> None:
        """`share_max`: percent of the loop's time. May be changed at any time."""
        self.share_max = share_max
        self._waiting: deque[Callable[[], bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._gap_ns = 0
        """Until when nobody begins, because somebody did."""
        self._owed_ns = 0
        """Until when nobody begins, because of what was spent."""

    def ask(self, begin: Callable[[], bool]) -> None:
        """`begin` is called once, when its turn has come, from the loop; it says whether a
        hand-shake began."""
        self._waiting.append(begin)
        self._arm(monotonic_ns())

    async def turn(self) -> None:
        """Waits until a hand-shake may begin."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def begin() -> bool:
            if turn.done():
                return False  # Nobody waits for it any more.
            turn.set_result(None)
            return True

        self.ask(begin)
        await turn

    def spent(self, took_ns: int) -> None:
        """A step of a hand-shake held the loop for so long."""
        now_ns = monotonic_ns()
        owed_ns = min(took_ns, STEP_NS_MAX) * AROUND * 100 // self.share_max
        until_ns = max(self._owed_ns, now_ns - CREDIT_NS) + owed_ns
        self._owed_ns = min(until_ns, now_ns + DEBT_NS_MAX)

    def _wait_ns(self, now_ns: int) -> int:
        return max(self._gap_ns, self._owed_ns, now_ns) - now_ns

    def _arm(self, now_ns: int) -> None:
        if self._timer is None and self._waiting:
            wait_s = self._wait_ns(now_ns) / 1e9
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._due)

    def _due(self) -> None:
        self._timer = None
        now_ns = monotonic_ns()
        while self._waiting and not self._wait_ns(now_ns):
            if self._waiting.popleft()():
                self._gap_ns = max(self._gap_ns, now_ns - CREDIT_NS) + GAP_NS
        self._arm(now_ns)
