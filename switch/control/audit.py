"""The audit of orders to a node: an append-only file, one JSON line a record, chained by hashes.

An order that changes something stands on disk before anything of it takes effect, and its result
follows. A worker that cannot write here refuses such orders; payments go on.

**The chain.** A line is ``PREFIX,"hash":"HEX"}``; HEX is SHA-256 over the hash of the record before
and PREFIX, byte for byte. A line that was changed, taken out or put in breaks the chain at its
number. `orders.head` beside it holds number and hash of the newest record, so that a chain cut off
at its end is found too. Whoever can write both files can forge them anew: the worker's log has
number and hash of every record as well, and a copy of one of them elsewhere is an anchor.

**After a crash** the last line may be unfinished. It is never cut away: the next start ends it,
and its first record names the length and hash of what was left.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.control.order import Caller, Order
from switch.errors import AuditError

__all__ = ["FIRST_HASH", "Audit", "Record", "Verdict", "audit_file", "read", "verify"]

FIRST_HASH: Final = hashlib.sha256(b"tapswitch orders 1").hexdigest()
"""What the first record follows."""
LINE_BYTES_MAX: Final = 65_536
"""An order has a quarter of it at most."""
_HASH_BYTES: Final = len(',"hash":""}') + 64


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. Which fields it has depends on its kind."""

    n: int
    at: str
    """UTC, ISO 8601 with milliseconds."""
    kind: str
    """opened, order, result, look (an order that changes nothing, and its result), resumed, closed.
    """
    pid: int = 0
    uid: int = -1
    user: str = ""
    actor: str = ""
    reason: str = ""
    order: dict[str, Any] = {}
    of: int = 0
    """kind result: number of the order."""
    outcome: str = ""
    """done, refused, failed."""
    code: str = ""
    problem: str = ""
    torn_bytes: int = 0
    """kind resumed: of the unfinished line before."""
    torn_sha256: str = ""
    version: str = ""
    """kind opened: of the worker."""
    hash: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the chain holds."""

    records: int
    hash: str
    """Of the newest record that follows from all before it."""
    broken_line: int = 0
    """First line that does not; 0 when all do."""
    problem: str = ""
    unfinished_bytes: int = 0
    """Of a last line that is being written, or was when the worker was killed."""


def audit_file(data_dir: str | Path) -> Path:
    """`audit/orders.jsonl` in the data directory."""
    return Path(data_dir) / "audit" / "orders.jsonl"


_decoder: Final = msgspec.json.Decoder(Record)
_encoder: Final = msgspec.json.Encoder()


def _chained(previous: str, prefix: bytes) -> str:
    return hashlib.sha256(bytes.fromhex(previous) + prefix).hexdigest()


def _line(previous: str, record: Record) -> tuple[bytes, str]:
    prefix = _encoder.encode(record)[:-1]
    found = _chained(previous, prefix)
    return prefix + f',"hash":"{found}"}}\n'.encode(), found


class _Chain:
    """Walks lines; what does not follow from what came before stops it."""

    def __init__(self) -> None:
        self.records = 0
        self.hash = FIRST_HASH
        self.line = 0
        self.problem = ""
        self.unfinished = b""
        self.torn: bytes | None = None
        """A line that is no record; the next one must say why."""

    def take(self, line: bytes) -> Record | None:
        """The record of a line. None: it is unfinished, or `problem` says what is wrong."""
        if self.unfinished:
            self.problem = f"line {self.line} is longer than any record"
            return None
        self.line += 1
        if not line.endswith(b"\n"):
            self.unfinished = line
            return None
        body = line[:-1]
        prefix, told = body[:-_HASH_BYTES], body[-_HASH_BYTES:]
        if told[:9] != b',"hash":"' or told[-2:] != b'"}':
            self._odd(body)
            return None
        if _chained(self.hash, prefix) != told[9:-2].decode("ascii", "replace"):
            self.problem = f"line {self.line} is not what was written, or one before it is missing"
            return None
        record = _decoder.decode(body)
        if self.torn is not None:
            torn, self.torn = self.torn, None
            if record.torn_sha256 != hashlib.sha256(torn).hexdigest():
                self.line -= 1
                self.problem = f"line {self.line} is no record, and none behind it says why"
                return None
        self.records, self.hash = record.n, record.hash
        return record

    def _odd(self, body: bytes) -> None:
        """No record: right only when the next one says that a crash left it."""
        if self.torn is None:
            self.torn = body
        else:
            self.line -= 1
            self.problem = f"line {self.line} is no record, and none behind it says why"

    def verdict(self, head: tuple[int, str] | None) -> Verdict:
        """`head`: number and hash of the newest record as told beside the file."""
        problem, line = self.problem, self.line
        if not problem and self.torn is not None:
            problem = f"line {line} is no record, and none behind it says why"
        if not problem and head is not None and head[0] > self.records:
            line = self.line + (0 if self.unfinished else 1)
            problem = f"cut at line {line}: {self.records} records are left, {head[0]} were written"
        if not problem and head is not None and head[0] == self.records and head[1] != self.hash:
            problem = f"line {line} ends another chain than the one that was written"
        return Verdict(
            records=self.records,
            hash=self.hash,
            broken_line=line if problem else 0,
            problem=problem,
            unfinished_bytes=len(self.unfinished),
        )


def _head_file(file: Path) -> Path:
    return file.with_suffix(".head")


def _head(file: Path) -> tuple[int, str] | None:
    with contextlib.suppress(OSError, ValueError):
        number, _, told = _head_file(file).read_text(encoding="ascii").strip().partition(" ")
        return int(number), told
    return None


def verify(file: Path) -> Verdict:
    """Walks the whole chain. Raises: AuditError when the file cannot be read."""
    # The head first: a record that is written in between is then more than it says, not less.
    head = _head(file)
    chain = _Chain()
    for line in _lines(file):
        chain.take(line)
        if chain.problem:
            break
    return chain.verdict(head)


def read(file: Path) -> Iterator[Record]:
    """The records up to the first line that does not follow. Raises: AuditError."""
    chain = _Chain()
    for line in _lines(file):
        record = chain.take(line)
        if chain.problem:
            return
        if record is not None:
            yield record


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as opened:
            while line := opened.readline(LINE_BYTES_MAX):
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise AuditError(f"the audit cannot be read: {error.strerror}", file=str(file)) from None


class Audit:
    """The writing end; one worker has it. Its methods block: call them off the loop, in turn."""

    def __init__(self, file: Path, version: str) -> None:
        self._file = file
        self._version = version
        self._descriptor = -1
        self._number = 0
        self._hash = FIRST_HASH
        self._size = 0
        self._fault = "it was never opened"
        self._owed: list[dict[str, Any]] = []
        """Results that found no room; they are written before anything else."""

    @property
    def newest(self) -> tuple[int, str]:
        """Number and hash of the newest record."""
        return self._number, self._hash

    def open(self, at_ms: int, pid: int) -> None:
        """Verifies what is there and goes on behind it.

        Raises: AuditError. Orders that change something are then refused with the same reason.
        """
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._file, flags, 0o600)
            _sync_directory(self._file.parent)
            torn = self._take_up()
            kind = "resumed" if torn else "opened"
            self._append(at_ms, {"kind": kind, "pid": pid, "version": self._version, **torn})
        except OSError as error:
            raise self._unwritable(error) from None

    def _take_up(self) -> dict[str, Any]:
        """Goes to the end of the chain; what the next record says of an unfinished line."""
        head = _head(self._file)
        chain = _Chain()
        for line in _lines(self._file):
            chain.take(line)
            if chain.problem:
                break
        left, chain.unfinished = chain.unfinished, b""
        self._size = os.fstat(self._descriptor).st_size
        if left and not chain.problem:
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
        if torn is None:
            return {}
        return {"torn_bytes": len(torn), "torn_sha256": hashlib.sha256(torn).hexdigest()}

    def order(self, at_ms: int, order: Order, caller: Caller) -> int:
        """Puts an order on disk before it takes effect; its number. Raises: AuditError."""
        self._ready(at_ms)
        return self._guarded(at_ms, {"kind": "order", **_of(order, caller)})

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
        self._ready(at_ms)
        ended = {"outcome": outcome, "code": code, "problem": problem[:400]}
        self._guarded(at_ms, {"kind": "look", **_of(order, caller), **ended})

    def close(self, at_ms: int) -> None:
        """Says that the worker ends, if it can."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(AuditError):
            self._ready(at_ms)
            self._guarded(at_ms, {"kind": "closed"})
        os.close(self._descriptor)
        self._descriptor = -1
        self._fault = "it is closed"

    # -- writing -----------------------------------------------------------------------------------

    def _ready(self, at_ms: int) -> None:
        if self._fault:
            raise self._broken()
        while self._owed:
            self._guarded(at_ms, self._owed[0])
            self._owed.pop(0)

    def _guarded(self, at_ms: int, told: dict[str, Any]) -> int:
        try:
            return self._append(at_ms, told)
        except OSError as error:
            raise self._unwritable(error) from None

    def _append(self, at_ms: int, told: dict[str, Any]) -> int:
        at = f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"
        record = Record(n=self._number + 1, at=at, **told)
        line, found = _line(self._hash, record)
        self._write(line)
        self._number, self._hash = record.n, found
        fresh = _head_file(self._file).with_suffix(".new")
        with contextlib.suppress(OSError):
            # Behind the record and not synced: after a crash it may say less, never more.
            fresh.write_text(f"{record.n} {found}\n", encoding="ascii")
            fresh.replace(_head_file(self._file))
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


def _of(order: Order, caller: Caller) -> dict[str, Any]:
    told = msgspec.to_builtins(order)
    by = told.pop("by")
    return {
        "pid": caller.pid,
        "uid": caller.uid,
        "user": caller.user,
        "actor": by["actor"],
        "reason": by["reason"],
        "order": told,
    }


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
