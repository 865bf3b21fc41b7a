"""What operators want of members, kept in a file so that it holds over a restart of the node.

`members.json` in the data directory: one entry a member that is drained or signed off, with since
when, by whom and why. Written whole, synced and put in place, before the order takes effect. A
member that the settings do not know any more keeps its entry, and meets it when it comes back.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from switch.errors import OperatorError, OrderError
from switch.runtime.member import Hold

__all__ = ["Holds", "Kept", "Suspended", "holds_file"]


class Suspended(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Since when nothing is approved in a bank's name, although its rules would."""

    since: str = ""
    """UTC, ISO 8601."""
    by: str = ""
    reason: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One member's entry."""

    hold: Hold = Hold.NONE
    since: str = ""
    """UTC, ISO 8601."""
    by: str = ""
    reason: str = ""
    stand_in: Suspended | None = None
    """None: not suspended."""


NOTHING = Kept()


def holds_file(data_dir: str | Path) -> Path:
    """`members.json` in the data directory."""
    return Path(data_dir) / "members.json"


class Holds:
    """The entries, by member id. `keep` blocks: call it off the loop."""

    def __init__(self, file: Path, kept: dict[str, Kept]) -> None:
        self._file = file
        self._kept = kept

    @classmethod
    def load(cls, file: Path) -> "Holds":
        """Raises: OperatorError when the file is there and cannot be understood: a drained member
        must not come back by accident."""
        try:
            raw = file.read_bytes()
        except FileNotFoundError:
            return cls(file, {})
        except OSError as error:
            raise OperatorError(f"cannot be read: {error.strerror}", file=str(file)) from None
        try:
            return cls(file, msgspec.json.decode(raw, type=dict[str, Kept]))
        except msgspec.DecodeError:
            raise OperatorError(
                "this file says which members are drained, and it is damaged",
                file=str(file),
                help="move it away; every member is then in service, so drain those that must not"
                " be, again",
            ) from None

    def of(self, member: str) -> Kept:
        """The entry of a member."""
        return self._kept.get(member, NOTHING)

    def keep(self, member: str, entry: Kept) -> None:
        """Puts an entry on disk, then in force here. Raises: OrderError; then nothing changed."""
        fresh = {name: kept for name, kept in self._kept.items() if name != member}
        if entry.hold is not Hold.NONE or entry.stand_in is not None:
            fresh[member] = entry
        try:
            self._write(msgspec.json.format(msgspec.json.encode(fresh), indent=2) + b"\n")
        except OSError as error:
            raise OrderError(
                f"it cannot be kept: {error.strerror}; nothing was done",
                file=str(self._file),
                help="make room on its disk",
            ) from None
        self._kept = fresh

    def _write(self, content: bytes) -> None:
        fresh = self._file.with_suffix(".new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                with open(descriptor, "wb", closefd=False) as opened:
                    opened.write(content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fresh.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        directory = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
