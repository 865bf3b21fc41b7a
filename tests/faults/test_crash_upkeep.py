"""SIGKILL of a real worker under traffic while its journal changes its shape: a segment is full, a
checkpoint is written, covered segments are removed. The next worker goes on, and the three ledgers
agree. (The same points with nothing but a journal: test_crash_points.py.)"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from switch.apps.drill import CRASH_AT
from switch.native import hook
from tests.faults.test_clocks import faketime
from tests.faults.test_crash_points import ALONE, MIXTURE, recovers_twice_alike
from tests.support.mac import node_keys
from tests.support.peer import until
from tests.support.tree import ROOT
from tests.support.world import World, world

WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))
POINTS: Final = [name for name, _ in hook.points() if name.startswith(ALONE)]
PAST: Final = 210_000
"""Records before the first start: enough for a checkpoint to be due at once."""
SEGMENT: Final = 1 << 20

BEFORE: Final = """
import sys
from switch.native import journal
from switch.crypto.keyfile import open_keys
keys = open_keys(sys.argv[1] + "/keys/switch.keys", sys.argv[1] + "/keys/sealing.key")
opened = journal.Journal.open(sys.argv[2], keys, segment_bytes=int(sys.argv[4]))
for number in range(int(sys.argv[3])):
    opened.append({"kind": "STAN_MARK", "institution": "BANK02", "out_stan": number % 900_000 + 1})
    if number % 1_000 == 999:
        opened.commit()
        while opened.synced < opened.appended:
            opened.acknowledge()
opened.commit()
opened.close()
"""


def with_a_past(w: World) -> None:
    """A journal of three hours ago, longer than what is kept for search."""
    node_keys(w.node.directory)
    for part in (w.node.data, w.journal.parent, w.journal):
        part.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", BEFORE, str(w.node.directory), str(w.journal), str(PAST),
         str(SEGMENT)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
        env=os.environ | {
            "PYTHONPATH": str(ROOT), "LD_PRELOAD": faketime(), "FAKETIME": "-3h",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    settings = w.node.directory / "switch.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("[journal]\n", "[journal]\nretention_h = 1\n"), "utf-8")


async def dies_and_goes_on(w: World, point: str, tmp_path: Path) -> None:
    node = w.bare
    node.environment = {CRASH_AT: f"{point}:1"}
    process = await node.launch()
    await until(lambda: bool(node.told()) or process.returncode is not None, what="ready")
    if process.returncode is None:
        w.reach()
        await w.begin(wait=False)
    assert await node.ended() == -signal.SIGKILL, f"{point} was not reached"
    recovers_twice_alike(w.journal, w.keys(), tmp_path / "copy", SEGMENT)
    node.environment = {}
    await w.start()
    if not w.begun:
        await w.begin()
    await w.sold(20)


@pytest.mark.system
@pytest.mark.parametrize("point", POINTS if WHOLE else ["checkpoint.carried"])
async def test_a_worker_that_dies_while_its_journal_changes_shape_is_followed_by_one_that_goes_on(
    tmp_path: Path, point: str
) -> None:
    rotates = point.startswith("journal.rotate.")
    async with world(
        tmp_path, mixture=MIXTURE, rate=400 if rotates else 80, patience_s=0.7, late_ms=350,
        started=False, segment_mib=1, deadline="deadline_ms = 250",
    ) as w:  # fmt: skip
        if not rotates:
            with_a_past(w)
        await dies_and_goes_on(w, point, tmp_path)
        if not rotates:
            await until(lambda: bool(w.node.events("journal.checkpoint")), what="a checkpoint")
        if point.startswith("journal.remove."):
            await until(lambda: bool(w.node.events("journal.deleted")), what="covered ones go")
        await w.conserved()
