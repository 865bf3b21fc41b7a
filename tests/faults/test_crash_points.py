"""SIGKILL at every named point of the product: whatever stood where, the next life goes on, the
three ledgers are one story, and recovering what was recovered changes nothing.

The names come from the product, so that none is forgotten; a point that a test cannot reach fails
it. Points of worker and gate are met by a real worker under real traffic; those of rotation,
deletion and checkpoints, and those of the vault, by a process that does nothing else.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from switch.apps.drill import CRASH_AT
from switch.crypto.keyfile import open_keys
from switch.journal.reader import open_reader
from switch.model.state import KeyState
from switch.native import hook, journal, walk
from switch.sim.cards import Mixture
from switch.sim.magic import Act
from tests.faults.test_token_crash import completed_after_the_repair, prepared
from tests.support.peer import Acquirer, purchase, until
from tests.support.tree import ROOT
from tests.support.vault import differences, opened
from tests.support.walk import NOW_S, keys_in
from tests.support.walk import World as Walk
from tests.support.world import World, world

POINTS: Final = [name for name, _ in hook.points()]
VAULT: Final = ("vault.", "index.")
ALONE: Final = ("journal.rotate.", "journal.remove.", "checkpoint.")
AT_START: Final = ("journal.recover.", "worker.recovered", "worker.started", "worker.resumed")
WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))
"""`make faults`: a world at rest after every single death, and several arrivals at each point."""
COUNTS: Final = (1, 2, 5, 23) if WHOLE else (1,)
CHAIN: Final = 1 if WHOLE else 5
"""Deaths before the ledgers are compared."""

MIXTURE: Final[Mixture] = {Act.SILENT: 0.03, Act.LATE: 0.03, Act.DECLINE: 0.03}
AIM: Final = {
    "journal.appended": 40, "release.reversal.before": 2, "release.reversal.after": 2,
    "release.between": 4,
}  # fmt: skip
"""At which arrival, so that traffic is well under way; 12 for the others, 1 at a start."""


def aimed(point: str, count: int) -> str:
    once = point.startswith((*AT_START, "worker.", "journal.prepare."))
    return f"{point}:{1 if once else AIM.get(point, 12) * count}"


def state(place: Path, keys: journal.Keys, segment_bytes: int) -> tuple[Any, ...]:
    """What a recovery finds in a journal."""
    opened = journal.Journal.open(str(place), keys, segment_bytes=segment_bytes)
    table = walk.Duplicates(keys, 8192)
    found = walk.recover(opened, keys, table, walk.Gate(opened, table, None, "62990"))
    return (
        [one.txn for one in found.in_doubt],
        [(one.txn, one.stan, one.time) for one in found.owed],
        found.marks,
        found.last_txn,
        found.records,
        len(table),
    )


def recovers_twice_alike(place: Path, keys: journal.Keys, copy: Path, segment_bytes: int) -> None:
    shutil.copytree(place, copy)
    first = state(copy, keys, segment_bytes)
    assert state(copy, keys, segment_bytes) == first
    shutil.rmtree(copy)


def child(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


# ---------------------------------------------------------------------- a worker under traffic


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One world for all points: each test leaves it at rest."""
    directory = tmp_path_factory.mktemp("crash")
    async with world(
        directory,
        mixture=MIXTURE,
        rate=120,
        patience_s=0.7,
        late_ms=350,
        deadline="deadline_ms = 250",
    ) as made:
        await made.rest()
        yield made


IN_WORKER: Final = [point for point in POINTS if not point.startswith(VAULT + ALONE)]


@pytest.mark.system
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "points", [IN_WORKER[at : at + CHAIN] for at in range(0, len(IN_WORKER), CHAIN)], ids=" ".join
)
@pytest.mark.asyncio(loop_scope="module")
async def test_workers_that_die_at_any_point_are_followed_by_one_that_goes_on(
    shared: World, tmp_path: Path, points: list[str], count: int
) -> None:
    node = shared.bare
    shared.resume()
    await shared.sold(5)
    assert node.process is not None
    node.process.send_signal(signal.SIGKILL)
    await node.ended()
    for point in points:
        await dies(shared, point, count)
        recovers_twice_alike(shared.journal, shared.keys(), tmp_path / "copy", 2 << 20)
    node.environment = {}
    await shared.start()
    await shared.sold(5)
    await shared.rest()
    shared.agree()


async def dies(shared: World, point: str, count: int) -> None:
    """One life, which ends at that point."""
    node = shared.bare
    node.environment = {CRASH_AT: aimed(point, count)}
    process = await node.launch()
    await until(lambda: bool(node.told()) or process.returncode is not None, what="ready")
    if process.returncode is None:
        shared.reach()
        if point == "worker.drained":
            await shared.sold(2)
            process.send_signal(signal.SIGTERM)
    assert await node.ended() == -signal.SIGKILL, f"{point} was not reached"
    assert node.events("crash.armed")[-1]["at"].startswith(f"{point}:")


async def test_an_answer_at_whose_hand_over_the_worker_died_has_left(tmp_path: Path) -> None:
    """Else the points behind a hand-over would be those before it under another name."""
    async with world(tmp_path, started=False) as w:
        for links, point, told in (
            (2, "release.answer.before", False),
            (4, "release.answer.after", True),
        ):
            w.bare.environment = {CRASH_AT: f"{point}:1"}
            await w.start()
            await until(lambda: w.node.opened("BANK01") >= links, what="the bank")  # noqa: B023
            acquirer = await Acquirer.connect(w.node.acquirer)
            acquirer.send("0200", purchase())
            await asyncio.wait_for(acquirer.ended.wait(), 60)
            codes = [m.get("response_code") for m in acquirer.received if m.mti == "0210"]
            assert codes == ["00"] * told, point
            assert await w.bare.ended() == -signal.SIGKILL


# ---------------------------------------------------------------- lives of a node, one by one

STARTING: Final = [p for p in IN_WORKER if p.startswith((*AT_START, "journal.prepare."))]
RUNNING: Final = [p for p in IN_WORKER if p not in {*STARTING, "worker.drained"}]
HALF: Final = (len(RUNNING) + 1) // 2
ROWS: Final = [
    # Two under traffic, followed by those that die at their start: a node whose very first worker
    # cannot start ends, and one whose worker dies often waits ever longer.
    [*RUNNING[at::HALF], *STARTING[at::HALF]]
    for at in range(HALF)
]


@pytest.mark.system
@pytest.mark.parametrize("row", ROWS if WHOLE else ROWS[:1], ids=" ".join)
async def test_a_node_whose_workers_die_one_after_the_other_goes_on_by_itself(
    tmp_path: Path, row: list[str]
) -> None:
    """Nobody unsets anything and nobody starts anything: each life has its own death, and the
    supervisor begins the next."""
    deaths = [aimed(point, 1) for point in row]
    async with world(
        tmp_path, supervised=True, mixture=MIXTURE, rate=120, patience_s=0.7, late_ms=350,
        started=False, deadline="deadline_ms = 250",
    ) as w:  # fmt: skip
        w.node.environment = {CRASH_AT: ",".join(deaths)}
        await w.start()
        await w.begin(wait=False)
        await until(lambda: len(w.node.events("worker.restarting")) == len(row), 90, "all deaths")
        assert [e["at"] for e in w.node.events("crash.armed")] == deaths
        assert {e["exit_code"] for e in w.node.events("worker.restarting")} == {128 + 9}
        await until(lambda: bool(w.node.told()), what="the one that goes on")
        await w.sold(20)
        await w.conserved()


@pytest.mark.system
async def test_a_worker_that_dies_at_the_end_of_its_drain_has_handed_over(tmp_path: Path) -> None:
    async with world(tmp_path, supervised=True, started=False) as w:
        w.node.environment = {CRASH_AT: "worker.drained:1"}
        await w.start()
        await w.begin()
        await w.sold(10)
        first = w.node.worker_pid
        ordered = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "switch", "restart", "--config", str(w.node.directory),
            "--reason", "drill", "--wait",
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await ordered.communicate()
        assert ordered.returncode == 0, said.decode()
        await until(lambda: w.node.told().get("pid", first) != first, what="the next worker")
        assert [e["exit_code"] for e in w.node.events("worker.replaced")] == [128 + 9]
        await w.sold(20)
        await w.conserved()


# ------------------------------------------------------------- rotation, deletion, checkpoints

CHILD: Final = """
import sys, time
from pathlib import Path
from switch.native import hook
from tests.support import walk
walk.SEGMENT_BYTES = 65_536
world = walk.World(Path(sys.argv[1]), capacity=8192)
hook.arm(sys.argv[2])
stan = 0
while stan < 2_000:
    stan += 1
    world.approved(stan)
    print(stan, flush=True)
    if stan % 100 == 0:
        while not world.gate.checkpoint(world.wall_ms):
            world.sync()
        world.sync()
        world.journal.delete_covered(int(time.time() * 1000) + 1)
"""


@pytest.mark.parametrize("count", (1, 2, 5, 17) if WHOLE else (1,))
@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith(ALONE)])
def test_rotation_deletion_and_checkpoints_may_be_cut_off_anywhere(
    tmp_path: Path, point: str, count: int
) -> None:
    keys = keys_in(tmp_path)
    done = child(CHILD, str(tmp_path), f"{point}:{count}")
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr[-1000:]}"
    approved = int(done.stdout.split()[-1])
    place = tmp_path / "journal"
    recovers_twice_alike(place, keys, tmp_path / "copy", 65_536)
    assert open_reader(place, keys).verify() == []
    # Everything that was told to anybody is still known, from a checkpoint or from its records.
    after = Walk(tmp_path, capacity=8192)
    walk.recover(after.journal, keys, after.duplicates, after.gate)
    for stan in range(1, approved + 1):
        entry = after.duplicates.look(after.purchase(stan), after.acquirer, NOW_S)
        assert entry is not None, stan
        assert entry.state == KeyState.APPROVED
    # And it goes on, without giving a number twice.
    after._stan, after._txn = approved + 10, approved + 10
    after.approved(approved + 10)
    assert after.findings() == []
    after.journal.close()


# ------------------------------------------------------------------------------------ the vault

VAULT_CHILD: Final = """
import asyncio, sys
from pathlib import Path
import msgspec
from switch.native import hook
from switch.tokens import orders
from tests.faults.test_token_crash import keys_in
from tests.support.vault import opened

async def main():
    async with opened(Path(sys.argv[1]), keys_in(Path(sys.argv[1]))) as room:
        hook.arm(sys.argv[2])
        await room.service.perform(msgspec.json.decode(sys.argv[3], type=orders.Order))

asyncio.run(main())
"""


@pytest.mark.parametrize("point", [p for p in POINTS if p.startswith(VAULT)])
@pytest.mark.parametrize("order", ["issue", "suspend"])
async def test_an_order_about_a_token_is_carried_out_whole_or_not_at_all(
    tmp_path: Path, order: str, point: str
) -> None:
    asked, token = await prepared(tmp_path, order)
    told = msgspec.json.encode(asked).decode()
    done = child(VAULT_CHILD, str(tmp_path), f"{point}:1", told)
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr[-1000:]}"
    keys = open_keys(str(tmp_path / "switch.keys"), str(tmp_path / "sealing.key"))
    for _ in range(2):
        # Twice: what was repaired needs no repair.
        async with opened(tmp_path, keys) as room:
            assert await differences(room) == []
            assert await room.books.vault.intents() == []
            if point == "vault.commit.before":
                assert token == "" or room.usable(token)
            else:
                await completed_after_the_repair(room, order, token)
