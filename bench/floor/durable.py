"""The journal of the durable floor: the product's own, with keys that live as long as the run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from switch.native import journal, load

__all__ = ["open_journal", "open_log"]


@contextmanager
def open_journal(directory: str) -> Iterator[tuple[journal.Keys, journal.Journal]]:
    """New keys and a new journal in `directory`; the journal is closed cleanly at the end."""
    room = Path(directory)
    room.mkdir(parents=True, exist_ok=True)
    sealing, file = str(room / "sealing.key"), str(room / "floor.keys")
    journal.create_sealing_key(sealing)
    descriptor = os.open(sealing, os.O_RDONLY | os.O_CLOEXEC)
    try:
        journal.create_key_file(file, descriptor, demo=True)
        keys = journal.Keys.open(file, descriptor)
    finally:
        os.close(descriptor)
    records = room / "journal"
    records.mkdir()
    log = journal.Journal.open(str(records), keys)
    try:
        yield keys, log
    finally:
        log.close()


@contextmanager
def open_log(directory: str) -> Iterator[load.Recorder]:
    """A recorder on a new journal."""
    with open_journal(directory) as (_, log):
        yield load.Recorder(log)
