"""The gateway of a world: the product's own vault, orders and repairs, in lives of its own.

It runs beside the worker on one machine: a kill ends one of the two, a power cut both. What is left
out is its socket: an order is given to it as a value, and the answer may be lost with its life.
"""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any, Final

import structlog

from switch.errors import TapswitchError
from switch.native import journal as journals
from switch.simulation.loop import LIFE, Life, VirtualLoop
from switch.simulation.vault import Connection, database_of, service_of
from switch.tokens.orders import Answer, Order
from switch.tokens.service import TokenService

__all__ = ["Gateway", "LostError"]

log = structlog.get_logger("simulation")

TEND_S: Final = 2.0
"""How often it looks whether all is well; a minute in production."""
AGAIN_S: Final = 0.2
"""After a repair that failed."""


class LostError(Exception):
    """The gateway was not there, or has gone with the order."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__(begun)
        self.begun = begun
        """It may have been carried out."""


class Gateway:
    """Lives one after another over one vault."""

    def __init__(
        self,
        loop: VirtualLoop,
        directory: Path,
        prefix: str,
        keys: journals.Keys,
        wall_ms: Callable[[], int],
        wait_s: Callable[[], float],
        restart_s: Callable[[], float],
        told: Callable[[str], None],
    ) -> None:
        """`wait_s` draws how long a statement takes, `restart_s` how long its supervisor waits;
        `told` hears of beginnings and ends."""
        self.loop = loop
        self.directory = directory
        self._prefix = prefix
        self._keys = keys
        self._wall_ms = wall_ms
        self._wait_s = wait_s
        self._restart_s = restart_s
        self._told = told
        self.life: Life | None = None
        self.lives = 0
        self.service: TokenService | None = None
        self.retired = False
        self.tending: list[list[int]] = []
        """From when to when each repair or rebuild went on, virtual; 0 at the end: it was cut
        off."""
        self._context = copy_context()
        self._connections: list[Connection] = []
        self._looked = False
        self._waiting: list[asyncio.Future[Any]] = []
        self._graves: list[Any] = []
        self._outside = copy_context()

    @property
    def up(self) -> bool:
        """It takes orders."""
        return self.service is not None

    @property
    def sound(self) -> bool:
        """It takes orders, and has found vault and index equal."""
        books = self.service.books if self.service is not None else None
        return books is not None and self._looked and not (books.behind or books.rebuilding)

    def start(self) -> None:
        """A new life."""
        if self.retired or self.life is not None:
            return
        self.lives += 1
        self._told(f"the gateway's life {self.lives} starts")
        self.life = life = Life(f"gateway/{self.lives}")
        self._context = context = copy_context()
        context.run(LIFE.set, life)
        self._task(self._live(), context)

    def _task(self, work: Any, context: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = context.run(self.loop.create_task, work)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._graves.append(task)
        return task

    async def _live(self) -> None:
        database, self._connections = database_of(self.directory, self._wait_s)
        service = await service_of(
            self.directory, self._prefix, self._keys, self._wall_ms, database
        )
        self._graves.append(service)
        self.service = service
        self._looked = False
        while True:
            wait_s = TEND_S
            span = self._begun()
            try:
                await service.books.tend()
                self._looked = True
            except TapswitchError as error:
                log.error("index.not_repaired", reason=str(error))  # noqa: TRY400
                wait_s = AGAIN_S
            span[1] = self.loop.now_ns
            await asyncio.sleep(wait_s)

    def _begun(self) -> list[int]:
        span = [self.loop.now_ns, 0]
        self.tending.append(span)
        return span

    async def ask(self, order: Order, *, rebuilds: bool = False) -> Answer:
        """Has an order carried out, from outside. Raises: what the service raises; LostError."""
        await asyncio.sleep(self._wait_s())
        service = self.service
        if service is None:
            raise LostError(begun=False)
        answered: asyncio.Future[Answer] = self.loop.create_future()
        self._waiting.append(answered)
        self._task(self._perform(service, order, answered, rebuilds), self._context)
        try:
            return await answered
        finally:
            self._waiting.remove(answered)

    async def _perform(
        self, service: TokenService, order: Order, answered: "asyncio.Future[Any]", rebuilds: bool
    ) -> None:
        span = self._begun() if rebuilds else None
        try:
            answer: Any = await service.perform(order)
        except Exception as error:  # noqa: BLE001 - it is the asker's
            self._soon(answered, error)
        else:
            self._soon(answered, answer)
        if span is not None:
            span[1] = self.loop.now_ns

    def _soon(self, answered: "asyncio.Future[Any]", what: Any) -> None:
        """On its way; whoever is killed now has not said it."""
        self.loop.call_later(self._wait_s(), self._say, answered, what)

    def _say(self, answered: "asyncio.Future[Any]", what: Any) -> None:
        if answered.done():
            return
        if isinstance(what, Exception):
            answered.set_exception(what)
        else:
            answered.set_result(what)

    def kill(self) -> None:
        """Now, in the middle of whatever it does."""
        if self.life is None:
            return
        self._told(f"the gateway's life {self.lives} is killed")
        self.life.ended = True
        self.life = self.service = None
        for connection in self._connections:
            connection.cut()
        self._connections = []
        for answered in self._waiting:
            if not answered.done():
                answered.set_exception(LostError(begun=True))
        if not self.retired:
            self.loop.call_later(self._restart_s(), self.start, context=self._outside)

    def clear(self) -> None:
        """Lets go of all that earlier lives left."""
        self.retired = True
        self.kill()
        self._graves.clear()
