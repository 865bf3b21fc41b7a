"""Processes that the demonstration starts and steers: JSON lines in, JSON lines out.

Each runs in a session of its own, so that Ctrl-C reaches the demonstration alone, and ends at the
end of its stdin or by the kernel's parent-death signal when the demonstration dies.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.apps.said import last_words
from switch.errors import OperatorError, UnreachableError

__all__ = ["Child"]

READY_S: Final = 20.0
STOP_S: Final = 3.0
"""A child that does not stop by itself in this time is killed."""


class Child:
    """One simulator."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.status: dict[str, Any] = {}
        """Its latest status line."""
        self._arguments = arguments
        self._log = log
        self._ready: asyncio.Future[dict[str, Any]] | None = None
        self._reports = asyncio.Condition()
        self._count = 0
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> dict[str, Any]:
        """Starts it and waits for its ready line, which is returned. Raises OperatorError."""
        self._ready = asyncio.get_running_loop().create_future()
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "switch",
                "sim",
                *self._arguments,
                "--steered",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._reader = asyncio.create_task(self._read())
        try:
            return await asyncio.wait_for(self._ready, READY_S)
        except TimeoutError:
            raise UnreachableError(f"{self.name} is not ready after {READY_S:.0f} s") from None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id, once it was started."""
        assert self._process is not None
        return self._process.pid

    def check(self) -> None:
        """Raises OperatorError when it has ended by itself."""
        if not self.running:
            raise self._ended()

    def order(self, name: str) -> None:
        """Sends an order; a child that has gone takes none."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(msgspec.json.encode({"do": name}) + b"\n")

    async def report(self) -> dict[str, Any]:
        """Its status as of now. Raises OperatorError when it has ended."""
        count = self._count
        self.order("report")
        async with self._reports:
            await self._reports.wait_for(lambda: self._count > count or not self.running)
        self.check()
        return self.status

    async def stop(self) -> None:
        """Asks it to end, and makes sure."""
        if self._process is None:
            return
        self.order("stop")
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    def kill(self) -> None:
        """Ends it at once; its ledger is whole up to the last event all the same."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._ready is not None
        async for line in self._process.stdout:
            event = msgspec.json.decode(line)
            if event["event"] == "ready" and not self._ready.done():
                self._ready.set_result(event)
            elif event["event"] == "status":
                self.status = event
                self._count += 1
                async with self._reports:
                    self._reports.notify_all()
        await self._process.wait()
        if not self._ready.done():
            self._ready.set_exception(self._ended())
        async with self._reports:
            self._reports.notify_all()

    def _ended(self) -> OperatorError:
        said = last_words(self._log)
        return OperatorError(
            f"{self.name} ended by itself" + (f": {said}" if said else ""),
            help=f"its output is in {self._log}",
        )
