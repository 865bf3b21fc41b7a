"""Messages of terminals: TPDU, header, packed lengths and filling, with one thing read wrongly."""

from pathlib import Path
from typing import Any, Final

import pytest

from switch.wire.anatomy import anatomy
from switch.wire.compose import compose, from_pairs
from switch.wire.cut import cut
from switch.wire.describe import table
from switch.wire.source import Source
from tests.support.tree import ROOT
from tests.support.wire import CHIP

FILE: Final = ROOT / "config/dialects/pos-cn.toml"
TEXT: Final = FILE.read_text(encoding="utf-8")
POS: Final = Source(FILE, TEXT)

VALUES: Final[dict[str, Any]] = {
    "pan": "6299001234567890120",
    "processing_code": "000000",
    "amount": "000000001000",
    "stan": "000007",
    "expiry": "3012",
    "entry_mode": "071",
    "card_sequence": "001",
    "condition_code": "00",
    "track2": "6299001234567890120=3012201",
    "terminal_id": "TERM0001",
    "merchant_id": "898310153110001",
    "currency": "156",
    "reserved_private_60.transaction_type": "22",
    "reserved_private_60.batch": "000001",
    **CHIP,
}
HEADER: Final = {"tpdu.source": "0003", "header.processing_request": "3"}


def frame(source: Source = POS) -> bytes:
    return source.dialect.encode("0200", VALUES, HEADER)


def taken(data: bytes, source: Source = POS, **options: bool) -> dict[str, Any]:
    [one] = cut(source, data, [])
    return anatomy(source, one, **options)


def test_tpdu_and_header_stand_in_front() -> None:
    found = taken(frame())
    assert found["fault"] is None
    assert found["header"]["tpdu.source"] == "0003"
    assert found["header"]["header.processing_request"] == "3"
    assert found["found"].endswith("11 bytes of TPDU and header")
    lines = list(table(found))
    assert any("header" in line and "tpdu.source 0003" in line for line in lines)
    values = {row["name"]: row["value"] for row in found["fields"]}
    assert values["entry_mode"] == "071"
    assert values["reserved_private_60.batch"] == "000001"
    assert values["pan"] == "629900*********0120"


def test_a_frame_without_tpdu_and_header_is_read_and_said() -> None:
    body = frame()[13:]
    assert taken(body)["found"] == "no length, without TPDU and header"
    data = len(body).to_bytes(2, "big") + body
    assert taken(data)["found"] == "length2 length, without TPDU and header"


def test_every_byte_of_the_frame_stands_in_one_line() -> None:
    data = frame()
    found = taken(data, bare=True)
    shown = [found["length"], found["preface"], found["bitmap"]["raw"]]
    shown += [row["raw"] for row in found["fields"] if "." not in row["number"] or row["raw"]]
    whole = bytes.fromhex("".join(shown))
    assert len(whole) >= len(data)


def test_encode_writes_the_header_too() -> None:
    pairs = [f"{k}={v.hex() if isinstance(v, bytes) else v}" for k, v in VALUES.items()]
    pairs += ["mti=0200", *(f"{k}={v}" for k, v in HEADER.items())]
    assert compose(POS.dialect, from_pairs(POS.dialect, pairs)) == frame()


def changed(number: int, old: str, new: str) -> Source:
    """The dialect with one piece of one field's line replaced."""
    lines = TEXT.splitlines()
    [at] = [n for n, line in enumerate(lines) if line.startswith(f"{number} = ")]
    assert old in lines[at], lines[at]
    lines[at] = lines[at].replace(old, new, 1)
    return Source(Path("mine.toml"), "\n".join(lines))


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        (22, 'side = "right"', 'side = "left"'),
        (23, 'side = "left"', 'side = "right"'),
        (35, "prefix = 2,", 'prefix = { digits = 1, encoding = "binary" },'),
        (35, "prefix = 2,", 'prefix = { digits = 2, unit = "bytes" },'),
        (49, "length = 3,", "length = 2,"),
        (2, "prefix = 2,", "prefix = 3,"),
    ],
)
def test_a_field_described_wrongly_is_named(number: int, old: str, new: str) -> None:
    wrong = changed(number, old, new)
    found = taken(frame(), wrong, hints=True)
    assert found["fault"] or found["doubts"]
    named = [hint["path"] for hint in found["hints"]]
    assert f"field {number}" in named, found["hints"]
    hint = found["hints"][named.index(f"field {number}")]
    assert hint["evidence"]
    assert TEXT.splitlines()[hint["line"] - 1].startswith(f"{number} = ")
