"""Meter files in memory: used under a lock, removed at a clean end, swept when their node is
dead."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.observe import place
from tests.support.tree import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from switch.observe import place
directory = place.meter_directory(sys.argv[1])
hold = place.Hold(directory)
place.meter_file(sys.argv[1], "w0").write_bytes(b"counts")
print(directory, flush=True)
sys.stdin.readline()
hold.release()
"""


class Holder:
    """Another process that uses a node's directory."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(data_dir)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.directory = Path(self.process.stdout.readline().strip())

    def end(self) -> None:
        self.process.communicate("end\n")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture(autouse=True)
def _no_runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    yield
    place.sweep()


def test_a_dead_nodes_directory_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    dead, living = Holder(tmp_path / "dead"), Holder(tmp_path / "living")
    assert dead.directory.parent == Path("/dev/shm")
    dead.kill()
    assert place.meter_files(tmp_path / "dead"), "a kill leaves it behind"
    assert place.sweep() >= 1
    assert not dead.directory.exists()
    assert [file.read_bytes() for file in place.meter_files(tmp_path / "living")] == [b"counts"]
    living.end()
    assert not living.directory.exists()


def test_the_last_of_a_node_to_end_well_takes_the_directory_along(tmp_path: Path) -> None:
    first, second = Holder(tmp_path), Holder(tmp_path)
    first.end()
    assert second.directory.exists()
    second.end()
    assert not second.directory.exists()


def test_whoever_looks_makes_nothing(tmp_path: Path) -> None:
    assert place.meter_files(tmp_path / "nobody") == []
    assert not place._where(tmp_path / "nobody").exists()


def test_a_directory_removed_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = place.meter_directory(tmp_path)
    really = fcntl.flock
    struck: list[int] = []

    def late(fd: int, what: int) -> None:
        really(fd, what)
        if not struck:
            struck.append(fd)
            directory.rmdir()

    monkeypatch.setattr(fcntl, "flock", late)
    hold = place.Hold(directory)
    assert struck
    assert directory.is_dir()
    assert place.sweep() == 0 or directory.is_dir(), "it is held"
    hold.release()
    hold.release()
    assert not directory.exists()


def test_what_an_earlier_version_left_without_a_lock_is_left_alone(tmp_path: Path) -> None:
    directory = place.meter_directory(tmp_path)
    try:
        place.sweep()
        assert directory.is_dir()
    finally:
        directory.rmdir()
