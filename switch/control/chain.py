"""The chain of the audit: an append-only file, one JSON line a record, chained by hashes.

**The chain.** A line is ``PREFIX,"hash":"HEX"}``; HEX is SHA-256 over the hash of the record before
and PREFIX, byte for byte. A line that was changed, taken out or put in breaks the chain at its
number. `orders.head` beside it holds number and hash of the newest record, so that a chain cut off
at its end is found too. Whoever can write both files can forge them anew: the worker's log has
number and hash of every record as well, and a copy of one of them elsewhere is an anchor.

**Files.** A file that has grown long is set aside as `orders-N.jsonl`, N being the number of its
first record, and the next one begins with a record that says behind which hash it goes on. Older
files may be moved away for good; who verifies what is left then needs the anchor before it.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.errors import AuditError

__all__ = [
    "FIRST_HASH",
    "Chain",
    "Record",
    "Verdict",
    "audit_file",
    "files",
    "head_file",
    "line_of",
    "lines_of",
    "read",
    "read_head",
    "verify",
]

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
    """opened, order, result, look (an order that changes nothing, and its result), incident (what
    no payment system does by mistake, counted since the last record of it), refused (what was
    refused before it was an order: a user who may give none, something that is none), resumed,
    continued, closed."""
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
    after: str = ""
    """kind continued: hash of the record before, the last of the file before."""
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
    file: str = ""
    """Name of the file with the broken line."""
    first: int = 1
    """Number of the first record that is here; older files were moved away where it is not 1."""
    before_hash: str = FIRST_HASH
    """What the first record follows."""


def audit_file(data_dir: str | Path) -> Path:
    """`audit/orders.jsonl` in the data directory."""
    return Path(data_dir) / "audit" / "orders.jsonl"


_decoder: Final = msgspec.json.Decoder(Record)
_encoder: Final = msgspec.json.Encoder()


def _chained(previous: str, prefix: bytes) -> str:
    return hashlib.sha256(bytes.fromhex(previous) + prefix).hexdigest()


def line_of(previous: str, record: Record) -> tuple[bytes, str]:
    prefix = _encoder.encode(record)[:-1]
    found = _chained(previous, prefix)
    return prefix + f',"hash":"{found}"}}\n'.encode(), found


class Chain:
    """Walks lines; what does not follow from what came before stops it."""

    def __init__(self) -> None:
        self.records = 0
        self.hash = self.before_hash = FIRST_HASH
        self.first = 1
        self.file = ""
        self.line = 0
        self.problem = ""
        self.unfinished = b""
        self.torn: bytes | None = None
        """A line that is no record; the next one must say why."""

    def enter(self, file: Path) -> None:
        """Lines of another file follow."""
        self._unexplained()
        if not self.problem and self.unfinished:
            self.problem = f"line {self.line} has no end, and another file follows"
        if not self.problem:
            self.file, self.line = file.name, 0

    def _unexplained(self) -> None:
        if not self.problem and self.torn is not None:
            self.problem = f"line {self.line} is no record, and none behind it says why"

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
        if not self.records and self.torn is None:
            self._begin(body)
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

    def _begin(self, body: bytes) -> None:
        """The first record that is here may go on behind one that was moved away."""
        with contextlib.suppress(msgspec.MsgspecError):
            record = _decoder.decode(body)
            if record.kind == "continued" and len(bytes.fromhex(record.after)) == 32:
                self.hash = self.before_hash = record.after
                self.first = record.n

    def _odd(self, body: bytes) -> None:
        """No record: right only when the next one says that a crash left it."""
        if self.torn is None:
            self.torn = body
        else:
            self.line -= 1
            self.problem = f"line {self.line} is no record, and none behind it says why"

    def verdict(self, head: tuple[int, str] | None) -> Verdict:
        """`head`: number and hash of the newest record as told beside the file."""
        self._unexplained()
        problem, line = self.problem, self.line
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
            file=self.file,
            first=self.first,
            before_hash=self.before_hash,
        )


def head_file(file: Path) -> Path:
    return file.with_suffix(".head")


def read_head(file: Path) -> tuple[int, str] | None:
    with contextlib.suppress(OSError, ValueError):
        number, _, told = head_file(file).read_text(encoding="ascii").strip().partition(" ")
        return int(number), told
    return None


def files(file: Path) -> list[Path]:
    """All files of the chain, the one that is written last."""
    return [*sorted(file.parent.glob(f"{file.stem}-*{file.suffix}")), file]


def verify(file: Path) -> Verdict:
    """Walks the whole chain, over all its files. Raises: AuditError when one cannot be read."""
    # The head first: a record that is written in between is then more than it says, not less.
    head = read_head(file)
    chain = Chain()
    for _ in _walk(chain, file):
        pass
    return chain.verdict(head)


def read(file: Path) -> Iterator[Record]:
    """The records up to the first line that does not follow. Raises: AuditError."""
    return _walk(Chain(), file)


def _walk(chain: Chain, file: Path) -> Iterator[Record]:
    for one in files(file):
        chain.enter(one)
        for line in () if chain.problem else lines_of(one):
            record = chain.take(line)
            if chain.problem:
                return
            if record is not None:
                yield record


def lines_of(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as opened:
            while line := opened.readline(LINE_BYTES_MAX):
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise AuditError(f"the audit cannot be read: {error.strerror}", file=str(file)) from None
