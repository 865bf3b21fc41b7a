"""Journals with keys of their own, for tests of whatever reads or writes one."""

import os
import time
from pathlib import Path

from switch.native import journal

__all__ = ["SEGMENT_BYTES", "make_keys", "open_journal", "wait_synced"]

SEGMENT_BYTES = 65_536


def make_keys(directory: Path) -> journal.Keys:
    """Demo keys in `directory`: ``sealing.key`` and ``switch.keys``."""
    journal.create_sealing_key(str(directory / "sealing.key"))
    descriptor = os.open(directory / "sealing.key", os.O_RDONLY)
    try:
        journal.create_key_file(str(directory / "switch.keys"), descriptor, True)
        return journal.Keys.open(str(directory / "switch.keys"), descriptor)
    finally:
        os.close(descriptor)


def open_journal(directory: Path, keys: journal.Keys) -> journal.Journal:
    return journal.Journal.open(str(directory), keys, segment_bytes=SEGMENT_BYTES)


def wait_synced(opened: journal.Journal, lsn: int, within_s: float = 20.0) -> None:
    """Commits and waits; AssertionError when it takes longer or the journal fails."""
    opened.commit()
    deadline = time.monotonic() + within_s
    while opened.synced < lsn:
        assert opened.failure is None, opened.failure
        assert time.monotonic() < deadline, "not durable in time"
        time.sleep(0.000_2)
