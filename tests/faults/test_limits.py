"""RLIMIT_FSIZE on a real node under traffic: writes of the journal that come back short at a byte
of our choice and then fail (row 16), and a next segment for which the limit leaves no room."""

import os
import resource
from pathlib import Path
from typing import Final

import pytest

from switch.sim.cards import DEMO
from tests.support.peer import until
from tests.support.world import World, world

WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))
SEGMENT: Final = 2 << 20
STEPS: Final = [1, 2, 3, 7, 64, 511, 512, 513, 4_095, 4_096] if WHOLE else [7, 513]
"""How many bytes more than it has written may be written."""


def written(w: World) -> int:
    """Where the journal's last record begins, in its segment."""
    return max(int(record["offset"]) for record in w.records())


def limit(pid: int, size: int) -> None:
    """A file of this process may not become longer from now on."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.mark.parametrize("more", STEPS)
async def test_a_write_that_comes_back_short_stops_the_worker_and_loses_nothing(
    tmp_path: Path, more: int
) -> None:
    async with world(tmp_path, mixture=DEMO) as w:
        await w.sold(20)
        # The file was made in full long ago: only writes beyond this byte come back short.
        limit(w.node.worker_pid, written(w) + 2_000 + more)
        assert await w.bare.ended() == 3, w.node.text()[-2_000:]
        failed = w.node.events("worker.failed")[-1]["reason"]
        assert "File too large" in failed
        assert ".seg" in failed
        # The limit went with the process.
        await w.start()
        await w.sold(20)
        await w.conserved()


async def test_a_last_write_that_fails_is_told_though_nothing_is_lost(tmp_path: Path) -> None:
    """At the end of a drain, when all has left: the worker says so, and ends as one whose disk
    fails."""
    async with world(tmp_path, mixture=DEMO) as w:
        await w.sold(10)
        await w.rest()
        limit(w.node.worker_pid, 4_096)
        assert await w.bare.stop() == 3, w.node.text()[-2_000:]
        assert "File too large" in w.node.events("worker.failed")[-1]["reason"]
        assert w.node.events("worker.stopped") == []
        w.resume()
        await w.start()
        await w.sold(10)
        await w.conserved()


async def test_a_limit_below_a_segment_is_an_alarm_and_with_room_it_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path, rate=300, segment_mib=1, mixture=DEMO) as w:
        await w.sold(5)
        limit(w.node.worker_pid, (1 << 20) - 1)
        await until(lambda: bool(w.node.events("journal.shortage")), what="the alarm")
        assert w.bare.process is not None
        assert w.bare.process.returncode is None
        limit(w.node.worker_pid, resource.RLIM_INFINITY)
        await until(lambda: bool(w.node.events("journal.room")), what="all clear, by itself")
        await w.sold(20)
        await w.conserved()
