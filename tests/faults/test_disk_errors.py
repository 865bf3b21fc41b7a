"""The n-th write or sync of the journal fails, in a real worker under traffic: it stops with exit
code 3 before anything unrecorded leaves, and the next one goes on with nothing lost or doubled."""

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from switch.sim.cards import DEMO
from tests.support.peer import until
from tests.support.strace import Injection
from tests.support.world import world

WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))
SWEEP: Final = [
    (call, error) for call in ("fdatasync", "pwrite64") for error in ("EIO", "ENOSPC", "EDQUOT")
]
"""What `make faults` goes through, n growing until there is no n-th call."""
COUNTS: Final = [*range(1, 13), 15, 19, 24, 30, 40, 55, 75, 100, 140, 200, 300, 450, 700]


async def fails_at(directory: Path, call: str, error: str, nth: int) -> bool:
    """One life in which the n-th `call` fails with `error`, and one after it; False when there was
    no n-th call."""
    injection = Injection(directory, call, f"error={error}:when={nth}")
    async with world(directory, seed=nth, mixture=DEMO, started=False) as w:
        node = w.bare
        node.wrapped = injection.command
        process = await node.launch()
        await until(lambda: bool(node.told()) or process.returncode is not None, what="ready")
        if process.returncode is None:
            w.reach()
            await w.begin(wait=False)
            await until(lambda: process.returncode is not None or w.answered >= 40, what="its end")
        if not injection.fired:
            return False
        assert await node.ended() == 3, node.text()[-3000:]
        node.wrapped = ()
        await w.start()
        if not w.begun:
            await w.begin()
        await w.sold(10)
        await w.conserved()
    return True


@pytest.mark.parametrize(
    ("call", "error", "nth"),
    [("fdatasync", "EIO", 1), ("pwrite64", "ENOSPC", 7)],
)
async def test_a_failed_write_or_sync_stops_the_worker_and_loses_nothing(
    tmp_path: Path, call: str, error: str, nth: int
) -> None:
    assert await fails_at(tmp_path, call, error, nth)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("call", "error"), SWEEP if WHOLE else SWEEP[:1])
async def test_the_nth_call_fails_until_there_is_none(
    tmp_path: Path, call: str, error: str
) -> None:
    fired = 0
    for nth in COUNTS if WHOLE else (3, 700):
        directory = tmp_path / str(nth)
        directory.mkdir()
        if not await fails_at(directory, call, error, nth):
            break
        fired += 1
    assert fired >= (10 if WHOLE else 1)
    assert nth > 1


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
