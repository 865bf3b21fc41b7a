"""Taking connections from the kernel: so many at a time, so many a second, and never the last
descriptors.

It accepts by itself, not by `create_server`, which takes all that wait in one turn of the loop, and
gives up whom it has no descriptor for without a word.

**Descriptors.** The kernel gives the lowest number that is free, so the number of a new connection
says how full the table is. The last `DESCRIPTORS_KEPT` belong to what must not fail: segments of
the journal, checkpoints, an operator's orders, the banks that are dialled. A connection that gets
one of them is closed at once. Should the table be full all the same (the limit was lowered, or the
whole system's is reached), nothing is taken for a second; what stands, stands.
"""

import asyncio
import resource
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from switch.runtime.clock import monotonic_ns
from switch.runtime.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from switch.runtime.member import Acquirer, Bank
    from switch.runtime.transport import Connection

__all__ = ["ACCEPTS_MAX", "DESCRIPTORS_KEPT", "Acceptor", "raise_descriptor_limit"]

log = structlog.get_logger("link")

ACCEPTS_MAX: Final = 16
"""Connections taken from the kernel in one turn of the loop."""
ACCEPT_PAUSE_S: Final = 1.0
DESCRIPTORS_KEPT: Final = 64
DESCRIPTORS_WANTED: Final = 65_536
"""What the soft limit is raised to, as far as the hard one allows: every place of every member."""


def raise_descriptor_limit() -> int:
    """Raises this process's soft limit; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, DESCRIPTORS_WANTED) if hard != resource.RLIM_INFINITY else DESCRIPTORS_WANTED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


class Acceptor:
    """Accepts the connections of one member until it is closed."""

    def __init__(
        self,
        member: "Acquirer | Bank",
        factory: "Callable[[], Connection]",
        sockets: Sequence[socket.socket],
        shed: "Callable[[], None]",
    ) -> None:
        """`sockets` listen already; they are closed with us. `shed` counts a connection that was
        closed for want of descriptors."""
        self.sockets = sockets
        self._member = member
        self._factory = factory
        self._shed = shed
        self._loop = asyncio.get_running_loop()
        self._making: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.TimerHandle | None = None
        self._closed = False
        self._quiet = {"link.accept_failed": Quiet(), "link.no_descriptor": Quiet()}
        self._resume()

    def close(self) -> None:
        """No further connections; those that are not made yet end here. Those that stand stay."""
        if self._closed:
            return
        self._closed = True
        self._pause()
        for listening in self.sockets:
            listening.close()
        for task in self._making:
            task.cancel()

    def _pause(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        for listening in self.sockets:
            self._loop.remove_reader(listening.fileno())

    def _pause_for(self, seconds: float) -> None:
        self._pause()
        self._resuming = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        for listening in self.sockets:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Somebody waits there."""
        arrivals = self._member.arrivals
        for _ in range(ACCEPTS_MAX):
            wait_s = arrivals.wait_s(monotonic_ns())
            if wait_s:
                self._pause_for(wait_s)
                return
            if not self._take(listening):
                return

    def _take(self, listening: socket.socket) -> bool:
        """Takes one from the kernel; False: nobody waits, or nobody can be taken for a while."""
        try:
            accepted, address = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            # No more descriptors, or no memory: a while later there may be.
            self._complain("link.accept_failed", error=error.strerror)
            self._pause_for(ACCEPT_PAUSE_S)
            return False
        self._member.arrivals.taken()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if accepted.fileno() >= limit - DESCRIPTORS_KEPT > 0:
            accepted.close()
            self._shed()
            self._complain("link.no_descriptor", descriptors_max=limit)
        else:
            accepted.setblocking(False)
            self._taken(accepted, f"{address[0]}:{address[1]}")
        return True

    def _taken(self, accepted: socket.socket, peer: str) -> None:
        """What becomes of one that was taken."""
        del peer
        self._make(self._plain(accepted))

    async def _plain(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, accepted)
        except OSError:
            accepted.close()  # It has gone already.

    def _make(self, making: Any) -> None:
        task = self._loop.create_task(making)
        self._making.add(task)
        task.add_done_callback(self._made)

    def _made(self, task: "asyncio.Task[None]") -> None:
        self._making.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context: dict[str, Any] = {"message": "connection", "exception": error}
            self._loop.call_exception_handler(context)

    def _complain(self, event: str, **facts: Any) -> None:
        quiet = self._quiet[event]
        if quiet.speaks(monotonic_ns()):
            log.error(event, member=self._member.name, silenced=quiet.silenced(), **facts)
