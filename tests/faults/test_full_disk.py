"""The journal's disk is full: new work is refused, what was begun goes on, no worker ends by it,
and with room all goes on by itself. Real files on a real file system that is too small."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from switch.apps.supervisor import Plan, Supervisor
from switch.sim.terminal import Habit
from tests.support.disk import Ballast, small_disk
from tests.support.peer import Acquirer, purchase, until
from tests.support.world import World, world

DISK_KIB = 4 * 1024
"""Three segments of 1 MiB, which a first start asks for, and small things."""


def refused(w: World) -> int:
    """Sales that were answered 96."""
    return int(w.fleet.status()["declined"].get("96", 0))


@pytest.mark.system
async def test_a_full_disk_refuses_new_work_keeps_room_for_reversals_and_goes_on_by_itself(
    tmp_path: Path,
) -> None:
    data = tmp_path / "node" / "data"
    with small_disk(data, DISK_KIB):
        async with world(
            tmp_path, rate=400, habits={Habit.CANCEL: 0.05}, started=False, segment_mib=1
        ) as w:
            await w.start()
            scripted = await Acquirer.connect(w.node.acquirer)
            early = purchase(4321)
            assert (await scripted.ask(early)).get("response_code") == "00"
            ballast = Ballast(data)
            ballast.fill()
            await w.begin()
            await until(lambda: bool(w.node.events("journal.shortage")), 40, "the alarm")
            assert refused(w) == 0, "the alarm comes long before anything is refused"

            # New work is refused, at once and with the code for a fault of ours.
            await until(lambda: refused(w) > 20, 40, "refusals")
            asked = purchase()
            began = time.monotonic()
            assert (await scripted.ask(asked)).get("response_code") == "96"
            assert time.monotonic() - began < 4
            # Money is given back all the same.
            reversal = scripted.reversal_of(early)
            assert (await scripted.ask(reversal, "0420")).get("response_code") == "00"

            # Room, and it goes on: the same process, the same connections.
            pid = w.node.worker_pid
            approved = w.fleet.status()["approved"]
            ballast.drop()
            await until(lambda: w.fleet.status()["approved"] > approved + 20, what="sales again")
            late = purchase()
            assert (await scripted.ask(late)).get("response_code") == "00"
            await scripted.ask(scripted.reversal_of(late), "0420")
            assert (await scripted.ask(reversal, "0421")).get("response_code") == "00"
            await scripted.ask(scripted.reversal_of(asked), "0420")
            assert w.node.worker_pid == pid
            await until(lambda: bool(w.node.events("journal.room")), what="all clear")
            await dies_and_waits_for_room(w, ballast)
            await w.conserved()


async def dies_and_waits_for_room(w: World, ballast: Ballast) -> None:
    """A worker that dies before its next segment was made, on a full disk: its successor stays and
    waits."""
    assert w.bare.process is not None
    w.bare.process.send_signal(signal.SIGKILL)
    await w.bare.ended()
    used = w.reader().summary()["segments"]
    for spare in sorted(w.journal.glob("*.seg"))[used:]:
        spare.unlink()
    ballast.fill()
    alarms = len(w.node.events("journal.shortage"))
    process = await w.bare.launch()
    await until(lambda: len(w.node.events("journal.shortage")) > alarms, what="the alarm again")
    await asyncio.sleep(1.2)
    assert process.returncode is None
    assert not w.node.told()
    ballast.drop()
    await until(lambda: bool(w.node.told()), what="ready, by itself")
    w.reach()
    await w.sold(20)


WAITING = """
import json, os, sys, time
fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
os.write(fd, b'{"waiting": "room"}\\n')
time.sleep(3.5)
line = {"ready": True, "pid": os.getpid(), "acquirers": {}, "issuers": {}}
os.write(fd, (json.dumps(line) + "\\n").encode())
time.sleep(60)
"""


async def test_a_supervisor_does_not_end_a_worker_that_says_why_it_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("switch.apps.supervisor.READY_S", 2.0)
    ready: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    supervisor = Supervisor(Plan(worker=[sys.executable, "-c", WAITING]), ready.put_nowait)
    running = asyncio.ensure_future(supervisor.run(signals=False))
    assert (await asyncio.wait_for(ready.get(), 60))["ready"]
    assert supervisor.restarts == 0
    supervisor.stop()
    await asyncio.wait_for(running, 60)
