"""A neighbour on the core: it takes its part of every millisecond, and goes with its bench."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from switch.apps.bench.neighbour import beside
from switch.apps.bench.pins import tree
from switch.errors import OperatorError


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


COUNT = "while True: pass"


def may_be_real_time() -> bool:
    asks = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    asked = [sys.executable, "-S", "-c", asks]
    return subprocess.run(asked, check=False, stderr=subprocess.DEVNULL).returncode == 0


def test_a_share_that_cannot_be_had_is_refused() -> None:
    for share in (0.05, 1.0):
        with pytest.raises(OperatorError, match=f"{share:g}"), beside(0, share):
            pass


def test_the_switch_has_its_share_of_the_core_and_the_neighbour_the_rest() -> None:
    core = min(os.sched_getaffinity(0))
    busy = subprocess.Popen([sys.executable, "-S", "-c", COUNT], start_new_session=True)
    try:
        os.sched_setaffinity(busy.pid, {core})
        known = set(tree(os.getpid()))
        if not may_be_real_time():
            with pytest.raises(OperatorError, match="real-time"), beside(core, 0.25):
                pass
            assert set(tree(os.getpid())) == known
            return
        with beside(core, 0.25) as said:
            (neighbour,) = set(tree(os.getpid())) - known
            time.sleep(0.2)
            before = [cpu_ticks(pid) for pid in (busy.pid, neighbour)]
            began = time.monotonic()
            time.sleep(1.5)
            mine, its = (
                cpu_ticks(pid) - first
                for pid, first in zip((busy.pid, neighbour), before, strict=True)
            )
            ticks = (time.monotonic() - began) * os.sysconf("SC_CLK_TCK")
            assert os.sched_getaffinity(neighbour) == {core}
        assert said.startswith("25 % of it")
        # The neighbour's share is its own whatever else runs; ours we share with whoever does.
        assert 0.65 < its / ticks < 0.85, (its, ticks)
        assert 0 < mine / ticks < 0.35, (mine, ticks)
        assert neighbour not in tree(os.getpid())
    finally:
        busy.kill()
        busy.wait()
