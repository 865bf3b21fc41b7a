"""Codes behind messages: what they cover, where they stand, and that nothing gets past them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.errors import DecodeError, MacError
from switch.wire import Dialect, Framer, Message
from tests.support.mac import covered, guard, retail
from tests.support.peer import DIALECT, purchase
from tests.support.tree import ROOT

BCD = Dialect.compile(
    (ROOT / "config" / "dialects" / "iso87-bcd.toml").read_text(encoding="utf-8"), "iso87-bcd"
)
NETWORK = {"transmission_time": "1127120000", "stan": "000007", "network_code": "301"}


@pytest.mark.parametrize("dialect", [DIALECT, BCD], ids=lambda dialect: str(dialect.name))
@pytest.mark.parametrize("wide", [False, True])
def test_code_is_the_oracles_over_all_that_stands_before_it(dialect: Dialect, wide: bool) -> None:
    mti, values = ("0800", NETWORK) if wide else ("0200", purchase())
    frame = dialect.encode(mti, values, guard=guard())
    (message,) = Framer(dialect, guard=guard()).feed(frame, 1)
    assert isinstance(message, Message)
    assert message.has("mac2" if wide else "mac")
    code = message.get("mac2" if wide else "mac")
    assert code is not None
    on_wire = 8 if dialect is BCD else 16
    assert code == retail(covered(dialect, frame, on_wire)).hex().upper()


def test_bit_of_the_code_is_covered() -> None:
    frame = DIALECT.encode("0200", purchase(), guard=guard())
    plain = DIALECT.encode("0200", purchase())
    at = 2 + 4 + 15
    assert (frame[at : at + 1], plain[at : at + 1]) == (b"1", b"0")


@given(st.data())
def test_no_changed_byte_gets_past(data: st.DataObject) -> None:
    frame = bytearray(BCD.encode("0200", purchase(), guard=guard()))
    at = data.draw(st.integers(2, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    (item,) = Framer(BCD, guard=guard()).feed(bytes(frame), 1)
    assert isinstance(item, MacError | DecodeError)


def test_wrong_and_missing_codes_are_told_apart_and_counted() -> None:
    checking = guard()
    framer = Framer(DIALECT, guard=checking)
    other = DIALECT.encode("0200", purchase(), guard=guard(bytes(range(16))))
    found = framer.feed(
        DIALECT.encode("0200", purchase(), guard=guard())
        + other
        + DIALECT.encode("0200", purchase(stan="000042")),
        1,
    )
    assert isinstance(found[0], Message)
    assert [getattr(item, "reason", "ok") for item in found] == ["ok", "wrong", "missing"]
    assert isinstance(found[2], MacError)
    assert found[2].message.stan == 42
    counted = {name: count for name, count in checking.counts if count}
    assert counted == {"ok": 1, "wrong": 1, "missing": 1}


def test_code_in_field_64_before_other_fields_is_none() -> None:
    values = {**purchase(), "mac": bytes(8), "account_from": "1"}
    (item,) = Framer(DIALECT, guard=guard()).feed(DIALECT.encode("0200", values), 1)
    assert isinstance(item, MacError)
    assert item.reason == "missing"
