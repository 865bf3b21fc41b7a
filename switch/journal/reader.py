"""Where journals are, and opening one for reading."""

from pathlib import Path
from typing import Final

from switch.errors import JournalError
from switch.native import journal

__all__ = ["Keys", "Reader", "directories", "open_reader"]

Keys = journal.Keys
Reader = journal.Reader

SEGMENTS: Final = "*.seg"


def directories(place: Path) -> list[Path]:
    """The journals at `place`: itself when it holds segments, else those of the workers below it.

    `place` may be a journal, a ``journal`` directory with one journal a worker, or the data
    directory above. Raises: JournalError when there is none.
    """
    if any(place.glob(SEGMENTS)):
        return [place]
    for parent in (place / "journal", place):
        found = sorted(child for child in parent.glob("*/") if any(child.glob(SEGMENTS)))
        if found:
            return found
    raise JournalError(
        f"there is no journal in {place}",
        remedy="name a journal directory, a data directory, or a configuration directory",
    )


def open_reader(directory: Path, keys: Keys) -> Reader:
    """Takes no lock: a running worker is not disturbed. Raises: JournalError."""
    return Reader.open(str(directory), keys)
