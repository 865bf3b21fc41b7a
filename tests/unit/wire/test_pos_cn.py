"""The dialect of Chinese POS terminals: bytes as a capture shows them, filling sides, forms."""

import pytest

from switch.errors import DecodeError, EncodeError, UsageError
from switch.model.kind import Check, Kind
from switch.wire import Framer, Message
from tests.support.pos import POS, by_hand, digits, ll, lll, pos_message, with_type
from tests.support.wire import CHIP

ICC = bytes.fromhex(
    "9F3303E0E1C8950500000000009F1E0835343030343331389F101307011703A00000010A010000049993865EF220"
    "9F2608F207A58A91AB83839F3602006782027C009C01009F1A0201569A031709229F02060000000000015F2A0201"
    "569F03060000000000009F3501229F370463A5E81D9F2701809F410400000089"
)
"""Chip data in the order in which a bus terminal sends them."""

RIDE = (
    b"PA570900000001" + b"\x1f\x51\x0224" + b"\x1f\x52\x0203" + b"\xff\x57\x011"
    + b"\xff\x58\x0e20261127160000" + b"#"
)  # fmt: skip

CAPTURE = {
    2: ll(19, digits("6299001234567890123", right=True)),
    3: digits("000000"),
    4: digits("000000000001"),
    11: digits("000123"),
    22: b"\x07\x20",
    23: b"\x00\x01",
    25: b"\x00",
    35: ll(37, bytes.fromhex("6299001234567890123D25122201000000000" + "0")),
    41: b"52010001",
    42: b"898520154110004",
    48: lll(len(RIDE), RIDE),
    49: b"156",
    53: digits("0600000000000000"),
    55: lll(len(ICC), ICC),
    60: lll(14, digits("22000007000601")),
    63: lll(3, b"CUP"),
    64: b"A1B2C3D4",
}  # fmt: skip
"""A ride, field by field as it stands on the wire."""


def test_a_whole_frame_is_read_field_by_field() -> None:
    frame = by_hand("0200", CAPTURE)
    [message] = Framer(POS).feed(frame, 1)
    assert isinstance(message, Message)
    assert (message.kind, message.check, message.stan) == (Kind.PURCHASE, Check.OK, 123)
    assert message.length == len(frame) - 2 - 11
    read = {
        "pan": "6299001234567890123",
        "amount": "000000000001",
        "entry_mode": "072",
        "card_sequence": "001",
        "track2": "6299001234567890123=25122201000000000",
        "terminal_id": "52010001",
        "merchant_id": "898520154110004",
        "additional_private.usage": "PA",
        "additional_private.product": "5709",
        "additional_private.area": "0000",
        "additional_private.area_extra": "0001",
        "additional_private.1F52": b"03".hex(),
        "additional_private.FF57": b"1".hex(),
        "currency": "156",
        "icc.9F26": "F207A58A91AB8383",
        "icc.9F41": "00000089",
        "transaction_type": "22",
        "batch": "000007",
        "network_code": "000",
        "reserved_private_60.read_capability": "6",
        "reserved_private_60.chip_condition": "0",
        "reserved_private_60.partial_approval": "1",
        "reserved_private_63": "CUP",
        "mac": b"A1B2C3D4".hex().upper(),
    }
    assert {name: message.reveal(name) for name in read} == read
    assert message.header["tpdu.destination"] == "0006"
    whole = {row[0]: row[4] for row in message.describe()}
    assert whole["60"] == 7, "fourteen digits"
    written: dict[str, str | bytes] = {
        row[1]: _back(message, row[1]) for row in message.describe()[1:] if "." not in row[0]
    }
    assert POS.encode("0200", written) == frame


def _back(message: Message, name: str) -> str | bytes:
    """A field as `encode` takes it."""
    value = message.reveal(name)
    assert value is not None
    binary = {row["name"] for row in POS.fields() if row.get("type") == "b"}
    return bytes.fromhex(value) if name in binary else value


@pytest.mark.parametrize(
    ("name", "value", "wire"),
    [
        ("pan", "6299001234567", "1362990012345670"),
        ("entry_mode", "071", "0710"),
        ("card_sequence", "001", "0001"),
        ("acquirer_code", "48010", "05480100"),
        ("track2", "6299001234567=3012201", "216299001234567D30122010"),
        ("reserved_private_60", "22000007000", "0011220000070000"),
        ("reserved_private_61", "0000070001231127", "00160000070001231127"),
        ("icc", bytes.fromhex("9F2602AABB"), "00059F2602AABB"),
        ("currency", "156", "313536"),
    ],
)
def test_each_field_is_filled_at_its_own_side(name: str, value: str | bytes, wire: str) -> None:
    frame = POS.encode("0200", {name: value})
    assert frame[23:].hex().upper() == wire
    found = POS.decode_frame(frame).reveal(name)
    assert found == (value if isinstance(value, str) else value.hex().upper())


@pytest.mark.parametrize(
    ("number", "wire", "path"),
    [
        # The mode of field 22 at the wrong side: its filling would be a 1.
        (22, b"\x00\x71", "field 22"),
        (23, b"\x00\x1a", "field 23"),
        (2, ll(13, digits("6299001234567")), "field 2"),
        (60, lll(10, digits("2200000700")), "field 60"),
        (48, lll(16, b"PA57090000\x1f\x51\x0224#"), "field 48"),
    ],
)
def test_a_filling_or_a_length_at_fault_is_named(number: int, wire: bytes, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        POS.decode_frame(by_hand("0200", {number: wire}))
    assert caught.value.path.split(".")[0] == path


def test_totals_of_a_settlement_are_digits_and_a_ride_is_text() -> None:
    totals = "000000001234" + "003" + "000000000000" + "000" + "1" + "0" * 30 + "1"
    message = POS.decode_frame(by_hand("0500", {48: lll(62, digits(totals))}))
    assert message.kind == Kind.UNKNOWN, "answered 12"
    assert message.reveal("additional_private.debits_amount") == "000000001234"
    assert message.reveal("additional_private.debits_count") == "003"
    assert message.reveal("additional_private.foreign_balanced") == "1"
    assert message.reveal("additional_private.product") is None
    frame = POS.encode("0500", {"additional_private": digits(totals)})
    assert frame[23:] == lll(62, digits(totals))


def test_keys_of_a_sign_on_have_the_form_of_their_length() -> None:
    field = bytes(range(16)) + b"PCHK" + bytes(range(8)) + bytes(8) + b"MCHK"
    message = POS.decode_frame(by_hand("0810", {62: lll(len(field), field)}))
    assert message.reveal("reserved_private_62.pin_key") == bytes(range(16)).hex().upper()
    assert message.reveal("reserved_private_62.mac_check") == b"MCHK".hex().upper()
    assert message.reveal("reserved_private_62.track_key") is None
    with pytest.raises(UsageError):
        message.get("reserved_private_62.pin_key")
    hidden = {row[0]: row[2] for row in message.describe()}
    assert hidden["62.pin_key"] == "(16 hidden)"
    parts: dict[str, str | bytes] = {
        "reserved_private_62.pin_key": bytes(8),
        "reserved_private_62.pin_check": b"PCHK",
        "reserved_private_62.mac_key": bytes(8),
        "reserved_private_62.mac_check": b"MCHK",
    }
    assert POS.encode("0810", parts)[23:27] == b"\x00\x24" + bytes(2)
    with pytest.raises(EncodeError):
        POS.encode("0810", {**parts, "reserved_private_62.track_key": bytes(20)})


ROWS = [
    ("0200", "000000", "00", "22", Kind.PURCHASE),
    ("0200", "310000", "00", "01", Kind.BALANCE),
    ("0100", "030000", "06", "10", Kind.PREAUTHORISATION),
    ("0100", "200000", "06", "11", Kind.PREAUTHORISATION_CANCEL),
    ("0200", "000000", "06", "20", Kind.COMPLETION),
    ("0220", "000000", "06", "24", Kind.COMPLETION_ADVICE),
    ("0200", "000000", "00", "36", Kind.PURCHASE_ADVICE),
    ("0200", "200000", "06", "21", Kind.COMPLETION_VOID),
    ("0400", "000000", "00", "22", Kind.REVERSAL_REQUEST),
    ("0400", "030000", "06", "10", Kind.REVERSAL_REQUEST),
    ("0400", "200000", "06", "21", Kind.REVERSAL_REQUEST),
    # Not ours: void, refund, cash load, and what only looks like one of ours.
    ("0200", "200000", "00", "23", Kind.UNKNOWN),
    ("0220", "200000", "00", "25", Kind.UNKNOWN),
    ("0200", "630000", "91", "46", Kind.UNKNOWN),
    ("0400", "310000", "00", "01", Kind.UNKNOWN),
]


@pytest.mark.parametrize(("mti", "processing", "condition", "kind", "expected"), ROWS)
def test_what_a_message_is_stands_in_four_fields(
    mti: str, processing: str, condition: str, kind: str, expected: Kind
) -> None:
    values = pos_message(kind, processing_code=processing, condition_code=condition)
    values["auth_code"] = "A00001"
    message = POS.decode_frame(POS.encode(mti, values))
    assert message.kind == expected
    assert message.check == (Check.UNKNOWN_KIND if expected is Kind.UNKNOWN else Check.OK)
    if expected is Kind.UNKNOWN and mti != "0400":
        assert message.check_path in {"field 3", "field 25", "field 60"}


def test_network_management_is_told_by_a_sub_field() -> None:
    values = {"stan": "000001", "terminal_id": "52010001", "merchant_id": "898520154110004"}
    for code in ("001", "003", "004", "002"):
        frame = POS.encode("0800", {**values, **with_type("00", network=code, more="")})
        message = POS.decode_frame(frame)
        assert (message.kind, message.get("network_code")) == (Kind.NETWORK, code)


def test_a_card_number_may_stand_in_the_track_alone() -> None:
    values = pos_message(pan=None, track2="6299001234567891=3012201")
    message = POS.decode_frame(POS.encode("0200", {**values, **CHIP}))
    assert message.check == Check.OK
    assert message.masked_pan() == "629900******7891"
    neither = POS.decode_frame(POS.encode("0200", pos_message(pan=None)))
    assert (neither.check, neither.check_path) == (Check.FORMAT, "field 2")


def test_what_the_switch_supplies_is_not_there_before_it_does() -> None:
    message = POS.decode_frame(POS.encode("0200", pos_message()))
    assert set(POS.supplies) >= {"transmission_time", "rrn", "mcc", "acquirer_code"}
    assert message.get("rrn") is None
    assert message.get("transmission_time") is None
    with pytest.raises(UsageError):
        message.get("settlement_amount")
