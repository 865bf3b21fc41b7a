"""kill -9 at any moment under traffic: nothing is lost and nothing is made."""

import os
import signal
from pathlib import Path

from switch.observe import place
from switch.sim.cards import DEMO
from tests.support.node import Node
from tests.support.peer import until
from tests.support.world import world


async def test_kills_under_traffic_conserve(tmp_path: Path) -> None:
    async with world(tmp_path, mixture=DEMO, supervised=False) as w:
        for _ in range(3):
            await w.sold(30)
            assert w.node.process is not None
            os.kill(w.node.process.pid, signal.SIGKILL)
            await w.bare.ended()
            await w.start()
        await w.sold(30)
        report = await w.conserved()
        assert report.reversed > 0


async def test_what_a_killed_node_left_in_memory_is_swept_by_the_next_start_of_any(
    tmp_path: Path,
) -> None:
    killed, other = (Node(_made(tmp_path / name), ["127.0.0.1:1"]) for name in ("a", "b"))
    try:
        await killed.start()
        meter = Path(killed.told()["meter"])
        assert meter.parent.parent == Path("/dev/shm")
        assert there(meter)
        worker = killed.worker_pid
        os.kill(worker, signal.SIGKILL)
        await killed.end()
        await until(lambda: not there(Path(f"/proc/{worker}")), what="all of it ends")
        # Whoever starts next sweeps it: this one, or a node of another test that runs beside.
        await other.start()
        assert not there(meter.parent)
        own = Path(other.told()["meter"])
        # One life hands over to the next: the node holds the directory in between.
        await other.kill_worker()
        place.sweep()
        assert there(own)
        assert await other.stop() == 0
        assert not there(own.parent), "a clean end leaves nothing"
    finally:
        await killed.end()
        await other.end()


def there(path: Path) -> bool:
    return path.exists()


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
