"""kill -9 at any moment under traffic: nothing is lost and nothing is made."""

import os
import signal
from pathlib import Path

from switch.sim.cards import DEMO
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
