"""Outcomes of transactions as they become durable, for those who watch a node.

Fed with records in order; gives one `Outcome` for each request or reversal of an acquirer that came
to its end. It remembers what is in flight, up to `OPEN_MAX`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from switch.journal.query import is_tap, shown_id
from switch.model.kind import Kind
from switch.model.state import Cause, KeyState

__all__ = ["OPEN_MAX", "Outcomes"]

Record = Mapping[str, Any]
Outcome = dict[str, Any]
"""`switch.journal.where.FIELDS`, with `txn`, `at_ms` and the masked `card`."""

OPEN_MAX: Final = 200_000
"""Requests in flight that are remembered; the oldest is forgotten then, and told without its
beginning."""

_TEXTS: Final = (
    "acquirer", "issuer", "currency", "terminal_id", "merchant_id", "mcc", "entry_mode", "stan",
    "rrn",
)  # fmt: skip


class Outcomes:
    """Folds records into outcomes."""

    def __init__(self) -> None:
        self._open: dict[int, Outcome] = {}
        self.last_lsn = 0
        self.missed = 0
        """Records that were deleted before they were read."""

    def take(self, records: Iterable[Record]) -> Iterator[Outcome]:
        """The outcomes among the next records."""
        for record in records:
            lsn = record["lsn"]
            if self.last_lsn and lsn > self.last_lsn + 1:
                self.missed += lsn - self.last_lsn - 1
            self.last_lsn = lsn
            if record["carried"]:
                continue
            kind, txn = record["kind"], record.get("txn", 0)
            if kind == "ACCEPTED":
                if len(self._open) >= OPEN_MAX:
                    del self._open[next(iter(self._open))]
                self._open[txn] = _begun(record)
            elif kind in {"ANSWERED", "STOOD_IN"}:
                begun = self._open.pop(txn) if txn in self._open else _begun(record)
                yield _ended(begun, record)
            elif kind in {"DECLINED", "REVERSAL", "ADVISED"}:
                yield _ended(_begun(record), record)


def _begun(record: Record) -> Outcome:
    row: Outcome = {name: str(record.get(name, "")).rstrip() for name in _TEXTS}
    txn = record.get("txn", 0)
    row |= {
        "txn": txn,
        "id": shown_id(txn),
        "kind": _word(Kind, record.get("message_kind", 0)),
        "amount_minor": record.get("amount"),
        "card": record.get("pan", ""),
        "token": is_tap(record),
        "reason": record.get("reason", ""),
        "route_digits": record.get("route_digits"),
        "config": record.get("config_hash", ""),
    }
    return row


def _ended(row: Outcome, record: Record) -> Outcome:
    bank_us, ours_us = record.get("bank_us"), record.get("ours_us")
    recorded_us = record.get("recorded_us")
    if recorded_us is not None and (bank_us is not None or ours_us is None):
        # From the first byte to this record, without the bank's share.
        ours_us = recorded_us - (bank_us or 0)
    return row | {
        "at_ms": record.get("at_ms", 0),
        "code": record.get("code", ""),
        "bank_code": record.get("bank_code", ""),
        "end": record.get("end", ""),
        "outcome": _word(KeyState, record.get("outcome", 0)),
        "cause": _word(Cause, cause) if (cause := record.get("cause", 0)) else "",
        "bank_ms": bank_us / 1000 if bank_us is not None else None,
        "ours_us": ours_us,
    }


def _word(enum: Any, number: int) -> str:
    try:
        return str(enum(number).name).lower().replace("_", " ")
    except ValueError:
        return str(number)
