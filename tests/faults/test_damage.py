"""A journal's files damaged: a flipped bit is found and named with file, offset and remedy, and no
worker starts on it; what was cut off at the end was never acknowledged, and the rest goes on.

All bytes and all cuts are gone through natively (native/src/journal/tests.rs); here a sample, with
the reader, the command and the worker that operators have.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from switch.errors import JournalError
from switch.journal.reader import open_reader
from switch.native import journal
from switch.settings.load import load
from tests.support.node import Node
from tests.support.tree import ROOT
from tests.support.walk import World, keys_in

SEGMENT: Final = 65_536
BLOCKS: Final = 8_192
"""Head and link; records begin behind them."""
SALES: Final = 30
WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))
STEP: Final = 1 if WHOLE else 397
"""Every 397th byte: a prime, so that all places of a frame are met. `make faults`: every one."""
CUT: Final = 1 if WHOLE else 41
LOOK: Final = 1_201 if WHOLE else 12
"""A reader takes its time, since a writer might be at work: it looks at so many of them."""


class Small:
    """One segment with records, its keys and where each record begins."""

    def __init__(self, directory: Path) -> None:
        self.keys = keys_in(directory)
        made = World(directory, capacity=1024)
        for stan in range(1, SALES + 1):
            made.approved(stan)
        # The last group has several records.
        for stan in range(100, 105):
            made.forward(made.purchase(stan))
        made.sync()
        self.place = Path(made.directory)
        # As a process that was killed leaves it, but for a segment that is being prepared: it may
        # get its name while it is copied.
        self.copy = directory / "killed"
        shutil.copytree(self.place, self.copy, ignore=shutil.ignore_patterns("lock", "*.part"))
        made.journal.close()
        self.records = list(open_reader(self.copy, self.keys).records())
        self.file = self.copy / f"{1:010}.seg"
        self.end = BLOCKS + len(self.file.read_bytes()[BLOCKS:].rstrip(b"\0"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    patch = pytest.MonkeyPatch()
    patch.setattr("tests.support.walk.SEGMENT_BYTES", SEGMENT)
    yield Small(tmp_path_factory.mktemp("damage"))
    patch.undo()


def opened(place: Path, keys: journal.Keys) -> int:
    """The last record with which a worker would go on; raises JournalError as it would."""
    found = journal.Journal.open(str(place), keys, segment_bytes=SEGMENT)
    return found.stats()["last_boot_lsn"]


def tried(place: Path, keys: journal.Keys) -> tuple[int, JournalError | None]:
    try:
        return opened(place, keys), None
    except JournalError as error:
        return 0, error


def test_a_flipped_bit_anywhere_in_records_heads_and_links_is_found_and_named(
    small: Small, tmp_path: Path
) -> None:
    place = tmp_path / "j"
    shutil.copytree(small.copy, place)
    file = place / small.file.name
    whole = bytearray(file.read_bytes())
    last_group = min(r["offset"] for r in small.records if r["lsn"] > len(small.records) - 5)
    found = 0
    for number, at in enumerate(range(0, small.end, STEP)):
        damaged = whole.copy()
        damaged[at] ^= 1 << at % 8
        file.write_bytes(damaged)
        last, error = tried(place, small.keys)
        if error is None:
            # Zeros that pad a block, or the last group, which may never have been durable.
            assert last <= len(small.records)
            assert at >= last_group or whole[at] == 0, at
            continue
        found += 1
        assert error.file == str(file)
        assert f"at offset {error.offset}" in str(error)
        assert error.offset <= at
        assert "restore this file from a copy" in error.remedy
        if number % LOOK == 0:
            first = open_reader(place, small.keys).verify()[0]
            assert (first["rule"], first["file"]) == ("structure", str(file))
            assert first["remedy"] == error.remedy
    assert found > 20


def test_cuts_of_the_last_group_leave_what_was_whole(small: Small, tmp_path: Path) -> None:
    place = tmp_path / "j"
    whole = small.file.read_bytes()
    group = [r for r in small.records if r["lsn"] > len(small.records) - 5]
    for at in range(group[0]["offset"], small.end, CUT):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(small.copy, place)
        (place / small.file.name).write_bytes(whole[:at] + bytes(len(whole) - at))
        whole_ones = [r["lsn"] for r in small.records if r["offset"] < at]
        last = opened(place, small.keys)
        # The record that was cut is gone, those before it are there.
        assert last in (whole_ones[-1] if whole_ones else 0, len(whole_ones) - 1)
        # Again: what was recovered is recovered the same.
        assert opened(place, small.keys) == last


def test_neither_command_nor_worker_takes_a_damaged_journal(tmp_path: Path) -> None:
    directory = tmp_path / "node"
    directory.mkdir()
    node = Node(directory, ["127.0.0.1:1"])
    settings = load(directory)
    for path in (settings.keys.file, settings.keys.sealing_key_file):
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    journal.create_sealing_key(settings.keys.sealing_key_file)
    with open(settings.keys.sealing_key_file, "rb") as sealing:
        journal.create_key_file(settings.keys.file, sealing.fileno(), demo=True)
        keys = journal.Keys.open(settings.keys.file, sealing.fileno())
    place = node.data / "journal" / "w0"
    for part in (node.data, place.parent, place):
        part.mkdir(mode=0o700)
    made = journal.Journal.open(str(place), keys, segment_bytes=2 << 20)
    for stan in range(1, 50):
        made.append({"kind": "STAN_MARK", "out_stan": stan})
        made.commit()
    made.close()
    file = place / f"{1:010}.seg"
    data = bytearray(file.read_bytes())
    data[BLOCKS + 300] ^= 4
    file.write_bytes(data)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    verified = run("switch", "journal", "verify", str(directory))
    assert verified.returncode != 0
    started = run("switch.apps.worker", "--config", str(directory))
    assert started.returncode == 3
    for said in (verified.stdout + verified.stderr, started.stdout + started.stderr):
        assert str(file) in said
        assert "offset" in said
        assert "restore this file from a copy" in said.replace("\n", " ")
