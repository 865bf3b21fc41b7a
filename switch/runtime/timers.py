"""The worker's one timer. Nothing else on the walk arms a timer per message.

Every `TICK_S` it runs deadlines and due reversals; every `LINKS_EVERY` ticks the sessions' timers;
every `GAUGES_EVERY` the gauges. The in-flight maps are their own deadline queues, so that a tick
with nothing due costs a few comparisons.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from switch.constants import INDEX_LOOK_MS, TIMER_TICK_MS

__all__ = ["GAUGES_EVERY", "LINKS_EVERY", "TICK_S", "Timers"]

TICK_S: Final = 0.05
"""How late a time-out may be noticed beyond its deadline, on a loop that is not behind."""
LINKS_EVERY: Final = 5
GAUGES_EVERY: Final = 10

assert TICK_S * 2000 <= TIMER_TICK_MS, "`tapswitch check` reckons with a tick and its lateness"
assert TICK_S * GAUGES_EVERY * 1000 <= INDEX_LOOK_MS, "the gateway waits for that look"


class Timers:
    """Calls three functions again and again until `stop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tick: Callable[[], None],
        links: Callable[[], None],
        gauges: Callable[[], None],
        late: Callable[[int], None],
    ) -> None:
        """`late` is told at every run by how many microseconds it came late."""
        self._loop = loop
        self._tick = tick
        self._links = links
        self._gauges = gauges
        self._late = late
        self._due = 0.0
        self._count = 0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """First run after one period."""
        self._due = self._loop.time() + TICK_S
        self._handle = self._loop.call_at(self._due, self._run)

    def stop(self) -> None:
        """No further run."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run(self) -> None:
        # Armed first: whatever the functions raise, the timer lives on. A stall is not made up for;
        # one run does what several missed ones would have done.
        now = self._loop.time()
        late_us = max(0, int((now - self._due) * 1e6))
        self._due = now + TICK_S
        self._handle = self._loop.call_at(self._due, self._run)
        self._count += 1
        self._late(late_us)
        self._tick()
        if self._count % LINKS_EVERY == 0:
            self._links()
        if self._count % GAUGES_EVERY == 0:
            self._gauges()
