"""What a worker stands on: the parts of the outside world that a simulation replaces.

Everything else of a worker is the same wherever it runs. `REAL` is what a process uses.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.apps.keys import worker_keys
from switch.native import journal as journals
from switch.runtime.listening import take
from switch.settings.schema import Settings
from switch.wire import Dialect

__all__ = ["MIB", "REAL", "Ground", "journal_directory"]

MIB: Final = 1 << 20


def journal_directory(settings: Settings, worker: str) -> Path:
    """Where a worker's journal lies."""
    return Path(settings.node.data_dir) / "journal" / worker


def _open_journal(settings: Settings, worker: str, keys: journals.Keys) -> journals.Journal:
    directory = journal_directory(settings, worker)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return journals.Journal.open(
        str(directory),
        keys,
        segment_bytes=settings.journal.segment_mib * MIB,
        pending_bytes_max=settings.journal.pending_mib * MIB,
    )


def _compile(settings: Settings, name: str, file: str) -> Dialect:
    return Dialect.compile(settings.dialect_text(name), file)


class Ground(msgspec.Struct, frozen=True):
    """One worker's outside world."""

    keys: Callable[[Settings], journals.Keys] = worker_keys
    """Raises: KeyFileError."""
    journal: Callable[[Settings, str, journals.Keys], journals.Journal] = _open_journal
    """By settings, worker name and keys. Raises: JournalError."""
    dialect: Callable[[Settings, str, str], Dialect] = _compile
    """By settings, name and file. Raises: DialectError."""
    take: Callable[[str, int], Awaitable[Sequence[Any]]] = take
    """Takes an address to listen on. Raises: OSError."""
    boot: Callable[[], int] = os.getpid
    """Tells this life of the worker from others."""
    orders: bool = True
    """It takes operators' orders, and keeps the configuration in force for its successor."""


REAL: Final = Ground()
