"""Hints: each from a dialect that describes one thing wrongly, or a capture that really suffered.

The messages are written by the right dialect and read by the wrong one; the hint must name the
field,
what to write, and where.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from switch.errors import DecodeError
from switch.wire.explain import Explained, explain
from switch.wire.source import Source, read
from tests.support.message import PURCHASE
from tests.support.wire import CHIP, PACKED, TEXT, body, purchase, text_with

FULL: dict[str, str | bytes] = {
    **PURCHASE,
    "pan": "6299001234567890123",
    "track2": "6299001234567890123=30122010000000000",
    "card_sequence": "001",
    "additional_private": "WORDS",
    "pin_block": b"\xa5" * 8,
    **CHIP,
}


@cache
def source(*replacements: tuple[str, str]) -> Source:
    return Source(Path("peer.toml"), text_with(*replacements))


def packed(*replacements: tuple[str, str]) -> Source:
    return source(*PACKED, *replacements)


def hints(written: Source, wrong: Source, values: dict[str, Any] | None = None) -> Explained:
    """What is said of a message of one dialect that another one reads."""
    frame = written.dialect.encode("0200", values or FULL)[2:]
    return explain(wrong, frame, read(wrong.dialect, frame))


def first(found: Explained) -> str:
    assert found.hints, f"no hint of {found.tried} readings"
    hint = found.hints[0]
    return f"{hint.path}: {hint.problem}: {hint.mend}"


# ------------------------------------------------ the dialect is wrong

F35 = ('35 = { name = "track2", type = "z", max = 37, prefix = 2,', "35 = {")


def field_35(prefix: str) -> tuple[str, str]:
    return F35[0], f'35 = {{ name = "track2", type = "z", max = 37, prefix = {prefix},'


def test_a_binary_length_that_was_read_as_bcd() -> None:
    """The classic: 25 hexadecimal is 37 digits, and 25 when it is taken for BCD."""
    written = packed(field_35('{ digits = 1, encoding = "binary", unit = "chars" }'))
    wrong = packed()
    found = hints(written, wrong)
    assert first(found).startswith("field 35: probably read wrongly: read as a length of 1 binary")
    assert 'digits = 1, encoding = "binary"' in found.hints[0].mend
    assert "25 then announces 19 bytes" in found.hints[0].problem
    assert found.hints[0].evidence.endswith("nothing is left over")
    assert found.hints[0].line == line_of(35)


def line_of(number: int) -> int:
    lines = TEXT.splitlines()
    return next(at for at, line in enumerate(lines, 1) if line.startswith(f"{number} = "))


def test_a_length_that_counts_bytes_and_not_digits() -> None:
    written = packed(field_35('{ digits = 2, encoding = "bcd", unit = "bytes" }'))
    values = FULL | {"track2": "6299001234567890123=3012201000000000"}
    found = hints(written, packed(), values)
    assert "field 35" in first(found)
    assert 'unit = "bytes"' in found.hints[0].mend


def test_lengths_of_all_fields_in_another_encoding() -> None:
    written = source(('prefix = "ascii"', 'prefix = "bcd"'))
    found = hints(written, source())
    assert first(found).startswith("defaults: probably read wrongly: read as every length as bcd")
    assert found.hints[0].mend == 'prefix = "bcd"'


def test_digits_that_are_packed() -> None:
    written = source(('numeric = "ascii"', 'numeric = "bcd"'))
    found = hints(written, source())
    assert "every numeric field as bcd" in first(found)
    found = hints(source(), written)
    assert "every numeric field as ascii" in first(found)


def test_a_bitmap_of_text_that_was_read_as_bytes() -> None:
    found = hints(source(), source(('[bitmap]\nencoding = "hex"', '[bitmap]\nencoding = "binary"')))
    assert first(found).startswith("bitmap: probably read wrongly: read as the bitmap as hexadecim")
    assert found.hints[0].mend == 'bitmap.encoding = "hex"'


def test_an_mti_that_is_packed() -> None:
    written = source(('[mti]\nencoding = "ascii"', '[mti]\nencoding = "bcd"'))
    assert first(hints(written, source())).startswith("mti: probably read wrongly")
    assert first(hints(source(), written)).startswith("mti: probably read wrongly")


F23 = '23 = { name = "card_sequence", type = "n", length = 3,'


def test_a_spare_half_byte_on_the_other_side() -> None:
    """Field 22 is padded on the right and field 23 on the left: the classic bug of terminals."""
    right = packed((F23, F23 + ' pad = { side = "right", char = "0" },'))
    values = FULL | {"card_sequence": "071"}
    found = hints(packed(), right, values)
    assert "field 23" in first(found)
    assert 'pad = { side = "left", char = "0" }' in found.hints[0].mend
    found = hints(right, packed(), FULL | {"card_sequence": "123"})
    assert 'pad = { side = "right", char = "0" }' in first(found)


def test_a_field_of_another_fixed_length() -> None:
    """A PIN block of SM4 has 16 bytes."""
    pin = '52 = { name = "pin_block", type = "b", length = 8,'
    written = source((pin, pin.replace("8", "16")))
    found = hints(written, source(), FULL | {"pin_block": b"\xa5" * 16})
    assert any(hint.path == "field 52" and hint.mend == "length = 16" for hint in found.hints)


def test_a_type_that_allows_too_little() -> None:
    rrn = '37 = { name = "rrn", type = "an",'
    wrong = source((rrn, rrn.replace('"an"', '"n"')))
    found = hints(source(), wrong, FULL | {"rrn": "A00000000001"})
    assert first(found).startswith("field 37: probably read wrongly: read as type an")


def test_quite_another_dialect_behind_a_header() -> None:
    frame = packed().dialect.encode("0200", FULL)[2:]
    header = bytes.fromhex("6000030000602200000000")
    found = explain(source(), header + frame, read(source().dialect, header + frame))
    assert "numeric bcd" in first(found)
    assert "behind 11 bytes that are no part of the message" in first(found)


# ------------------------------------------------ the capture suffered


def suffered(frame: bytes) -> Explained:
    found = source()
    return explain(found, frame, read(found.dialect, frame))


def test_a_tpdu_and_header_that_the_dialect_does_not_know() -> None:
    header = bytes.fromhex("6000030000602200000000")
    found = suffered(header + body(purchase(**CHIP)))
    assert first(found).startswith("message: the first 11 bytes are no part of the message: a TPDU")
    assert "60 00 03 00 00 60 22" in first(found)
    assert "the first 5 bytes" in first(suffered(header[:5] + body(purchase())))


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        (b"\n", "1 bytes stand behind the message: a line break"),
        (b"\x03", "1 bytes stand behind the message: ETX"),
        (b"\0\0\0", "3 bytes stand behind the message: filling of zeros"),
    ],
)
def test_bytes_behind_the_message(tail: bytes, said: str) -> None:
    assert said in first(suffered(body(purchase()) + tail))


def test_line_ends_that_a_text_mode_changed() -> None:
    chip = CHIP | {"icc.9F37": bytes([10, 2, 10, 4])}
    frame = body(purchase(**chip))
    found = suffered(frame.replace(b"\n", b"\r\n"))
    assert "each 0A came as 0D 0A" in first(found)


def test_bytes_that_were_saved_as_utf_8() -> None:
    frame = body(purchase(**CHIP))
    found = suffered(frame.decode("latin-1").encode("utf-8"))
    assert "saved as UTF-8" in first(found)


def test_hexadecimal_of_hexadecimal() -> None:
    found = suffered(body(purchase(**CHIP)).hex().encode())
    assert "hexadecimal text of the message" in first(found)


def test_no_hint_where_nothing_fits() -> None:
    found = suffered(body(purchase(**CHIP))[:-20])
    assert found.hints == []
    assert found.tried > 500


# ------------------------------------------------ it fits and is unlikely


def test_an_entry_mode_of_the_wrong_side_is_doubted_and_mended() -> None:
    """0710 is 071 padded on the right; read from the left it is 710, and every byte still fits."""
    f22 = '22 = { name = "entry_mode", type = "n", length = 3,'
    right = packed((f22, f22 + ' pad = { side = "right", char = "0" },'))
    found = hints(right, packed())
    assert first(found).startswith("field 22")
    assert 'pad = { side = "right", char = "0" }' in found.hints[0].mend
    assert "no longer: no entry mode begins with 71" in found.hints[0].evidence


def test_a_sound_message_gets_no_hint() -> None:
    values = FULL | {"pan": "6299001234567890120", "track2": "6299001234567890120=3012201"}
    frame = source().dialect.encode("0200", values)[2:]
    found = explain(source(), frame, read(source().dialect, frame))
    assert found.hints == []


def test_no_hint_quotes_a_secret() -> None:
    """Whatever byte is broken, no part of the card number, the track or the PIN is said."""
    whole = source().dialect.encode("0200", FULL)[2:]
    secrets = ("62990012", "34567890", "0123=30", "20100000", "A5A5", "WORDS")
    faults = 0
    for at in range(0, len(whole), 9):
        frame = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        found = read(source().dialect, frame)
        faults += isinstance(found, DecodeError)
        text = repr(explain(source(), frame, found).hints)
        assert not any(secret in text for secret in secrets)
    assert faults > 20
