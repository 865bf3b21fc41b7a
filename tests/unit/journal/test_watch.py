"""Outcomes are told once, with what their beginning knew."""

from typing import Any

import pytest

from switch.journal import watch
from switch.journal.watch import Outcomes
from switch.journal.where import FIELDS


def record(kind: str, lsn: int, txn: int, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "lsn": lsn, "txn": txn, "carried": False, "at_ms": 5, **fields}


ACCEPTED = {"acquirer": "ACQ01", "issuer": "BANK01", "amount": 5, "message_kind": 2, "pan": "62**"}


def test_an_answer_is_told_with_its_request() -> None:
    outcomes = Outcomes()
    begun = record("ACCEPTED", 1, 9, **ACCEPTED)
    assert list(outcomes.take([begun])) == []
    ended = record(
        "ANSWERED", 2, 9, code="00", end="--", outcome=2, bank_us=2_000, ours_us=100,
        recorded_us=2_300,
    )  # fmt: skip
    (row,) = outcomes.take([ended])
    assert set(FIELDS) <= set(row)
    assert (row["acquirer"], row["issuer"], row["code"]) == ("ACQ01", "BANK01", "00")
    assert (row["bank_ms"], row["ours_us"]) == (2.0, 300)
    assert (row["kind"], row["outcome"], row["token"]) == ("purchase", "approved", False)


def test_a_refusal_is_told_at_once() -> None:
    declined = record("DECLINED", 1, 9, code="05", end="KC", outcome=3, reason="cryptogram")
    (row,) = Outcomes().take([declined])
    assert (row["token"], row["reason"], row["end"]) == (True, "cryptogram", "KC")


def test_an_answer_whose_request_was_not_seen_is_told_with_what_it_has() -> None:
    (row,) = Outcomes().take([record("ANSWERED", 7, 9, code="91", end="TW", cause=1, outcome=3)])
    assert (row["issuer"], row["cause"], row["amount_minor"]) == ("", "timeout", None)
    assert set(FIELDS) <= set(row)


def test_what_a_checkpoint_carries_is_not_told_again() -> None:
    carried = record("ANSWERED", 1, 9, code="00") | {"carried": True}
    assert list(Outcomes().take([carried])) == []


def test_records_that_were_deleted_before_they_were_read_are_counted() -> None:
    outcomes = Outcomes()
    list(outcomes.take([record("STARTED", 1, 0), record("STARTED", 5, 0)]))
    assert (outcomes.missed, outcomes.last_lsn) == (3, 5)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "OPEN_MAX", 2)
    outcomes = Outcomes()
    list(outcomes.take(record("ACCEPTED", n, n, **ACCEPTED) for n in (1, 2, 3)))
    rows = list(outcomes.take(record("ANSWERED", 3 + n, n, code="00") for n in (1, 2, 3)))
    assert [row["acquirer"] for row in rows] == ["", "ACQ01", "ACQ01"]
