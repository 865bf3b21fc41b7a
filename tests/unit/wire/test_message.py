"""Messages: what may be read, what is hidden, and whether an answer belongs to a request."""

import pytest

from switch.errors import DecodeError, EncodeError, UsageError
from switch.wire.describe import describe
from tests.support.message import DIALECT, PURCHASE, message, reply_to
from tests.support.wire import CHIP, body, packed, purchase, variant

TRACK = "6299000000000004=30122010000000000"
SECRETS = ("6299000000000004", "3012", TRACK, "A5A5", "secret")


def full() -> bytes:
    """A purchase with everything that must not be seen."""
    changes: dict[str, str | bytes] = {
        **CHIP,
        "icc.57": "6299000000000004D3012201",
        "icc.5A": "6299000000000004",
        "track2": TRACK,
        "expiry": "3012",
        "pin_block": b"\xa5" * 8,
        "additional_private": "secret",
    }
    return purchase(**changes)


def test_fields_are_read_in_normal_form() -> None:
    found = DIALECT.decode(body(full()))
    assert found.get("terminal_id") == PURCHASE["terminal_id"]
    assert found.get("amount") == "000000001000"
    assert found.get("icc.9F26") == "0001020304050607"
    assert found.get("settlement_date") is None
    assert found.has("icc.9F26")
    assert not found.has("icc.9F6C")
    assert found.has("pan")
    assert not found.has("auth_code")
    assert (found.mti, found.repeat, found.stan, found.amount_minor) == ("0200", False, 1, 1000)
    assert found.length == len(body(full()))


@pytest.mark.parametrize(
    "name", ["pan", "track2", "expiry", "pin_block", "icc", "icc.57", "icc.5A", "icc.DF7F"]
)
def test_what_authenticates_a_card_is_not_for_reading(name: str) -> None:
    found = DIALECT.decode(body(full()))
    with pytest.raises(UsageError, match="not for reading"):
        found.get(name)
    # Simulators and tests may.
    assert found.reveal(name) or name == "icc.DF7F"


def test_unknown_names_are_our_own_fault() -> None:
    found = DIALECT.decode(body(full()))
    for name in ("pans", "pan.1", "icc.9F", "icc.", "original_data.stans", ""):
        with pytest.raises(UsageError, match="no field"):
            found.get(name)
        with pytest.raises(UsageError, match="no field"):
            found.has(name)


def test_nothing_secret_shows() -> None:
    found = DIALECT.decode(body(full()))
    shown = describe(found) + repr(found) + found.masked_pan() + repr(found.describe())
    assert "629900******0004" in shown
    assert "TERM0001" in shown
    assert "0001020304050607" in shown
    for secret in SECRETS:
        assert secret not in shown


def test_no_fault_quotes_a_secret() -> None:
    """Whatever byte is broken, the error carries no part of a card number, track or PIN."""
    whole = body(full())
    faults = 0
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 0x55
        try:
            DIALECT.decode(bytes(broken))
        except DecodeError as error:
            faults += 1
            text = f"{error} {error!r} {error.partial!r}"
            for secret in ("62990000", "00000004", "30122010", "A5A5", "secret"):
                assert secret not in text
    assert faults > 150


def test_describe_lists_wire_order_with_places() -> None:
    found = DIALECT.decode(body(full()))
    rows = found.describe()
    assert [row[0] for row in rows[:4]] == ["0", "2", "3", "4"]
    raw = body(full())
    for number, name, value, offset, length in rows:
        if name in {"terminal_id", "rrn", "merchant_id"}:
            assert raw[offset : offset + length].decode() == value
        assert offset + length <= len(raw), number
    table = describe(found).splitlines()
    assert len(table) == len(rows)
    assert "icc.9F26" in describe(found)


def test_describe_knows_the_other_axes() -> None:
    dialect = packed()
    frame = dialect.encode("0200", {**PURCHASE, "original_data.stan": "000007"})
    found = dialect.decode(frame[2:])
    rows = {name: (offset, length, value) for _, name, value, offset, length in found.describe()}
    assert rows["stan"][1] == 3
    assert rows["original_data.stan"][1:] == (3, "000007")
    assert rows["terminal_id"] == (rows["terminal_id"][0], 8, "TERM0001")


def test_an_answer_agrees_or_does_not() -> None:
    request = message("0201", PURCHASE)
    out = (77, "1123170005")
    assert reply_to(request, *out, "00").agrees(request, *out)
    assert not reply_to(request, *out, "00").agrees(request, 78, out[1])
    assert not reply_to(request, *out, "00").agrees(request, 77, "1123170006")
    others = [
        reply_to(request, *out, "00", rrn="000000000002"),
        reply_to(request, *out, "00", terminal_id="TERM0002"),
        reply_to(request, *out, "00", currency="840"),
    ]
    assert not any(other.agrees(request, *out) for other in others)
    without = {
        "transmission_time": out[1],
        "stan": "000077",
        "response_code": "00",
        "rrn": PURCHASE["rrn"],
        "terminal_id": PURCHASE["terminal_id"],
    }
    assert not message("0210", without).agrees(request, *out)
    assert not message("0110", {**without, "currency": "156"}).agrees(request, *out)
    assert message("0210", {**without, "currency": "156"}).agrees(request, *out)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"stan": "12"}, "field 11: length 2 is not 6"),
        ({"stan": "00001x"}, "field 11: the value is not n"),
        ({"pan": "6" * 20}, "field 2: length 20 is not 8 to 19"),
        ({"pans": "1"}, "pans: the dialect has no such field"),
        ({"pin_block": "xyz"}, "pin_block: the text of a binary field is not hexadecimal"),
        ({"merchant_name": "商户"}, "merchant_name: the text is not ASCII"),
        ({"original_data": "0" * 42, "original_data.stan": "1"}, "both whole and in parts"),
        ({"original_data.stan": "1234567"}, "field 90.stan: length 7 is more than 6"),
        ({"icc": b"\x9f\x26\x08\x00"}, "field 55: TLV: found length 8, expected at most 1"),
        ({"icc": b"\x95\x00\x95\x00"}, "each tag once"),
    ],
)
def test_values_that_do_not_fit_are_named(values: dict[str, str | bytes], problem: str) -> None:
    with pytest.raises(EncodeError) as caught:
        DIALECT.encode("0200", values)
    assert problem in str(caught.value)


def test_text_in_gbk_goes_there_and_back() -> None:
    dialect = variant(
        ('43 = { name = "merchant_name", type = "ans"',
         '43 = { name = "merchant_name", type = "ans", charset = "gbk"'),
        ('62 = { name = "reserved_private_62", type = "ans"',
         '62 = { name = "reserved_private_62", type = "ans", charset = "gbk"'),
    )  # fmt: skip
    frame = dialect.encode("0200", {"merchant_name": "便利店 24h", "reserved_private_62": "提示"})
    found = dialect.decode(frame[2:])
    assert found.get("merchant_name") == "便利店 24h".ljust(40 - 3)
    assert found.reveal("reserved_private_62") == "提示"
    with pytest.raises(DecodeError, match="field 43"):
        DIALECT.decode(frame[2:])


def test_sub_fields_of_every_layout_are_reached_by_name() -> None:
    whole = '48 = { name = "additional_private", '
    tags = (
        'tags = { AA = { class = "C1", title = { en = "A", zh = "甲" } }, '
        'PZ = { class = "C2", title = { en = "P", zh = "乙" } } }'
    )
    layout = f'layout = "tlv", tag_digits = 2, length_digits = 3, {tags}, '
    dialect = variant((whole, whole + layout))
    frame = dialect.encode("0200", {"additional_private.PZ": "12", "additional_private.AA": "xyz"})
    found = dialect.decode(frame[2:])
    assert found.reveal("additional_private") == "PZ00212AA003xyz"
    assert found.get("additional_private.AA") == "xyz"
    assert found.get("additional_private.PZ") == "12"
    with pytest.raises(UsageError, match="not for reading"):
        found.get("additional_private.ZZ")
    shown = describe(found)
    assert "additional_private.AA  xyz" in shown
    assert "(2 hidden)" in shown
    broken = frame[2:].replace(b"PZ002", b"PZ0x2")
    with pytest.raises(DecodeError, match=r"field 48\.PZ at offset"):
        dialect.decode(broken)
