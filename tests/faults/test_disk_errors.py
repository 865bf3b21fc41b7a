"""The n-th write or sync of the journal fails, in a real worker under traffic: it stops with exit
code 3 before anything unrecorded leaves, and the next one goes on with nothing lost or doubled."""

from pathlib import Path

import pytest

from switch.sim.cards import DEMO
from tests.support.peer import until
from tests.support.strace import Injection
from tests.support.world import world


async def fails_at(directory: Path, call: str, error: str, nth: int) -> bool:
    """One life in which the n-th `call` fails with `error`, and one after it; False when there was
    no n-th call."""
    injection = Injection(directory, call, f"error={error}:when={nth}")
    async with world(directory, seed=nth, mixture=DEMO, started=False) as w:
        node = w.bare
        node.wrapped = injection.command
        process = await node.launch()
        await until(lambda: bool(node.told()) or process.returncode is not None, 30, "ready")
        if process.returncode is None:
            w.reach()
            await w.begin(wait=False)
            await until(lambda: process.returncode is not None or w.answered >= 40, 30, "its end")
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
    [("fdatasync", "EIO", 1), ("fdatasync", "EIO", 12), ("pwrite64", "ENOSPC", 7)],
)
async def test_a_failed_write_or_sync_stops_the_worker_and_loses_nothing(
    tmp_path: Path, call: str, error: str, nth: int
) -> None:
    assert await fails_at(tmp_path, call, error, nth)
