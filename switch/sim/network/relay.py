"""Listens, connects on, and passes bytes between the two as the rules let it."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from switch.errors import OperatorError
from switch.sim.network.pipe import Pipe, Rules, reset
from switch.sim.network.rule import Direction, Rule
from switch.wire.source import Source

__all__ = ["Relay"]


class Relay:
    """A network between whoever connects here and one address. One per process or test."""

    def __init__(
        self,
        to: tuple[str, int],
        rules: Iterable[Rule] = (),
        *,
        source: Source | None = None,
        rng: Random | None = None,
    ) -> None:
        """Raises: OperatorError when a rule needs a dialect and there is none."""
        rules = list(rules)
        self.to = to
        """May be changed: connections that come later go there."""
        self.address: tuple[str, int] | None = None
        """Where it listens, once started."""
        self.made = 0
        """Connections so far."""
        self._source = source
        self._rules = Rules((), source, rng or Random())
        self._server: asyncio.Server | None = None
        self._open: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._pipes: list[Pipe] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._carried = {"bytes_up": 0, "bytes_down": 0, "units_up": 0, "units_down": 0}
        self.put(*rules)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listens; returns ``host:port``. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, host, port)
        self.address = self._server.sockets[0].getsockname()[:2]
        return f"{self.address[0]}:{self.address[1]}"

    async def stop(self) -> None:
        """Ends listening and every connection."""
        if self._server is not None:
            self._server.close()
        # What was just accepted becomes a task a turn later, and must end too.
        await asyncio.sleep(0)
        self.cut()
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        # The transports say that they are lost in a turn of their own.
        await asyncio.sleep(0)

    def put(self, *rules: Rule) -> None:
        """These rules instead of those before, from the next unit on. Raises: OperatorError."""
        for rule in rules:
            if rule.of_frames and self._source is None:
                raise OperatorError(
                    f"{rule.fault} needs to tell messages apart", help="say which --dialect"
                )
        self._rules.put(rules)

    def heal(self) -> None:
        """No rule any more; stalled connections go on."""
        self._rules.heal()
        self._refusing = False

    def cut(self) -> None:
        """Resets every connection that stands."""
        for both in list(self._open.values()):
            for writer in both:
                reset(writer)

    def refuse(self) -> None:
        """Resets what stands and whatever connects, until healed: a line that is down."""
        self._refusing = True
        self.cut()

    @property
    def standing(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def done(self, fault: str) -> int:
        """How often a fault has acted."""
        return self._rules.done[fault]

    def status(self) -> Mapping[str, Any]:
        """Plain numbers for people and tests."""
        carried = dict(self._carried)
        for pipe in self._pipes:
            self._count(carried, pipe)
        return {
            "role": "network",
            "connections": self.made,
            "open": self.standing,
            **carried,
            "faults": dict(sorted(self._rules.done.items())),
        }

    @staticmethod
    def _count(into: dict[str, int], pipe: Pipe) -> None:
        into[f"bytes_{pipe.direction}"] += pipe.bytes
        into[f"units_{pipe.direction}"] += pipe.units

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.made = self.made, self.made + 1
        try:
            if self._refusing:
                reset(writer)
                return
            try:
                there, out = await asyncio.open_connection(*self.to)
            except OSError:
                reset(writer)
                return
            await self._join(number, (reader, writer), (there, out))
        except asyncio.CancelledError:
            # The end of the relay: streams would report it as an error of the accepting callback.
            reset(writer)
        finally:
            self._tasks.discard(task)

    async def _join(
        self,
        number: int,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        both = (here[1], there[1])
        self._open[number] = both

        def cut() -> None:
            for writer in both:
                reset(writer)

        pipes = [
            Pipe(self._rules, Direction.UP, number, here[0], there[1], cut),
            Pipe(self._rules, Direction.DOWN, number, there[0], here[1], cut),
        ]
        self._pipes += pipes
        try:
            await asyncio.gather(*(pipe.run() for pipe in pipes))
        finally:
            del self._open[number]
            for pipe in pipes:
                self._pipes.remove(pipe)
                self._count(self._carried, pipe)
            for writer in both:
                writer.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await writer.wait_closed()
