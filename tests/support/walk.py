"""A gate over a real journal and the real codec, for tests that need no sockets."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Final

from switch.native import codec, journal, meter, walk

__all__ = ["ACQUIRER", "BANK", "DAY", "NOW_S", "PAN", "World", "dialect", "open_world", "restarted"]

ACQUIRER: Final = "ACQ01"
BANK: Final = "BANK01"
PAN: Final = "6299001234567891"
OTHER_PAN: Final = "6299011234567890"
NOW_S: Final = 1_795_449_600  # 2026-11-23 16:00:00 UTC
MS: Final = 1000
DAY: Final = "20261123"
TIME: Final = "1123160000"
OUT_TIME: Final = "1123160001"
CODE_ACQUIRER: Final = "00012345678"
CODE_SWITCH: Final = "00049990000"

SEGMENT_BYTES: Final = 1 << 20

_DIALECT_FILE: Final = Path(__file__).parents[2] / "config/dialects/iso87-ascii.toml"


def dialect() -> codec.Dialect:
    """The dialect that every side speaks here."""
    return codec.Dialect.compile(_DIALECT_FILE.read_text(), str(_DIALECT_FILE))


def keys_in(directory: Path) -> journal.Keys:
    """Keys of a directory, made at first use."""
    file, sealing = directory / "keys", directory / "sealing"
    if not sealing.exists():
        sealing.write_bytes(bytes(range(32)))
        sealing.chmod(0o600)
    with sealing.open("rb") as opened:
        if not file.exists():
            journal.create_key_file(str(file), opened.fileno(), demo=True)
        return journal.Keys.open(str(file), opened.fileno())


class World:
    """One worker's native parts, two institutions and a connection to each."""

    def __init__(self, directory: Path, *, capacity: int = 1000, retention_s: int = 86_400) -> None:
        self.keys = keys_in(directory)
        self.dialect = dialect()
        self.directory = str(directory / "journal")
        self.journal = journal.Journal.open(self.directory, self.keys, segment_bytes=SEGMENT_BYTES)
        self.duplicates = walk.Duplicates(self.keys, capacity, retention_s)
        self.meter: meter.Meter | None = None
        self.gate = walk.Gate(self.journal, self.duplicates, self.meter, CODE_SWITCH)
        self.acquirer = self.gate.institution(ACQUIRER, CODE_ACQUIRER)
        self.bank = self.gate.institution(BANK, "00011110000")
        self.terminal = self.gate.attach(self.acquirer, self.dialect)
        self.host = self.gate.attach(self.bank, self.dialect)
        self.now_ns = 1_000_000_000
        self._stan = 0
        self._txn = 0

    # -- messages ---------------------------------------------------------------------------------

    def message(self, mti: str, **values: str | bytes) -> codec.Message:
        """A message as it comes from the wire, received now."""
        frame = self.dialect.encode(mti, values)
        return self.dialect.decode(frame[2:], self.now_ns)

    def purchase(self, stan: int = 1, **changes: str | bytes) -> codec.Message:
        """A purchase of 12.34 by `PAN`; its key depends on `stan`."""
        return self.dialect.decode(self.frame(stan, **changes)[2:], self.now_ns)

    def frame(self, stan: int = 1, **changes: str | bytes) -> bytes:
        """The same as it stands in the stream."""
        values: dict[str, str | bytes] = {
            "pan": PAN,
            "processing_code": "000000",
            "amount": "000000001234",
            "transmission_time": TIME,
            "stan": f"{stan:06}",
            "local_time": "000000",
            "local_date": "1124",
            "mcc": "5411",
            "entry_mode": "071",
            "condition_code": "00",
            "acquirer_code": CODE_ACQUIRER,
            "rrn": f"{stan:012}",
            "terminal_id": "TERM0001",
            "merchant_id": "MERCHANT0000001",
            "currency": "156",
        }
        values.update({name: value for name, value in changes.items() if value != ""})
        for name, value in changes.items():
            if value == "":
                values.pop(name, None)
        mti = str(values.pop("mti", "0200"))
        return self.dialect.encode(mti, values)

    def reversal_of(self, stan: int, own_stan: int, **changes: str | bytes) -> codec.Message:
        """The acquirer's 0420 of `purchase(stan)`."""
        frame = self.reversal_frame(stan, own_stan, **changes)
        return self.dialect.decode(frame[2:], self.now_ns)

    def reversal_frame(self, stan: int, own_stan: int, **changes: str | bytes) -> bytes:
        """The same as it stands in the stream."""
        original: dict[str, str | bytes] = {
            "mti": "0420",
            "rrn": f"{stan:012}",
            "original_data.mti": "0200",
            "original_data.stan": f"{stan:06}",
            "original_data.transmission_time": TIME,
            "original_data.acquirer_code": CODE_ACQUIRER,
            "original_data.forwarder_code": "0" * 11,
        }
        return self.frame(own_stan, **{**original, **changes})

    def reply_to(self, frame: bytes, code: str = "00", **changes: str) -> codec.Message:
        """A bank's answer to a frame that the gate released."""
        request = self.dialect.decode(frame[2:])
        echoes = [
            "pan", "processing_code", "amount", "transmission_time", "stan", "rrn",
            "terminal_id", "merchant_id", "currency",
        ]  # fmt: skip
        values = {name: request.reveal(name) or "" for name in echoes}
        values = {name: value for name, value in values.items() if value}
        values["response_code"] = code
        if code == "00":
            values |= {"auth_code": "A1B2C3", "settlement_date": "1124"}
        mti = request.mti[:2] + chr(ord(request.mti[2]) + 1) + "0"
        return self.message(mti, **{**values, **changes})

    # -- acts -------------------------------------------------------------------------------------

    @property
    def wall_ms(self) -> int:
        return NOW_S * MS

    def next_txn(self) -> int:
        self._txn += 1
        return 1 << 56 | self._txn

    def next_stan(self) -> int:
        self._stan += 1
        return self._stan

    def claim(self, message: codec.Message, txn: int) -> int:
        return self.duplicates.claim(message, self.acquirer, txn, NOW_S)

    def forward(self, message: codec.Message, txn: int = 0) -> tuple[int, int, int]:
        """Claims and forwards; returns (txn, STAN, LSN)."""
        txn = txn or self.next_txn()
        assert self.claim(message, txn) == 0
        stan = self.next_stan()
        lsn = self.gate.forward(
            message, self.host, txn, self.acquirer, self.bank, stan, OUT_TIME, self.wall_ms, DAY
        )
        return txn, stan, lsn

    def sync(self) -> None:
        """Waits until everything appended is durable."""
        self.gate.commit()
        while self.journal.synced < self.journal.appended:
            assert select([self.journal.fileno], [], [], 10)[0], "the journal does not sync"
            self.journal.acknowledge()

    def release(self) -> dict[int, bytes]:
        """What may go now, by connection."""
        self.now_ns += 1_000_000
        return dict(self.gate.release(self.now_ns))

    def flow(self) -> dict[int, bytes]:
        """Sync, then release."""
        self.sync()
        return self.release()

    def purchase_to_bank(self, stan: int = 1) -> tuple[codec.Message, int, bytes]:
        """A purchase that has been handed to the bank: (request, txn, frame)."""
        request = self.purchase(stan)
        txn, _, _ = self.forward(request)
        return request, txn, self.flow()[self.host]

    def approved(self, stan: int = 1) -> tuple[codec.Message, int]:
        """A purchase approved by the bank and answered: (request, txn)."""
        request, txn, frame = self.purchase_to_bank(stan)
        self.gate.answer(request, self.reply_to(frame), self.terminal, txn, self.wall_ms)
        self.flow()
        return request, txn

    def one(self, frames: dict[int, bytes], slot: int) -> codec.Message:
        """The only frame, which went to `slot`."""
        assert list(frames) == [slot]
        frame = frames[slot]
        assert int.from_bytes(frame[:2], "big") == len(frame) - 2, "one frame"
        return self.dialect.decode(frame[2:])

    def findings(self) -> list[dict[str, object]]:
        """What `journal verify` says of everything recorded so far."""
        self.sync()
        return journal.Reader.open(self.directory, self.keys).verify()

    def records(self, kind: str = "") -> list[dict[str, object]]:
        """The journal's records of a kind, as a reader gives them."""
        reader = journal.Reader.open(self.directory, self.keys)
        return [r for r in reader.records() if not kind or r["kind"] == kind]


@contextmanager
def open_world(directory: Path, **options: int) -> Iterator[World]:
    """A world whose journal is closed at the end."""
    world = World(directory, **options)
    try:
        yield world
    finally:
        world.journal.close()


@contextmanager
def restarted(world: World, **options: int) -> Iterator[tuple[World, walk.Recovered]]:
    """Another process after this one was killed: it finds what was written, and recovers."""
    world.sync()
    copy = Path(tempfile.mkdtemp(prefix="after-", dir=Path(world.directory).parent))
    for name in ("keys", "sealing"):
        shutil.copy(Path(world.directory).parent / name, copy / name)
    shutil.copytree(world.directory, copy / "journal", ignore=shutil.ignore_patterns("*.part"))
    with open_world(copy, **options) as after:
        yield after, walk.recover(after.journal, after.keys, after.duplicates, after.gate)
