"""Whose thread collects cyclic garbage. In processes of their own: each has one collector."""

import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT

CYCLES = """
import gc, sys, threading, weakref
from pathlib import Path
from switch.native import walk
from switch.runtime import garbage
from tests.support.walk import keys_in

class Ring:
    pass

def left():
    ring = Ring()
    ring.native = walk.Duplicates(keys, 16)
    ring.itself = ring
    weakref.finalize(ring, lambda: print(threading.current_thread().name))

keys = keys_in(Path(sys.argv[1]))
if sys.argv[2] == "taken":
    garbage.take_over()
else:
    gc.set_threshold(50_000, 20, 100)
left()
busy = threading.Thread(target=lambda: [[] for _ in range(200_000)], name="other")
busy.start()
busy.join()
kept = [[] for _ in range(garbage.FIRST_MAX + 1)]
garbage.look()
"""


def cycles(directory: Path, how: str) -> tuple[list[str], str]:
    made = subprocess.run(
        [sys.executable, "-c", CYCLES, str(directory), how],
        capture_output=True, text=True, cwd=ROOT, check=True, timeout=60,
    )  # fmt: skip
    return made.stdout.split(), made.stderr


def test_a_native_object_in_a_cycle_is_dropped_on_the_loops_thread(tmp_path: Path) -> None:
    threads, complaints = cycles(tmp_path, "taken")
    assert threads == ["MainThread"]
    assert "unsendable" not in complaints


def test_the_interpreter_by_itself_drops_it_wherever_somebody_allocates(tmp_path: Path) -> None:
    """Why there is `garbage`: when this fails, it is not needed any more."""
    threads, complaints = cycles(tmp_path, "left")
    assert threads == ["other"]
    assert "unsendable, but is being dropped on another thread" in complaints
