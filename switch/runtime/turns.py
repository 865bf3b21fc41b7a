"""A release handed over one peer at a turn of the loop, for drills: while a crash point is armed at
or behind the hand-over to the kernel (`switch.native.hook.handing`).

uvloop keeps what is written to a transport until its turn ends, so a process that kills itself
right behind the write takes the bytes along: it has died before the hand-over, whatever its point
is called.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from switch.native import hook

__all__ = ["ByTurns"]


class ByTurns:
    """Of one worker. What was taken first leaves first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hand: Callable[[int, bytes], None]) -> None:
        self._loop = loop
        self._hand = hand
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._busy = False

    def take(self, parts: Iterable[tuple[int, bytes]]) -> None:
        """Slots and their bytes. Reaches the points on the way."""
        self._waiting.extend(parts)
        if self._waiting and not self._busy:
            self._busy = True
            self._next()

    def _next(self) -> None:
        self._hand(*self._waiting.popleft())
        # The loop writes at the end of this turn; what is called soon is called behind that.
        self._loop.call_soon(self._written)

    def _written(self) -> None:
        if self._waiting:
            hook.reach("release.between")
            self._next()
        else:
            self._busy = False
            hook.given()
