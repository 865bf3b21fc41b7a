"""Folding records into what became of transactions."""

from typing import Any

import pytest

from switch.journal.query import Query, life, parse_id, rows, shown_id
from switch.model.ids import TxnId
from switch.model.state import Cause, Duty, KeyState, ReversalEffect

FIRST = TxnId(1, 0, 1).pack()


def record(kind: str, txn: int, **fields: Any) -> dict[str, Any]:
    return {"lsn": 0, "kind": kind, "carried": False, "txn": FIRST + txn, "at_ms": txn} | fields


def accepted(txn: int, **fields: Any) -> dict[str, Any]:
    named = {"rrn": f"R{txn:011d}", "stan": f"{txn:06d}", "terminal_id": "T0000001"}
    return record("ACCEPTED", txn, message_kind=2, amount=500, issuer="BANK01", **named | fields)


def only(records: list[dict[str, Any]], **query: Any) -> Any:
    (row,) = rows(records, Query(**query))
    return row


def test_answered_request_has_its_outcome_and_time() -> None:
    answered = record("ANSWERED", 1, at_ms=99, code="00", outcome=KeyState.APPROVED, end="--")
    row = only([accepted(1), answered])
    assert (row.id, row.kind, row.at_ms, row.code) == ("1-0-2", "purchase", 1, "00")
    assert (row.outcome, row.reversal) == ("approved", "")


def test_request_without_an_outcome_is_in_flight() -> None:
    assert only([accepted(1)]).outcome == "in flight"


def test_time_out_shows_its_reversal_until_it_is_settled() -> None:
    late = record("ANSWERED", 1, code="91", outcome=3, end="TW", cause=Cause.TIMEOUT)
    row = only([accepted(1), late])
    assert (row.outcome, row.cause, row.reversal) == ("declined", "timeout", "owed")
    parked = record("SETTLED", 1, result="parked")
    settled = record("SETTLED", 1, result="00")
    assert only([accepted(1), late, parked]).reversal == "parked"
    assert only([accepted(1), late, parked, settled]).reversal == "00"


def test_acquirers_reversal_changes_the_original() -> None:
    told = record("ANSWERED", 1, code="00", outcome=KeyState.APPROVED)
    undone = record(
        "REVERSAL", 2, original=FIRST + 1, effect=ReversalEffect.REVERSE, code="00", message_kind=3
    )
    original, reversal = rows([accepted(1), told, undone], Query())
    assert (original.outcome, original.reversal) == ("reversed", "owed")
    assert (reversal.kind, reversal.code) == ("reversal request", "00")


def test_what_a_checkpoint_carries_is_not_told_twice() -> None:
    carried = accepted(1) | {"carried": True}
    assert len(rows([accepted(1), carried], Query())) == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, 3),
        ({"rrn": "R00000000002"}, 1),
        ({"stan": "2"}, 1),
        ({"stan": "000002"}, 1),
        ({"terminal": "T0000002"}, 1),
        ({"terminal": "T00"}, 0),
        ({"since_ms": 2}, 2),
        ({"since_ms": 2, "terminal": "T0000002"}, 1),
        ({"rrn": "R00000000002", "stan": "3"}, 0),
    ],
)
def test_query_narrows(query: dict[str, Any], found: int) -> None:
    records = [accepted(1), accepted(2, terminal_id="T0000002 "), accepted(3)]
    assert len(rows(records, Query(**query))) == found


def test_life_is_every_record_that_names_it() -> None:
    records = [accepted(1), accepted(2), record("REVERSAL", 3, original=FIRST + 1)]
    assert life(records, FIRST + 1) == [records[0], records[2]]


@pytest.mark.parametrize("txn", [0, 1, FIRST, 2**64 - 1])
def test_ids_are_read_as_they_are_shown(txn: int) -> None:
    assert parse_id(shown_id(txn)) == txn
    assert parse_id(str(txn)) == txn


@pytest.mark.parametrize(
    "text", ["", "x", "1-2", "1-2-3-4", "-1", "256-0-1", "1-0-281474976710656"]
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert parse_id(text) is None


def test_number_above_64_bits_is_no_id() -> None:
    assert parse_id(str(2**64)) is None


def stood_in(txn: int, **fields: Any) -> dict[str, Any]:
    named = {"advice_stan": 700, "advice_time": "1123170000", "rule": "small", "reason": "circuit"}
    return record("STOOD_IN", txn, code="00", outcome=KeyState.APPROVED, end="SW", **named | fields)


def test_an_approval_in_the_bank_s_name_is_a_beginning_and_an_outcome() -> None:
    first = stood_in(1, body="aa", message_kind=2, amount=500, issuer="BANK01", rrn="R00000000001")
    row = only([first], rrn="R00000000001")
    assert (row.outcome, row.end, row.rule) == ("approved", "SW", "small")
    assert (row.advice, row.reversal) == ("owed", "")
    told = record("SETTLED", 1, duty=Duty.ADVICE, result="00")
    row = only([first, told])
    assert (row.advice, row.reversal) == ("00", "")


def test_an_approval_in_the_bank_s_name_after_a_time_out_owes_both() -> None:
    late = stood_in(1, cause=Cause.TIMEOUT, reason="timeout")
    row = only([accepted(1), late])
    assert (row.outcome, row.end, row.cause) == ("approved", "SW", "timeout")
    assert (row.advice, row.reversal) == ("owed", "owed")
    row = only([accepted(1), late, record("SETTLED", 1, result="00")])
    assert (row.advice, row.reversal) == ("owed", "00")


def test_reasons_of_stand_in_make_no_tap() -> None:
    full = record("DECLINED", 1, code="91", outcome=3, end="IR", reason="stand_in_count")
    assert not only([full]).tap
    assert not only([stood_in(1, body="aa")]).tap
    assert only([record("DECLINED", 1, code="05", outcome=3, reason="cryptogram")]).tap
