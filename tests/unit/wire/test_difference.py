"""Two messages compared by canonical name: states, dialects, masks."""

from pathlib import Path
from typing import Any

from switch.wire.difference import Difference, difference
from switch.wire.source import Source
from tests.support.message import DIALECT, PURCHASE
from tests.support.wire import CHIP, PACKED, packed, purchase, text_with

BCD = Source(Path("packed.toml"), text_with(*PACKED)).dialect


def rows(a: bytes, b: bytes) -> dict[str, Difference]:
    found = difference(DIALECT.decode(a[2:]), DIALECT.decode(b[2:]))
    return {row.name: row for row in found}


def test_states_of_every_field() -> None:
    before = purchase(**CHIP, expiry="3012")
    after = purchase(
        "0210", **{**CHIP, "icc.9F36": "0002"}, stan="000002", rrn=None, auth_code="A1"
    )
    found = rows(before, after)
    states = {name: row.state for name, row in found.items() if row.state != "same"}
    assert states == {
        "mti": "changed",
        "stan": "changed",
        "rrn": "only-in-a",
        "expiry": "only-in-a",
        "auth_code": "only-in-b",
        "icc.9F36": "changed",
    }
    assert (found["stan"].a, found["stan"].b) == ("000001", "000002")
    assert "icc" not in found
    assert found["expiry"].a == "(4 hidden)"


def test_what_is_hidden_is_compared_and_not_shown() -> None:
    track = "6299000000000004=3012201"
    same = rows(purchase(track2=track), purchase(track2=track))["track2"]
    other = rows(purchase(track2=track), purchase(track2=track[:-1] + "2"))["track2"]
    assert (same.state, other.state) == ("same", "changed")
    assert other.a == other.b == "(24 hidden)"
    assert rows(purchase(), purchase(pan="6299000000010004"))["pan"].a == "629900******0004"


def test_messages_of_two_dialects_are_the_same() -> None:
    values: dict[str, Any] = {
        **PURCHASE,
        **CHIP,
        "track2": "6299000000000004=3012201",
        "original_data.stan": "000007",
        "pin_block": b"\xa5" * 8,
    }
    left = DIALECT.decode(DIALECT.encode("0200", values)[2:])
    for other in (BCD, packed()):
        right = other.decode(other.encode("0200", values)[2:])
        found = list(difference(left, right))
        assert {row.state for row in found} == {"same"}
        assert "original_data.stan" in {row.name for row in found}


def test_a_field_that_only_one_side_takes_apart_is_compared_whole() -> None:
    layout = 'layout = "tlv"\ntag_digits = 2\nlength_digits = 3\n'
    start = text_with().index("[fields.63.tags]")
    end = text_with().index("# The closed table")
    text = (text_with()[:start] + text_with()[end:]).replace(layout, "")
    plain = Source(Path("plain.toml"), text.split("# Where a bank is told")[0] + legs(text))
    values = {"stan": "000001", "reserved_private_63": "01001Y"}
    left = DIALECT.decode(DIALECT.encode("0800", values)[2:])
    right = plain.dialect.decode(plain.dialect.encode("0800", values)[2:])
    found = {row.name: row.state for row in difference(left, right)}
    assert found["reserved_private_63"] == "same"
    assert "reserved_private_63.01" not in found


def legs(text: str) -> str:
    """The legs of the file, without what tells of taps."""
    kept = text[text.index("[legs.request]") : text.index("# To the bank, in the place of")]
    return kept + text[text.index("# To the bank: undo.") :]
