"""Dials a bank and keeps dialling: one task a connection, jittered back-off, the next address on
each failure.

A connection counts as good once the bank has signed us on and it stood for `STOOD_S`; a peer that
accepts and closes, or signs on and closes, is backed off from like one that refuses, or we would
hammer it: whatever a bank does, each of its connections dials, and signs on, ever more rarely until
it stands.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from switch.model.backoff import delay_ms

if TYPE_CHECKING:
    from switch.runtime.transport import Connection

    Connect = Callable[[Connection, str, int], Awaitable[None]]

__all__ = ["CONNECT_TIMEOUT_S", "HALF_OPEN", "Dialer"]

log = structlog.get_logger("dialer")

HALF_OPEN: Final = "half-open"
"""Why a connection ended whose peer answered nothing any more."""
CONNECT_TIMEOUT_S: Final = 5.0
"""A host that does not even answer a SYN; the next address may."""


STOOD_S: Final = 30.0
"""A connection that ended sooner is no proof that the next one will stand. The longest usual pause
between attempts, so that a bank that comes and goes is not dialled at the first pause again and
again."""


class Dialer:
    """All dialled connections of one bank."""

    def __init__(
        self,
        name: str,
        addresses: Sequence[tuple[str, int]],
        connections: int,
        backoff_ms: tuple[int, int],
        factory: "Callable[[], Connection]",
        connect: "Connect | None" = None,
    ) -> None:
        """`addresses` in order of preference; `backoff_ms` least and longest pause between
        attempts; `connect` makes a connection, plain TCP when there is none."""
        self._connect = connect or _plain
        self.name = name
        """The bank."""
        self._addresses = addresses
        self._count = connections
        self._backoff_ms = backoff_ms
        self._factory = factory
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._may_dial = asyncio.Event()
        self._may_dial.set()
        self._bounced = False
        self.attempts = 0
        """Connects tried, for metrics."""
        self.failures = 0

    def start(self) -> None:
        """Begins to dial; returns at once."""
        loop = asyncio.get_running_loop()
        while len(self._tasks) < self._count:
            task = loop.create_task(self._keep(), name=f"dial {self.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def adopt(
        self,
        addresses: Sequence[tuple[str, int]],
        connections: int,
        backoff_ms: tuple[int, int],
        connect: "Connect | None" = None,
    ) -> None:
        """As of the next connection that is dialled. Those that stand, stand; one too many is not
        dialled again when it ends."""
        self._connect = connect or _plain
        self._addresses = addresses
        self._count = connections
        self._backoff_ms = backoff_ms
        self.start()

    def hold(self) -> None:
        """No new connections until `resume`. Those that stand, stay."""
        self._may_dial.clear()

    def resume(self) -> None:
        """Dials again what is missing."""
        self._may_dial.set()

    async def stop(self) -> None:
        """No more dialling. Connections that stand are left to the drain."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep(self) -> None:
        failures = 0
        task = asyncio.current_task()
        assert task is not None
        while not self._stopping:
            if not self._may_dial.is_set():
                await self._may_dial.wait()
                failures = 0
            if len(self._tasks) > self._count:
                self._tasks.discard(task)
                return
            host, port = self._addresses[failures % len(self._addresses)]
            self.attempts += 1
            good = False
            try:
                good = await self._one(host, port)
            except (OSError, TimeoutError) as error:
                self.failures += 1
                if failures < 3 or failures % 64 == 0:
                    log.warning(
                        "dial.failed",
                        bank=self.name,
                        address=f"{host}:{port}",
                        error=type(error).__name__,
                        failures=failures + 1,
                    )
            failures = 0 if good else failures + 1
            if self._bounced:
                self._bounced = False
                continue
            pause_ms = delay_ms(max(failures - 1, 0), *self._backoff_ms, random.random())
            await asyncio.sleep(pause_ms / 1000)

    async def _one(self, host: str, port: int) -> bool:
        """One connection from SYN to end; True when the bank had signed us on and
        it stood."""
        connection = self._factory()
        connection.ended = asyncio.Event()
        await self._connect(connection, host, port)
        made_s = asyncio.get_running_loop().time()
        await connection.ended.wait()
        # Closed by ourselves, to be made anew: no reason to wait.
        self._bounced = connection.leaving
        # One that was closed for being dead is no proof that its host lives.
        stood = asyncio.get_running_loop().time() - made_s >= STOOD_S
        return connection.was_open and stood and connection.reason != HALF_OPEN


async def _plain(connection: "Connection", host: str, port: int) -> None:
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
