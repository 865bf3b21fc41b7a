"""A worker in the test's own loop: the same assembly as in its process, on whichever loop the
test runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from switch.apps.worker import Worker
from switch.runtime.driver import Driver
from switch.settings.load import load
from tests.support.node import Node
from tests.support.peer import Peer

__all__ = ["Rig", "rig"]


class Rig:
    """A started worker; `acquirer` is where ACQ01 connects, `issuers` where banks dial in."""

    def __init__(self, worker: Worker, addresses: dict[str, dict[str, str]]) -> None:
        self.worker = worker
        self.acquirer = addresses["acquirers"]["ACQ01"]
        self.issuers = addresses["issuers"]

    @property
    def driver(self) -> Driver:
        return self.worker.driver

    def member(self, name: str) -> Any:
        """The acquirer or bank of that id."""
        members: list[Any] = [*self.worker.acquirers.values(), *self.worker.banks.values()]
        return next(member for member in members if member.name == name)


@contextlib.asynccontextmanager
async def rig(directory: Path, banks: list[str] | None, **more: Any) -> AsyncIterator[Rig]:
    """A worker over the configuration that `Node` writes (`banks` None: that stands there already);
    drained and closed at the end."""
    if banks is not None:
        Node(directory, banks, **more)
    worker = Worker(load(directory))
    worker.open()
    try:
        yield Rig(worker, await worker.start())
    finally:
        for peer in list(Peer.open_peers):
            peer.abort()
        if not worker.finished:
            await worker.finish()
        if worker.driver.failed.done():
            # A process that stops leaves these to the system; here their thread and files must go.
            worker.journal.close()
            worker.metrics.close()
        asyncio.get_running_loop().set_exception_handler(None)
