"""Properties of the codec: reading is the inverse of writing, and bad bytes are refused."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.errors import DecodeError, FramingError
from switch.wire import Dialect, Framer, Message
from switch.wire.dialect import load
from tests.support.message import DIALECT
from tests.support.pos import POS, pos_message
from tests.support.tree import ROOT
from tests.support.values import any_value
from tests.support.wire import CHIP, body, decoded, packed, purchase

DIALECTS: Final = {
    "iso87-ascii": DIALECT,
    "iso87-bcd": load(ROOT / "config" / "dialects", "iso87-bcd"),
    "packed": packed(),
    "pos-cn": POS,
}
FULL: Final = ("iso87-ascii", "iso87-bcd", "packed")
"""Those with the 128 fields of the standard."""

ROWS: Final[dict[str, list[dict[str, Any]]]] = {
    name: [row for row in dialect.fields() if "." not in row["number"]]
    for name, dialect in DIALECTS.items()
}


@st.composite
def messages(draw: st.DrawFn) -> tuple[Dialect, str, dict[str, str | bytes]]:
    """A dialect, an MTI and values for some of its fields."""
    name = draw(st.sampled_from(sorted(DIALECTS)))
    numbers = draw(st.sets(st.integers(0, len(ROWS[name]) - 1), max_size=20))
    random = Random(draw(st.integers(0, 2**32)))
    values = {
        ROWS[name][at]["name"]: any_value(random, ROWS[name][at], (0, 1, 7, 40)) for at in numbers
    }
    if "pan" in values:
        values["pan"] = "6299000000000004"
    mti = draw(st.text("0123456789", min_size=4, max_size=4))
    return DIALECTS[name], mti, {key: value for key, value in values.items() if value}


@given(messages())
def test_reading_gives_what_was_written(case: tuple[Dialect, str, dict[str, str | bytes]]) -> None:
    dialect, mti, values = case
    frame = dialect.encode(mti, values)
    [message] = Framer(dialect, 65_535).feed(frame, 1)
    assert isinstance(message, Message)
    assert message.mti == mti
    for name, value in values.items():
        assert message.reveal(name) == (value.hex().upper() if isinstance(value, bytes) else value)
    assert dialect.encode(mti, {name: revealed(message, name) for name in values}) == frame


SIDES: Final = {
    "pan": "right", "entry_mode": "right", "card_sequence": "left", "acquirer_code": "right",
    "track2": "right", "track3": "right", "reserved_private_60": "right",
    "reserved_private_61": "right",
}  # fmt: skip
"""Where a terminal fills an odd number of digits with a zero. Source: captures."""


@given(st.sampled_from(sorted(SIDES)), st.integers(0, 2**32))
def test_an_odd_number_of_digits_is_filled_at_the_side_of_its_field(name: str, seed: int) -> None:
    random = Random(seed)
    (row,) = [row for row in ROWS["pos-cn"] if row["name"] == name]
    value = str(any_value(random, row))
    if len(value) % 2 == 0 and row["prefix"] and name != "reserved_private_60":
        value = value[:-1]
    if len(value) % 2 == 0 or (name == "reserved_private_61" and len(value) != 29):
        value = {"reserved_private_61": "1" * 29}.get(name, "22000007000")
    wire = POS.encode("0200", {name: value})[2 + 11 + 10 :]
    packed_digits = wire[-((len(value) + 1) // 2) :].hex().upper().replace("D", "=")
    assert packed_digits == (f"{value}0" if SIDES[name] == "right" else f"0{value}")


@given(st.data())
def test_every_truncation_of_a_terminals_message_is_refused(data: st.DataObject) -> None:
    values = {**pos_message(track2="6299001234567891=3012201"), **CHIP}
    values["additional_private.product"] = "5709"
    values["additional_private.area"] = values["additional_private.area_extra"] = "0000"
    values["additional_private.1F52"] = "3033"
    whole = POS.encode("0200", values)[2:]
    length = data.draw(st.integers(0, len(whole) - 1))
    framed = length.to_bytes(2, "big") + whole[:length]
    if length:
        [fault] = Framer(POS).feed(framed, 1)
        assert isinstance(fault, DecodeError)
        assert 0 <= fault.offset <= length
    assert POS.decode_frame(len(whole).to_bytes(2, "big") + whole).stan == 123


def revealed(message: Message, name: str) -> str:
    value = message.reveal(name)
    assert value is not None
    return value


@given(messages(), st.integers(1, 64))
def test_cuts_do_not_matter(case: tuple[Dialect, str, dict[str, str | bytes]], size: int) -> None:
    dialect, mti, values = case
    stream = dialect.encode(mti, values) * 3
    framer = Framer(dialect, 65_535)
    found = []
    for at in range(0, len(stream), size):
        found += framer.feed(stream[at : at + size], 1)
    assert [message.mti for message in found if isinstance(message, Message)] == [mti] * 3
    assert framer.buffered == 0


@pytest.mark.parametrize("name", FULL)
def test_every_truncation_is_refused(name: str) -> None:
    dialect = DIALECTS[name]
    whole = dialect.encode("0420", {**_values(), "original_data.stan": "000001"})[2:]
    dialect.decode(whole)
    for length in range(len(whole)):
        with pytest.raises(DecodeError) as caught:
            dialect.decode(whole[:length])
        assert 0 <= caught.value.offset <= length
        assert caught.value.path
    with pytest.raises(DecodeError, match="bytes behind the last field"):
        dialect.decode(whole + b"0")


@pytest.mark.parametrize("name", FULL)
def test_every_bit_flip_is_refused_or_read_as_it_stands(name: str) -> None:
    """An accepted message is written back byte for byte: no byte was overlooked."""
    dialect = DIALECTS[name]
    values = _values()
    whole = dialect.encode("0200", values)[2:]
    accepted = 0
    for at in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            message = decoded(dialect, bytes(flipped))
            if isinstance(message, DecodeError):
                continue
            accepted += 1
            again = {
                row[1]: revealed(message, row[1])
                for row in message.describe()
                if "." not in row[0] and row[0] != "0"
            }
            # Hexadecimal may come in small letters; it is written in capitals.
            assert dialect.encode(message.mti, again)[2:].upper() == bytes(flipped).upper()
    assert accepted > len(whole)


@given(st.binary(max_size=400), st.sampled_from(sorted(DIALECTS)))
def test_noise_is_refused_or_read(noise: bytes, name: str) -> None:
    dialect = DIALECTS[name]
    framer = Framer(dialect, 256)
    with suppress(FramingError):
        for item in framer.feed(noise, 1):
            assert isinstance(item, Message | DecodeError)
    assert framer.buffered <= 258
    found = decoded(dialect, noise)
    if isinstance(found, DecodeError):
        assert 0 <= found.offset <= len(noise)


@given(st.binary(max_size=300))
def test_chip_data_passes_untouched_or_not_at_all(chip: bytes) -> None:
    """Unknown tags, long lengths and filling bytes stay as they are."""
    length = f"{len(chip):03d}".encode()
    whole = body(purchase(**CHIP))
    at = whole.index(b"156", 100) + 3
    rebuilt = whole[:at] + length + chip
    found = decoded(DIALECT, rebuilt)
    if isinstance(found, DecodeError):
        assert found.path.startswith("field 55")
    else:
        assert found.reveal("icc") == chip.hex().upper()


def _values() -> dict[str, str | bytes]:
    message = DIALECT.decode(body(purchase(**CHIP)))
    names = [row[1] for row in message.describe() if "." not in row[0] and row[0] != "0"]
    return {name: revealed(message, name) for name in names}
