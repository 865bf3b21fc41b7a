"""The n-th write or sync of the journal fails, in a real worker under traffic: it stops with exit
code 3 before anything unrecorded leaves, and the next one goes on with nothing lost or doubled. The
n-th that only lingers costs time."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Final

import pytest

from switch.sim.cards import DEMO
from tests.support.peer import until
from tests.support.strace import Injection
from tests.support.world import World, world

DELAY_US: Final = 400_000
"""Longer than a bank may take here."""
NEVER: Final = 10_000
"""A call that no life here comes to."""
WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))
SWEEP: Final = [
    (call, what)
    for call in ("fdatasync", "pwrite64")
    for what in ("error=EIO", "error=ENOSPC", f"delay_enter={DELAY_US}")
]
"""What `make faults` goes through: n = 1, 2, 3, … until a life has no n-th call."""
SALES: Final = 10
"""Of a life: few, so that its calls can be failed one by one, from the first group of a new journal
to the last of a drain."""
ABREAST: Final = 4
"""Lives at a time: they mostly wait."""


class Life:
    """One world in which the n-th `call` fails or lingers, and the life after it."""

    def __init__(self, directory: Path, call: str, what: str, nth: int) -> None:
        self.directory = directory
        self.injection = Injection(directory, call, f"{what}:when={nth}")
        self.fails = what.startswith("error=")

    async def lived(self) -> bool:
        """Lives, dies of it, goes on, and conserves; False when there was no n-th call."""
        async with world(
            self.directory, seed=7, mixture=DEMO, rate=40, started=False, patience_s=0.7,
            late_ms=350, deadline="deadline_ms = 250",
        ) as w:  # fmt: skip
            node = w.bare
            node.wrapped = self.injection.command
            process = await node.launch()
            await until(lambda: bool(node.told()) or process.returncode is not None, what="ready")
            if process.returncode is None:
                w.reach()
                await w.begin(wait=False)
                await self._to_its_end(w, process)
            fired = self.injection.fired > 0
            code = await node.ended()
            if not (fired and self.fails):
                assert code == 0, node.text()[-3000:]
                w.agree()
                return fired
            assert code == 3, (self.injection.what, node.text()[-3000:])
            node.wrapped = ()
            await w.start()
            if w.begun:
                w.resume()
            else:
                await w.begin()
            await w.sold(SALES)
            await w.conserved()
        return True

    async def _to_its_end(self, w: World, process: asyncio.subprocess.Process) -> None:
        """Sales, what is open comes to rest, and a drain; it may end anywhere in between."""
        ended = asyncio.ensure_future(process.wait())
        await until(lambda: ended.done() or w.answered >= SALES, what="sales")
        resting = asyncio.ensure_future(w.rest())
        await asyncio.wait({ended, resting}, return_when=asyncio.FIRST_COMPLETED)
        if resting.done():
            await resting
        else:
            resting.cancel()
        told = w.node.told()
        if not ended.done() and told:
            # Not to strace, which would let go of it; and it may have ended just now.
            with contextlib.suppress(ProcessLookupError):
                os.kill(told["pid"], signal.SIGTERM)
        await ended


async def lived(directory: Path, call: str, what: str, nth: int) -> bool:
    place = directory / str(nth)
    place.mkdir()
    return await Life(place, call, what, nth).lived()


@pytest.mark.parametrize(
    ("call", "what", "nth"),
    [
        ("fdatasync", "error=EIO", 1),
        ("pwrite64", "error=ENOSPC", 7),
        ("fdatasync", "error=EDQUOT", 5),
    ],
)
async def test_a_failed_write_or_sync_stops_the_worker_and_loses_nothing(
    tmp_path: Path, call: str, what: str, nth: int
) -> None:
    assert await lived(tmp_path, call, what, nth)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("call", "what"), SWEEP if WHOLE else SWEEP[:1])
async def test_the_nth_call_fails_or_lingers_until_there_is_none(
    tmp_path: Path, call: str, what: str
) -> None:
    """Every n; a sample has one, and one that is never reached."""
    first, fired = 1, 0
    while True:
        numbers = range(first, first + ABREAST) if WHOLE else (3, NEVER)
        found = await asyncio.gather(*(lived(tmp_path, call, what, n) for n in numbers))
        fired += sum(found)
        if not (WHOLE and any(found)):
            break
        first += ABREAST
    print(f"{call} {what}: {fired} of {numbers[-1]} lives had an n-th call")  # noqa: T201 - by -rP
    assert fired >= (10 if WHOLE else 1)
    assert not found[-1]


@pytest.mark.system
async def test_a_worker_whose_sync_failed_is_restarted_by_its_node_and_goes_on(
    tmp_path: Path,
) -> None:
    """Nobody orders it: the supervisor begins the next life, which recovers."""
    async with world(tmp_path, mixture=DEMO, supervised=True) as w:
        await w.sold(10)
        first = w.node.worker_pid
        failing = Injection(tmp_path, "fdatasync", "error=EIO:when=1")
        strace = await asyncio.create_subprocess_exec(*failing.onto(first))
        await until(lambda: w.node.told().get("pid", first) != first, what="the next worker")
        await strace.wait()
        assert failing.fired
        assert [e["exit_code"] for e in w.node.events("worker.restarting")] == [3]
        assert "cannot sync" in w.node.events("worker.failed")[-1]["reason"]
        w.reach()
        await w.sold(10)
        await w.conserved()


async def test_a_slow_disk_costs_time_and_no_truth(tmp_path: Path) -> None:
    """Four syncs in a row take longer than a bank may: nothing is approved after its deadline,
    nothing that was told is taken back, and the worker lives."""
    slow = Injection(tmp_path, "fdatasync", "delay_enter=350000:when=25..28")
    async with world(
        tmp_path, mixture=DEMO, started=False, deadline="deadline_ms = 250", late_ms=350
    ) as w:
        w.bare.wrapped = slow.command
        await w.start()
        await w.begin()
        await until(lambda: slow.fired >= 4, what="slow syncs")
        await w.sold(20)
        await w.conserved()


@pytest.mark.parametrize(("call", "error"), [("fallocate", "ENOSPC")])
async def test_a_next_segment_that_cannot_be_made_is_an_alarm_and_no_end(
    tmp_path: Path, call: str, error: str
) -> None:
    failing = Injection(tmp_path, call, f"error={error}:when=2..3", part=True)
    async with world(tmp_path, started=False) as w:
        w.bare.wrapped = failing.command
        await w.start()
        await w.begin()
        await until(lambda: bool(w.node.events("journal.shortage")), what="the alarm")
        await until(lambda: bool(w.node.events("journal.room")), what="all clear, by itself")
        await w.sold(10)
        await w.conserved()
    assert failing.fired


READS_MAX: Final = 200
"""More than the recovery of two segments makes."""


@pytest.mark.timeout(600)
async def test_a_read_that_fails_in_recovery_refuses_the_start(tmp_path: Path) -> None:
    """The n-th for all n until a start reads no n-th time; a sample has one of them."""
    async with world(tmp_path, mixture=DEMO) as w:
        await w.sold(10)
        os.kill(w.node.worker_pid, signal.SIGKILL)
        await w.bare.ended()
        refused = 0
        for nth in range(1, READS_MAX) if WHOLE else (4, READS_MAX):
            unreadable = Injection(tmp_path, "pread64", f"error=EIO:when={nth}")
            w.bare.wrapped = unreadable.command
            process = await w.bare.launch()
            await until(lambda: bool(w.node.told()) or process.returncode is not None, what="start")  # noqa: B023
            if not unreadable.fired:
                break
            assert await w.bare.ended() == 3
            reason = w.node.events("worker.refused")[-1]["reason"]
            assert "cannot read" in reason
            assert ".seg" in reason
            refused += 1
        assert 1 <= refused < READS_MAX - 1
        # Nothing was changed by all these starts: this one, which could read, goes on.
        w.reach()
        await w.sold(5)
        await w.rest()
        assert await w.bare.stop() == 0
        w.agree()
