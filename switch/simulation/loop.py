"""A loop whose time is virtual: it jumps to the next timer instead of waiting for it.

Timers of one instant run in the order in which they were made, so that a run depends on nothing but
its seed. Work belongs to a *life*, the context variable `LIFE`: when a process of the world is
killed, its life ends, and nothing that it had scheduled runs any more. What a callback raises is
told to the world and fails its run; a loop with nothing left to wait for is a deadlock.
"""

import asyncio
from asyncio import events
from collections.abc import Callable
from contextvars import Context, ContextVar
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Final

import msgspec

__all__ = ["LIFE", "DeadlockError", "EndlessError", "Life", "VirtualLoop"]

SECOND: Final = 1_000_000_000
CANCELLED_MAX: Final = 1_000
"""Cancelled timers that may lie in the heap before they are swept out."""


class DeadlockError(AssertionError):
    """The world stands still: nobody waits for a time, and nothing is ready."""


class EndlessError(AssertionError):
    """A run took more turns of the loop than any sound run does."""


class Life(msgspec.Struct, eq=False):
    """One life of one process of the world."""

    name: str
    ended: bool = False
    sockets: list[Any] = msgspec.field(default_factory=list)
    """What its kernel closes when it is killed."""


LIFE: Final[ContextVar[Life | None]] = ContextVar("life", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs a world. `advanced` is told the monotonic time whenever it changes, in ns."""

    def __init__(
        self,
        start_ns: int,
        advanced: Callable[[int], None],
        raised: Callable[[dict[str, Any]], None],
        after: Callable[[], None] | None = None,
    ) -> None:
        """`raised` gets what `call_exception_handler` would; `after` runs behind each callback."""
        super().__init__()
        self.set_debug(enabled=False)
        self._clock_resolution = 1e-9
        self._now_ns = start_ns
        self._now_s = start_ns / SECOND
        self._advanced = advanced
        self._raised = raised
        self._after = after
        self._places = count()
        self.turns = 0
        self.turns_max = 1 << 62
        self.readers: dict[int, asyncio.Handle] = {}
        """Descriptors that somebody listens to: `readable` calls."""
        self._network: Any = None
        self.dropped = 0
        """Callbacks of ended lives that were not run."""

    # -- time -------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual monotonic seconds."""
        return self._now_s

    @property
    def now_ns(self) -> int:
        """Virtual monotonic nanoseconds."""
        return self._now_ns

    def spend(self, seconds: float) -> None:
        """Time passes while a callback works: whatever is due by then comes late."""
        if seconds > 0:
            self._now_s += seconds
            self._now_ns = max(self._now_ns, round(self._now_s * SECOND))
            self._advanced(self._now_ns)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As of any loop; timers of one instant keep their order."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, (when, next(self._places), timer))  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._timer_cancelled_count: int
        self._timer_cancelled_count += 1

    # -- the turn ---------------------------------------------------------------------------------

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        self.turns += 1
        if self.turns > self.turns_max:
            self.turns_max += 1_000_000
            raise EndlessError("the run does not come to its end")
        if self._timer_cancelled_count > CANCELLED_MAX:
            kept = [entry for entry in scheduled if not entry[2]._cancelled]
            heapify(kept)
            scheduled[:] = kept
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0][2]._cancelled:
            heappop(scheduled)
            self._timer_cancelled_count -= 1
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not scheduled:
                raise DeadlockError("nothing is ready and nobody waits for a time")
            when = scheduled[0][0]
            if when > self._now_s:
                self._now_s = when
                self._now_ns = max(self._now_ns, round(when * SECOND))
                self._advanced(self._now_ns)
        now_s = self._now_s
        while scheduled and scheduled[0][0] <= now_s:
            ready.append(heappop(scheduled)[2])
        after = self._after
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)
            if life is not None and life.ended:
                self.dropped += 1
                continue
            handle._run()
            if after is not None:
                after()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Told to the world, then to whoever asked the loop for it."""
        self._raised(context)
        handle, handler = context.get("handle"), self.get_exception_handler()
        life = handle._context.get(LIFE) if handle is not None else None
        if handler is not None and life is not None and not life.ended:
            handler(self, context)

    # -- what a selector loop has besides ---------------------------------------------------------

    def _write_to_self(self) -> None:
        """Nobody else wakes this loop."""

    def add_reader(  # type: ignore[override]
        self, fd: Any, callback: Any, *args: Any
    ) -> None:
        """`readable` calls it, in the context of now."""
        self.readers[int(fd)] = events.Handle(callback, args, self, None)

    def remove_reader(self, fd: Any) -> bool:
        """As of any loop."""
        return self.readers.pop(int(fd), None) is not None

    def readable(self, fd: int) -> None:
        """The descriptor has become readable: its reader runs with the next turn."""
        handle = self.readers.get(fd)
        if handle is not None:
            self._ready.append(handle)  # type: ignore[attr-defined]

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """A world has no threads: the work is done in between, at this instant."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - it is the future's
                future.set_exception(error)

        self.call_soon(work)
        return future

    def plug(self, network: Any) -> None:
        """What `create_connection` and `create_server` go to."""
        self._network = network

    async def create_connection(  # type: ignore[override]
        self, factory: Any, host: str | None = None, port: int | None = None, **more: Any
    ) -> Any:
        """Through the simulated network."""
        assert not more, "no TLS and no sockets in a world"
        return await self._network.connect(factory, host, port)

    async def create_server(  # type: ignore[override]
        self, factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **_more: Any
    ) -> Any:
        """On the simulated network; `sock` is one of its addresses."""
        return self._network.listen(factory, sock if sock is not None else (host, port))
