"""Row 41 and its like: a process stands still, under traffic, and goes on. The worker, a bank, an
acquirer, each a process of its own, stopped by SIGSTOP: ten seconds in `make faults`, a while in
the suite. At the end the three ledgers agree."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from switch.apps.children import Child
from switch.apps.conservation import compare
from switch.apps.tail import Tail
from switch.crypto.keyfile import open_keys
from switch.journal.reader import open_reader
from switch.settings.load import load
from switch.sim.ledger import read_bookings, read_sales
from tests.support.node import Node
from tests.support.peer import ACQUIRER_CODE, Acquirer, until

WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))
STANDS_S: Final = 10.0 if WHOLE else 2.0
DEADLINE_S: Final = 0.6
RATE: Final = 60
BUSY_S: Final = 5.0
"""Two shared cores may need so much longer."""


class City:
    """A node, a bank and a fleet of terminals: four processes and more."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.node: Node
        self.bank: Child
        self.fleet: Child

    async def start(self) -> None:
        place = self.directory
        self.bank = Child("BANK01", [
            "issuer", "--name", "BANK01", "--institution-code", "20001",
            "--ledger", str(place / "BANK01.jsonl"), "--listen", "127.0.0.1:0",
            "--prefix", "629900", "--fast-ms", "1", "8", "--slow-ms", "150", "--late-ms", "800",
        ], place / "BANK01.log")  # fmt: skip
        at = await self.bank.start()
        (place / "node").mkdir()
        self.node = Node(
            place / "node", ["{}:{}".format(*at["listen"])], deadline="deadline_ms = 600"
        )
        await self.node.start()
        await until(lambda: self.node.opened("BANK01") >= 2, what="the bank's links")
        self.fleet = Child("ACQ01", [
            "terminal", "--name", "ACQ01", "--institution-code", ACQUIRER_CODE,
            "--ledger", str(place / "ACQ01.jsonl"), "--connect", self.node.acquirer,
            "--connections", "2", "--rate", str(RATE), "--terminals", "1000",
            "--patience-ms", "1500", "--mixture", "approving", "--prefix", "629900",
        ], place / "ACQ01.log")  # fmt: skip
        await self.fleet.start()

    async def end(self) -> None:
        for child in (getattr(self, "fleet", None), getattr(self, "bank", None)):
            if child is not None and child.running:
                os.kill(child.pid, signal.SIGCONT)
                await child.stop()
        if hasattr(self, "node"):
            await self.node.end()
            print(self.node.text()[-4_000:])  # noqa: T201 - shown when the test fails

    async def count(self, *names: str) -> int:
        """The fleet's sales that ended in one of these ways."""
        status = await self.fleet.report()
        return sum(int(status[name]) for name in names)

    async def declined(self, code: str) -> int:
        status = await self.fleet.report()
        return int(status["declined"].get(code, 0))

    async def sold(self, more: int, within_s: float = 60) -> None:
        done = await self.count("approved") + more
        async with asyncio.timeout(within_s):
            while await self.count("approved") < done:  # noqa: ASYNC110 - it must be asked
                await asyncio.sleep(0.1)

    async def conserved(self) -> None:
        self.fleet.order("pause")
        self.bank.order("heal")
        settings = load(self.node.directory)
        keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
        reader = open_reader(self.node.data / "journal" / "w0", keys)
        tail = Tail(lambda after: reader.records(after=after))

        async def still_open() -> bool:
            fleet, bank = await self.fleet.report(), await self.bank.report()
            tail.poll()
            mine = fleet["in_flight"] or fleet["owed"] or bank["waiting"]
            return bool(mine or tail.in_flight or tail.owed)

        async with asyncio.timeout(60):
            while await still_open():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await self.fleet.stop()
        assert await self.node.stop() == 0
        await self.bank.stop()
        report = compare(
            lambda: read_sales(self.directory / "ACQ01.jsonl"),
            reader.records,
            {"BANK01": lambda: read_bookings(self.directory / "BANK01.jsonl")},
        )
        assert report.ok, report.findings[:3]
        assert report.offered > 60
        assert reader.verify() == []


@asynccontextmanager
async def city(directory: Path) -> AsyncIterator[City]:
    made = City(directory)
    try:
        await made.start()
        yield made
    finally:
        await made.end()


@asynccontextmanager
async def standing_still(pid: int) -> AsyncIterator[None]:
    """Runs its block while the process stands, and lets it go on when the time is up."""
    began = time.monotonic()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        await asyncio.sleep(max(0.0, STANDS_S - (time.monotonic() - began)))
    finally:
        os.kill(pid, signal.SIGCONT)


async def echoed(city: City) -> float:
    """How long a second connection waits for the answer to its echo."""
    link = await Acquirer.connect(city.node.acquirer)
    began = time.monotonic()
    assert (await link.sign_on("301")).get("response_code") == "00"
    took_s = time.monotonic() - began
    await link.close()
    return took_s


async def test_a_worker_that_stood_still_is_the_same_worker_and_loses_nothing(
    tmp_path: Path,
) -> None:
    async with city(tmp_path) as town:
        await town.sold(30)
        pid = town.node.worker_pid
        async with standing_still(pid):
            pass
        await town.sold(30)
        assert town.node.worker_pid == pid, "nobody decides that a worker is slow"
        assert await town.count("unknown") > 0, "terminals gave up meanwhile"
        await town.conserved()


async def test_a_bank_that_stands_still_costs_its_own_sales_and_comes_back(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await town.sold(30)
        before = await town.declined("91")
        async with standing_still(town.bank.pid):
            await asyncio.sleep(DEADLINE_S + 0.4)
            assert await echoed(town) < BUSY_S
        assert await town.declined("91") > before, "told so in time"
        await town.sold(30)
        await town.conserved()


async def test_an_acquirer_that_stands_still_stops_nobody_else(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await town.sold(30)
        pid = town.node.worker_pid
        async with standing_still(town.fleet.pid):
            await asyncio.sleep(1.0)
            assert await echoed(town) < BUSY_S
        await town.sold(30)
        assert town.node.worker_pid == pid
        await town.conserved()


async def test_three_at_once_end_no_worker(tmp_path: Path) -> None:
    """Bank and acquirer stand while the worker does: all that was sent is still in the sockets."""
    async with city(tmp_path) as town:
        await town.sold(20)
        pids = (town.bank.pid, town.fleet.pid, town.node.worker_pid)
        async with standing_still(pids[0]), standing_still(pids[1]), standing_still(pids[2]):
            pass
        await town.sold(20)
        assert town.node.events("worker.restarting") == []
        await town.conserved()
