"""The writing end of the audit: who ordered what of a node, why, and what became of it.

An order that changes something stands on disk before anything of it takes effect, and its result
follows. Whoever cannot write here refuses such orders; payments go on. A running worker writes, and
commands that change something beside it (keys, terminals); a lock keeps them in turn, and each goes
on behind what the others have written. What the file looks like: chain.py.

**After a crash** the last line may be unfinished. It is never cut away: the next writer ends it,
and its first record names the length and hash of what was left.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import stat
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.control.chain import (
    FIRST_HASH,
    Chain,
    Record,
    Verdict,
    audit_file,
    files,
    head_file,
    line_of,
    lines_of,
    read,
    read_head,
    verify,
)
from switch.control.order import By, Caller, Order
from switch.errors import AuditError

__all__ = [
    "FILE_BYTES_MAX",
    "FIRST_HASH",
    "Audit",
    "Record",
    "Verdict",
    "audit_file",
    "read",
    "verify",
]

FILE_BYTES_MAX: Final = 16 << 20
"""Then a file is set aside: some 40,000 orders, verified in a second."""
LOCK_TRIES: Final = 400
RECENT_S: Final = 900
"""Orders of the last quarter of an hour are what a worker that starts is told."""
RECENT_MAX: Final = 4_096
LOCK_PAUSE_S: Final = 0.005
"""Another writer holds the lock for one record; two seconds mean that it stands still."""


class Audit:
    """Its methods block: call them off the loop, in turn."""

    def __init__(self, file: Path, version: str, file_bytes_max: int = FILE_BYTES_MAX) -> None:
        self._file = file
        self._version = version
        self._file_bytes_max = file_bytes_max
        self._descriptor = -1
        self._lock = -1
        self._inode = 0
        self._number = 0
        self._hash = FIRST_HASH
        self._first = 1
        self._size = 0
        self._behind = False
        """The file is new and must say what it goes on behind."""
        self._fault = "it was never opened"
        self.recent: deque[Record] = deque(maxlen=RECENT_MAX)
        """Of the last `RECENT_S` before it was opened, as far as the file that is written now has
        them."""
        self._recent_from = ""
        self._owed: list[dict[str, Any]] = []
        """Results that found no room; they are written before anything else."""

    @property
    def newest(self) -> tuple[int, str]:
        """Number and hash of the newest record."""
        return self._number, self._hash

    def open(self, at_ms: int, pid: int) -> None:
        """Verifies what is there and goes on behind it, saying that a worker has started; `recent`
        has what was ordered before.

        Raises: AuditError. Orders that change something are then refused with the same reason.
        """
        self._recent_from = _at(at_ms - RECENT_S * 1_000)
        self.attach(at_ms, {"kind": "opened", "pid": pid, "version": self._version, **_ours()})
        self._recent_from = ""

    def attach(self, at_ms: int, first: dict[str, Any] | None = None) -> None:
        """As `open`, for a command. Raises: AuditError."""
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._own(self._file.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._lock = os.open(self._file.with_suffix(".lock"), flags, 0o600)
            self._own(self._lock)
            with self._locked():
                torn = self._reopen()
                if first is not None:
                    self._put(at_ms, {**first, "kind": "resumed", **torn} if torn else first)
                elif torn:
                    self._put(at_ms, {"kind": "resumed", "pid": os.getpid(), **torn})
        except OSError as error:
            raise self._unwritable(error) from None

    def order(self, at_ms: int, order: Order, caller: Caller) -> int:
        """Puts an order on disk before it takes effect; its number. Raises: AuditError."""
        return self.command(at_ms, msgspec.to_builtins(order), caller)

    def command(self, at_ms: int, told: dict[str, Any], caller: Caller) -> int:
        """As `order`, of one that is no order to a worker. `told` has `by` and no secrets."""
        self._ready(at_ms)
        return self._guarded(at_ms, {"kind": "order", **_of(told, caller)})

    def result(self, at_ms: int, number: int, outcome: str, code: str, problem: str) -> None:
        """What became of an order. Raises: AuditError; the result is then written as soon as there
        is room, before any other order."""
        told = {"kind": "result", "of": number, "outcome": outcome, "code": code}
        told["problem"] = problem[:400]
        try:
            self._ready(at_ms)
            self._guarded(at_ms, told)
        except AuditError:
            self._owed.append(told)
            raise

    def look(
        self, at_ms: int, order: Order, caller: Caller, outcome: str, code: str, problem: str
    ) -> None:
        """An order that changed nothing, with its result. Raises: AuditError."""
        self.looked(at_ms, msgspec.to_builtins(order), caller, outcome, code, problem)

    def looked(
        self,
        at_ms: int,
        told: dict[str, Any],
        caller: Caller,
        outcome: str = "done",
        code: str = "",
        problem: str = "",
    ) -> None:
        """As `look`, of one that is no order to a worker. Raises: AuditError."""
        self._ready(at_ms)
        ended = {"outcome": outcome, "code": code, "problem": problem[:400]}
        self._guarded(at_ms, {"kind": "look", **_of(told, caller), **ended})

    def incident(self, at_ms: int, told: dict[str, Any]) -> None:
        """What was not ordered by anybody and must be known. Raises: AuditError."""
        self._ready(at_ms)
        self._guarded(at_ms, {"kind": "incident", "order": told})

    def no_order(self, at_ms: int, caller: Caller, code: str, times: int) -> None:
        """What a caller sent was refused before it was an order. Raises: AuditError."""
        self._ready(at_ms)
        who = {"pid": caller.pid, "uid": caller.uid, "user": caller.user}
        self._guarded(
            at_ms,
            {
                "kind": "refused",
                **who,
                "order": {"times": times},
                "outcome": "refused",
                "code": code,
            },
        )

    def close(self, at_ms: int) -> None:
        """Says that the worker ends, if it can."""
        if self._descriptor >= 0:
            with contextlib.suppress(AuditError):
                self._ready(at_ms)
                self._guarded(at_ms, {"kind": "closed", "pid": os.getpid()})
        self.detach()

    def detach(self) -> None:
        """Gives the file back."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1
        self._fault = "it is closed"

    # -- going on behind what is there -------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. Raises: AuditError."""
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(LOCK_PAUSE_S)
        else:
            raise AuditError(
                "the audit cannot be written: another process holds it; nothing was done",
                file=str(self._file),
                help="find a tapswitch command that stands still, and end it",
            )
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _reopen(self) -> dict[str, Any]:
        """Opens the file that is written now; as `_take_up`. Raises: OSError, AuditError."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._file, flags, 0o600)
        self._own(self._descriptor)
        self._refuse_open_to_others()
        _sync_directory(self._file.parent)
        return self._take_up()

    def _refuse_open_to_others(self) -> None:
        status = os.fstat(self._descriptor)
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            self._fault = f"it has mode {mode:04o}: others may read or write it"
            raise AuditError(
                f"the audit cannot be written: {self._fault}",
                file=str(self._file),
                help=f"chmod 600 {self._file}, then restart the node",
            )

    def _take_up(self) -> dict[str, Any]:
        """Goes to the end of the chain; what the next record says of an unfinished line."""
        status = os.fstat(self._descriptor)
        self._size, self._inode = status.st_size, status.st_ino
        head = read_head(self._file)
        chain = Chain()
        aside = files(self._file)[:-1]
        # A file that is new goes on behind the newest that was set aside.
        self._behind = bool(aside) and not self._size
        source = aside[-1] if self._behind else self._file
        for line in lines_of(source):
            record = chain.take(line)
            if chain.problem:
                break
            if record is not None and self._recent_from and record.at >= self._recent_from:
                self.recent.append(record)
        left, chain.unfinished = chain.unfinished, b""
        if left and not chain.problem and not self._behind:
            self._write(b"\n")
            # Whole but for its newline, it is a record like any other.
            chain.line -= 1
            chain.take(left + b"\n")
        torn, chain.torn = chain.torn if left else None, None if left else chain.torn
        verdict = chain.verdict(head)
        if verdict.problem:
            self._fault = verdict.problem
            raise self._broken()
        self._number, self._hash, self._fault = verdict.records, verdict.hash, ""
        self._first = verdict.records + 1 if self._behind else verdict.first
        if torn is None:
            return {}
        return {"torn_bytes": len(torn), "torn_sha256": hashlib.sha256(torn).hexdigest()}

    def _catch_up(self, at_ms: int) -> None:
        """Goes on behind what another writer has put there meanwhile."""
        try:
            now = os.stat(self._file)
            same = (now.st_ino, now.st_size) == (self._inode, self._size)
        except FileNotFoundError:
            same = False
        if same:
            return
        torn = self._reopen()
        if torn:
            self._put(at_ms, {"kind": "resumed", "pid": os.getpid(), **torn})

    # -- writing -----------------------------------------------------------------------------------

    def _ready(self, at_ms: int) -> None:
        if self._fault:
            raise self._broken()
        while self._owed:
            self._guarded(at_ms, self._owed[0])
            self._owed.pop(0)

    def _guarded(self, at_ms: int, told: dict[str, Any]) -> int:
        try:
            with self._locked():
                self._catch_up(at_ms)
                if self._size >= self._file_bytes_max:
                    self._set_aside()
                return self._put(at_ms, told)
        except OSError as error:
            raise self._unwritable(error) from None

    def _set_aside(self) -> None:
        """The file gets its number for a name, and a new one takes its place."""
        name = f"{self._file.stem}-{self._first:012d}{self._file.suffix}"
        self._file.rename(self._file.with_name(name))
        self._reopen()

    def _put(self, at_ms: int, told: dict[str, Any]) -> int:
        if self._behind:
            self._behind = False
            try:
                self._append(at_ms, {"kind": "continued", "after": self._hash})
            except OSError:
                self._behind = True
                raise
        return self._append(at_ms, told)

    def _append(self, at_ms: int, told: dict[str, Any]) -> int:
        record = Record(n=self._number + 1, at=_at(at_ms), **told)
        line, found = line_of(self._hash, record)
        self._write(line)
        self._number, self._hash = record.n, found
        fresh = head_file(self._file).with_suffix(".new")
        with contextlib.suppress(OSError):
            # Behind the record and not synced: after a crash it may say less, never more.
            fresh.write_text(f"{record.n} {found}\n", encoding="ascii")
            self._own(fresh)
            fresh.replace(head_file(self._file))
        return record.n

    def _write(self, line: bytes) -> None:
        """All of it and on disk, or nothing of it. Raises: OSError."""
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            try:
                os.ftruncate(self._descriptor, self._size)
            except OSError:
                self._fault = "a record was written in part and could not be taken back"
            raise
        try:
            os.fsync(self._descriptor)
        except OSError:
            # What the disk has is unknown from here on; a second sync would not tell either.
            self._fault = "the disk failed to sync it"
            raise
        self._size += len(line)

    def _own(self, made: int | Path) -> None:
        """What root has made beside a node of another user is that user's."""
        if os.geteuid() == 0:
            owner, now = self._file.parent.parent.stat(), os.stat(made)
            if (now.st_uid, now.st_gid) != (owner.st_uid, owner.st_gid):
                os.chown(made, owner.st_uid, owner.st_gid)

    def _broken(self) -> AuditError:
        return AuditError(
            f"the audit cannot be written: {self._fault}",
            file=str(self._file),
            help="keep a copy of the audit directory, move it away, restart the node",
        )

    def _unwritable(self, error: OSError) -> AuditError:
        return AuditError(
            f"the audit cannot be written: {error.strerror}; nothing was done",
            file=str(self._file),
            help="make room on its disk; payments go on",
        )


def _at(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"


def _of(told: dict[str, Any], caller: Caller) -> dict[str, Any]:
    told = dict(told)
    by = told.pop("by", None) or msgspec.to_builtins(By())
    return {
        "pid": caller.pid,
        "uid": caller.uid,
        "user": caller.user,
        "actor": by["actor"],
        "reason": by["reason"],
        "order": told,
    }


def _ours() -> dict[str, Any]:
    """Who started this process, as the system and sudo tell."""
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = ""
    return {"uid": uid, "user": user, "actor": os.environ.get("SUDO_USER", "")[:64]}


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
