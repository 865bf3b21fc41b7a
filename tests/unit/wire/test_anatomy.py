"""A frame taken apart: every byte accounted for, masked; nothing secret, whatever is broken."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from switch.errors import CaptureError
from switch.wire.anatomy import SCHEMA, anatomy
from switch.wire.cut import cut
from switch.wire.describe import table
from switch.wire.source import Source
from tests.support.canary import forms
from tests.support.wire import CHIP, PACKED, TEXT, text_with

PAN = "6299001234567890123"
TRACK = f"{PAN}=30122010000000000"
SECRETS: dict[str, str | bytes] = {
    "pan": PAN[6:-4],
    "track": TRACK[-17:],
    "pin": b"\xa5\x5a" * 4,
    "words": "PRIVATEWORDS",
}
VALUES: dict[str, Any] = {
    **CHIP,
    "pan": PAN,
    "track2": TRACK,
    "expiry": "3012",
    "pin_block": SECRETS["pin"],
    "additional_private": SECRETS["words"],
    "icc.57": TRACK.replace("=", "D") + "F",
    "icc.5A": PAN + "F",
    "reserved_private_63.02": PAN,
    "account_from": PAN,
}
ASCII = Source(Path("iso87-ascii.toml"), TEXT)
BCD = Source(Path("packed.toml"), text_with(*PACKED))


def frame(source: Source, values: dict[str, Any] | None = None) -> bytes:
    whole = {**json.loads(PURCHASE_JSON), **(VALUES if values is None else values)}
    return source.dialect.encode("0200", whole)


PURCHASE_JSON = json.dumps(
    {
        "processing_code": "000000",
        "amount": "000000001000",
        "transmission_time": "1123170000",
        "stan": "000001",
        "entry_mode": "071",
        "condition_code": "00",
        "acquirer_code": "00000010001",
        "rrn": "000000000001",
        "terminal_id": "TERM0001",
        "merchant_id": "MERCHANT0000001",
        "currency": "156",
    }
)


def taken(source: Source, data: bytes, **options: bool) -> dict[str, Any]:
    [one] = cut(source, data, [])
    return anatomy(source, one, **options)


@pytest.mark.parametrize("source", [ASCII, BCD], ids=["ascii", "packed"])
def test_every_byte_stands_in_one_line(source: Source) -> None:
    data = frame(source, {"pan": "6299000000000004", **CHIP})
    found = taken(source, data, bare=True)
    covered = [int(bool(found["length"])) and len(found["length"]) // 2]
    rows = found["fields"]
    covered += [len(found["bitmap"]["raw"]) // 2]
    covered += [len(row["raw"]) // 2 for row in rows]
    assert sum(covered) == len(data) == found["bytes"]
    for row in rows:
        start = row["offset"] - row["head"]
        assert data[start : start + len(row["raw"]) // 2].hex().upper() == row["raw"], row["name"]


def leaks(text: str) -> list[str]:
    raw = text.encode()
    spaced = text.replace(" ", "").replace("\n", "").encode()
    return [
        f"{name} ({form})"
        for name, secret in SECRETS.items()
        for form, needle in forms(secret).items()
        for needle in {needle, needle.hex().upper().encode(), needle.hex().encode()}
        if needle in raw or needle in spaced
    ]


@pytest.mark.parametrize("source", [ASCII, BCD], ids=["ascii", "packed"])
def test_nothing_secret_shows(source: Source) -> None:
    found = taken(source, frame(source), hints=True)
    text = json.dumps(found, ensure_ascii=False) + "\n".join(table(found, "both"))
    assert leaks(text) == []
    assert "629900*********0123" in text
    assert found["fault"] is None
    # The search would find them.
    bare = taken(source, frame(source), bare=True)
    assert len({leak.split()[0] for leak in leaks(json.dumps(bare))}) == len(SECRETS)


@pytest.mark.parametrize("source", [ASCII, BCD], ids=["ascii", "packed"])
def test_nothing_secret_shows_of_a_damaged_message(source: Source) -> None:
    """Bytes lost, changed and doubled: what is then read as another field is hidden there too."""
    data = frame(source)
    random = Random(7)
    faults = 0
    for _ in range(60):
        at = random.randrange(2, len(data))
        piece = random.choice([b"", bytes([random.randrange(256)]), data[at : at + 2]])
        broken = data[:at] + piece + data[at + 1 :]
        for one in cut(source, broken, []):
            found = anatomy(source, one)
            faults += found["fault"] is not None
            text = json.dumps(found) + "\n".join(table(found, "zh"))
            assert [x for x in leaks(text) if not x.startswith("words")] == [], at
    assert faults > 30


@pytest.mark.parametrize("wrong", [ASCII, BCD], ids=["ascii", "packed"])
def test_nothing_secret_shows_of_a_message_of_another_dialect(wrong: Source) -> None:
    other = BCD if wrong is ASCII else ASCII
    found = taken(wrong, frame(other), hints=True)
    assert found["fault"] is not None
    assert leaks(json.dumps(found) + "\n".join(table(found))) == []


def test_a_length_read_wrongly_shows_no_card_number_in_the_next_field() -> None:
    """Field 2 described as fixed and short: its digits flow into fields that are shown."""
    pan = '2 = { name = "pan", type = "n", max = 19, min = 8, prefix = 2,'
    short = pan.replace("max = 19, min = 8, prefix = 2,", "length = 8,")
    wrong = Source(Path("wrong.toml"), text_with((pan, short)))
    found = taken(wrong, frame(ASCII, {"pan": PAN}))
    assert found["fault"] is not None
    assert [row["name"] for row in found["fields"]][:2] == ["mti", "pan"]
    assert leaks(json.dumps(found)) == []


def test_unmasked_only_for_the_test_range() -> None:
    found = taken(ASCII, frame(ASCII), bare=True)
    values = {row["name"]: row["value"] for row in found["fields"]}
    assert values["pan"] == PAN
    assert values["track2"] == TRACK
    assert not any(row["hidden"] for row in found["fields"])
    for change in (
        {"pan": "6298" + "0" * 12},
        {"icc.5A": "6298" + "0" * 12},
        {"icc.57": "6298" + "0" * 12 + "D30122"},
        {"track2": "6298" + "0" * 12 + "=3012"},
        {"account_from": "6298" + "0" * 12},
        {"reserved_private_63.02": "6298" + "0" * 12},
        {"icc.70": "5A086298000000000000"},
    ):
        data = frame(ASCII, VALUES | change)
        with pytest.raises(CaptureError, match="not shown unmasked: field"):
            taken(ASCII, data, bare=True)
    with pytest.raises(CaptureError, match="no account number"):
        taken(ASCII, frame(ASCII, {}), bare=True)
    with pytest.raises(CaptureError, match="does not fit"):
        taken(ASCII, frame(ASCII)[:-1], bare=True)


def test_a_fault_names_file_and_line() -> None:
    data = bytearray(frame(ASCII, {"pan": PAN}))
    at = data.index(b"TERM0001")
    data[at] = 0xD2
    found = taken(ASCII, bytes(data))
    fault = found["fault"]
    assert (fault["path"], fault["offset"], fault["found"]) == ("field 41", at, "byte 0xD2")
    assert TEXT.splitlines()[fault["line"] - 1].startswith("41 = ")
    assert [row["number"] for row in found["fields"]][-1] == "37"


def test_the_static_rules_are_told() -> None:
    found = taken(ASCII, frame(ASCII, {"pan": "6299000000000004", "pin_block": b"\0" * 8}))
    assert (found["kind"], found["check"]) == ("purchase", "field 52: PIN block present")


def test_names_in_both_languages_line_up() -> None:
    found = taken(ASCII, frame(ASCII))
    lines = list(table(found, "both"))
    assert any("Primary account number 主账号" in line for line in lines)
    assert any("financial request 金融请求" in line for line in lines)
    assert any("Application cryptogram 应用密文" in line for line in lines)
    assert any(line.split("  ")[0] == "0002" for line in lines)
    assert SCHEMA == "tapswitch.decode/1"
