"""What became of transactions, folded from their records.

A scan in order: the first record of a transaction names card, terminal and amount, later ones its
outcome. Only what a query wants is kept in memory.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from switch.constants import LANE_BITS, NODE_BITS, TXN_COUNTER_BITS
from switch.model.ids import TxnId
from switch.model.kind import Kind
from switch.model.state import Cause, Duty, KeyState, ReversalEffect

__all__ = [
    "FIRST",
    "OUTCOMES",
    "Query",
    "Row",
    "begins",
    "is_tap",
    "life",
    "parse_id",
    "refused_tap",
    "rows",
    "shown_id",
]

Record = Mapping[str, Any]

FIRST: Final = frozenset({"ACCEPTED", "DECLINED", "REVERSAL", "ADVISED"})
"""Kinds of the record in which a transaction begins; see `begins`."""

OUTCOMES: Final = frozenset({"ANSWERED", "DECLINED", "REVERSAL", "ADVISED", "STOOD_IN"})
"""Kinds of the record that says how it ended."""

TXN_END: Final = 1 << (NODE_BITS + LANE_BITS + TXN_COUNTER_BITS)


def begins(record: Record) -> bool:
    """True for the first record of a transaction. An approval by stand-in is one unless its request
    was accepted before: it claims the request's key and body then."""
    return record["kind"] in FIRST or (record["kind"] == "STOOD_IN" and "body" in record)


def shown_id(txn: int) -> str:
    """``node-lane-counter`` of a transaction id, as people read it."""
    parts = TxnId.unpack(txn)
    return f"{parts.node}-{parts.lane}-{parts.counter}"


def parse_id(text: str) -> int | None:
    """A transaction id as people or programs write it (``1-0-42`` or the number); None when it is
    neither."""
    parts = text.split("-")
    if not all(part.isascii() and part.isdigit() for part in parts) or len(parts) not in (1, 3):
        return None
    numbers = [int(part) for part in parts]
    if len(numbers) == 1:
        return numbers[0] if numbers[0] < TXN_END else None
    named = TxnId(numbers[0], numbers[1], numbers[2])
    txn = named.pack()
    return txn if txn < TXN_END and TxnId.unpack(txn) == named else None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; what is empty does not matter."""

    rrn: str = ""
    stan: str = ""
    terminal: str = ""
    config: str = ""
    """How the hash of the configuration begins that the transaction was decided under."""
    since_ms: int = 0
    end: str = ""
    """End code that the transaction came to."""
    reason: str = ""
    """Why a tap was refused."""
    tap: bool | None = None
    """Taps only, or none."""
    card: str = ""
    """Keyed hash of a card or token number (`Keys.card_hash`), in hex."""

    def wants(self, record: Record) -> bool:
        """True for the first record of a transaction that matches."""
        return (
            begins(record)
            and not record["carried"]
            and record.get("at_ms", 0) >= self.since_ms
            and (not self.rrn or record.get("rrn") == self.rrn)
            and (not self.terminal or record.get("terminal_id", "").rstrip() == self.terminal)
            and record.get("config_hash", "").startswith(self.config)
            and (not self.stan or record.get("stan", "").zfill(6) == self.stan.zfill(6))
            and (not self.reason or record.get("reason") == self.reason)
            and (self.tap is None or self.tap == is_tap(record))
            and (not self.card or record.get("card") == self.card)
        )


def is_tap(record: Record) -> bool:
    """True for the first record of a tap, proved or refused."""
    return "atc" in record or refused_tap(record) != ""


def refused_tap(record: Record) -> str:
    """Why a tap was refused; '' when it was not. Other records have reasons too: of a process that
    stopped, and of stand-in that approved or did not fit."""
    reason: str = record.get("reason", "") if record["kind"] == "DECLINED" else ""
    return "" if reason.startswith("stand_in_") else reason


class Row(msgspec.Struct, kw_only=True):
    """One transaction on one line."""

    txn: int
    id: str
    at_ms: int
    kind: str
    acquirer: str = ""
    issuer: str = ""
    pan: str = ""
    amount_minor: int = 0
    currency: str = ""
    stan: str = ""
    rrn: str = ""
    terminal_id: str = ""
    code: str = ""
    auth_code: str = ""
    outcome: str = "in flight"
    end: str = ""
    cause: str = ""
    """Why a reversal is or was owed to the bank."""
    config: str = ""
    """Hash of the configuration that it was decided under; empty in journals of old versions."""
    reversal: str = ""
    """owed, parked, dead, …, or the bank's final code."""
    advice: str = ""
    """The same of an advice to the bank."""
    tap: bool = False
    atc: int = -1
    """Transaction counter of a tap that was proved."""
    rule: str = ""
    """Rule of stand-in by which it was approved."""
    reason: str = ""
    """Why a tap was refused."""


def rows(records: Iterable[Record], query: Query) -> list[Row]:
    """The transactions that match, in order of their first records."""
    found: dict[int, Row] = {}
    for record in records:
        if query.wants(record):
            found[record["txn"]] = _begin(record)
        kind, txn = record["kind"], record.get("txn", 0)
        if kind == "REVERSAL" and (row := found.get(record.get("original", 0))) is not None:
            _reversed(row, record)
        if (row := found.get(txn)) is None or record["carried"]:
            continue
        if kind in OUTCOMES:
            _outcome(row, record)
        if kind == "SETTLED":
            _settled(row, record)
        elif "advice_stan" in record:
            row.advice = "owed"
    return [row for row in found.values() if query.end in {"", row.end}]


def life(records: Iterable[Record], txn: int) -> list[Record]:
    """All records of one transaction, and those of reversals that name it."""
    return [r for r in records if txn in (r.get("txn"), r.get("original"))]


def _begin(record: Record) -> Row:
    txn = record["txn"]
    return Row(
        txn=txn,
        id=shown_id(txn),
        at_ms=record.get("at_ms", 0),
        kind=_name(Kind, record.get("message_kind", 0)),
        acquirer=record.get("acquirer", ""),
        issuer=record.get("issuer", ""),
        pan=record.get("pan", ""),
        amount_minor=record.get("amount", 0),
        currency=record.get("currency", ""),
        stan=record.get("stan", ""),
        rrn=record.get("rrn", ""),
        terminal_id=record.get("terminal_id", ""),
        tap=is_tap(record),
        atc=record.get("atc", -1),
        reason=record.get("reason", ""),
        config=record.get("config_hash", ""),
    )


def _outcome(row: Row, record: Record) -> None:
    row.code = record.get("code", "")
    row.auth_code = record.get("auth_code", "")
    row.rule = record.get("rule", "")
    row.end = record.get("end", "")
    row.outcome = _name(KeyState, record.get("outcome", 0))
    if cause := record.get("cause", 0):
        if record["kind"] in {"ANSWERED", "STOOD_IN"}:
            row.cause = _name(Cause, cause)
            row.reversal = "owed"
    elif record["kind"] == "REVERSAL":
        row.cause = _name(ReversalEffect, record.get("effect", 0))


def _settled(row: Row, record: Record) -> None:
    result = record.get("result", "")
    if record.get("duty", Duty.REVERSAL) == Duty.ADVICE:
        row.advice = result
    else:
        row.reversal = result


def _reversed(row: Row, record: Record) -> None:
    if record.get("effect") == ReversalEffect.REVERSE:
        row.outcome = _name(KeyState, KeyState.REVERSED)
        row.cause = _name(Cause, Cause.ACQUIRER)
        row.reversal = "owed"


def _name(enum: Any, number: int) -> str:
    try:
        return str(enum(number).name).lower().replace("_", " ")
    except ValueError:
        return str(number)
