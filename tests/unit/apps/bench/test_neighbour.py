"""A neighbour on the core: the share is that of the scheduler's weights, and it goes with its
bench."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from switch.apps.bench.neighbour import COUNT, beside, nice_of
from switch.apps.bench.pins import tree
from switch.errors import OperatorError


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_share_is_the_nearest_that_a_nice_value_gives() -> None:
    assert [nice_of(share) for share in (0.5, 0.39, 0.25, 0.1)] == [0, 2, 5, 10]
    with pytest.raises(OperatorError, match=r"0\.7"):
        nice_of(0.7)


def test_the_switch_has_its_share_of_the_core_and_the_neighbour_the_rest() -> None:
    core = min(os.sched_getaffinity(0))
    busy = subprocess.Popen([sys.executable, "-S", "-c", COUNT], start_new_session=True)
    try:
        os.sched_setaffinity(busy.pid, {core})
        known = set(tree(os.getpid()))
        with beside(busy.pid, core, 0.25) as said:
            (neighbour,) = set(tree(os.getpid())) - known
            time.sleep(0.2)
            before = [cpu_ticks(pid) for pid in (busy.pid, neighbour)]
            time.sleep(1.5)
            mine, its = (
                cpu_ticks(pid) - first
                for pid, first in zip((busy.pid, neighbour), before, strict=True)
            )
            assert os.sched_getaffinity(neighbour) == {core}
        assert said.startswith("25 % of it")
        assert 0.15 < mine / (mine + its) < 0.35, (mine, its)
        assert neighbour not in tree(os.getpid())
    finally:
        busy.kill()
        busy.wait()
