"""Hand-made ledgers of one sound purchase, to be broken one rule at a time."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from switch.model.kind import Kind
from switch.model.state import KeyState
from switch.simulation.fold import fold
from switch.simulation.ledgers import Asked, Body, Held, Seen, Slot, Told, Undoing
from switch.simulation.oracles import Evidence
from switch.simulation.plan import draw

KEY = ("10000", "T0000000", "000007", "1123160000", "2")
CARD = "6299000000000000007"
OUT = ("000002", "1123160000")
OWED = ("000004", "1123160001")
AT_MS = int(datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp() * 1000)
"""16:00 in the zone of the simulation: the business date is that day."""


def accepted(txn: int = 1, **more: Any) -> dict[str, Any]:
    """The record of the request."""
    return {
        "kind": "ACCEPTED", "lsn": 1, "txn": txn, "acquirer_code": KEY[0], "terminal_id": KEY[1],
        "stan": int(KEY[2]), "transmission_time": KEY[3], "mti": "0200", "amount": 250,
        "rrn": "000000700250", "at_ms": AT_MS, "message_kind": Kind.PURCHASE, "issuer": "BANK00",
        "out_stan": int(OUT[0]), "out_time": OUT[1], "business_date": "20261123",
    } | more  # fmt: skip


def answered(txn: int = 1, **more: Any) -> dict[str, Any]:
    """The record of its outcome: an approval."""
    return {
        "kind": "ANSWERED", "lsn": 2, "txn": txn, "at_ms": AT_MS + 5,
        "outcome": KeyState.APPROVED, "code": "00", "auth_code": "000001", "end": "--",
    } | more  # fmt: skip


def declined(**more: Any) -> dict[str, Any]:
    """Its outcome: a time-out, and a reversal that is owed."""
    return (
        answered(
            outcome=KeyState.DECLINED,
            code="91",
            auth_code="",
            cause=1,
            reversal_stan=int(OWED[0]),
            reversal_time=OWED[1],
        )
        | more
    )


def settled(**more: Any) -> dict[str, Any]:
    """The end of that reversal."""
    return {"kind": "SETTLED", "lsn": 3, "txn": 1, "result": "00"} | more


def told(code: str = "00", at_ns: int = 2_000, **more: Any) -> Told:
    """An answer."""
    row: dict[str, Any] = {
        "at_ns": at_ns, "link": 1, "mti": "0210", "code": code,
        "auth_code": "000001" if code == "00" else "", "rrn": "000000700250", "icc": "",
        "stray": False,
    }  # fmt: skip
    return Told(**(row | more))


def body(**more: Any) -> Body:
    """The request as its acquirer has it."""
    row: dict[str, Any] = {
        "mti": "0200", "kind": "purchase", "amount": 250, "card": CARD, "values": {},
        "frame": b"", "rrn": "000000700250", "sent": [(1_000, 1)], "told": [told()],
    }  # fmt: skip
    return Body(**(row | more))


def undoing(of: Body, code: str = "00", **more: Any) -> Undoing:
    """A reversal of its acquirer, and what it was told."""
    row: dict[str, Any] = {
        "stan": "500001", "time": "1123160002", "amount": 250, "card": CARD, "body": of,
        "values": {}, "mti": "0420", "lie": False, "sent": [(3_000, 1)],
        "told": [told(code, 4_000, mti="0430", auth_code="")],
    }  # fmt: skip
    return Undoing(**(row | more))


def reversal(**more: Any) -> dict[str, Any]:
    """The record of that reversal."""
    return {
        "kind": "REVERSAL", "lsn": 3, "txn": 9, "original": 1, "effect": 0, "code": "00",
        "acquirer_code": KEY[0], "terminal_id": KEY[1], "stan": 500001,
        "transmission_time": "1123160002", "mti": "0420", "amount": 250,
    } | more  # fmt: skip


def seen(mti: str = "0420", **more: Any) -> Seen:
    """A reversal of ours at the bank."""
    row: dict[str, Any] = {
        "at_ns": 5_000, "link": 1, "mti": mti, "stan": OWED[0], "time": OWED[1], "rrn": "",
        "terminal": KEY[1], "acquirer": KEY[0], "amount": 250, "card": CARD, "original": OUT,
    }  # fmt: skip
    return Seen(**(row | more))


def held(**more: Any) -> Held:
    """The request as its bank has it."""
    row: dict[str, Any] = {
        "stan": OUT[0], "time": OUT[1], "rrn": "000000700250", "terminal": KEY[1],
        "acquirer": KEY[0], "amount": 250, "card": CARD, "kind": Kind.PURCHASE, "held": 250,
        "requests": 1, "sound": [("00", "000001")],
    }  # fmt: skip
    return Held(**(row | more))


def bank(*books: Held, **more: Any) -> Any:
    """Of a bank only what is judged."""
    kept = {(one.stan, one.time): one for one in books}
    return SimpleNamespace(**({"books": kept, "seen": [], "network_seen": []} | more))


def slot(*bodies: Body, undoings: list[Undoing] | None = None) -> Slot:
    """Everything under the key."""
    named = {(one.amount, one.card, one.rrn): one for one in bodies}
    return Slot(*KEY, bodies=named, undoings=undoings or [])


def evidence(
    records: list[dict[str, Any]] | None = None,
    asked: Slot | None = None,
    at_bank: Any = None,
    **more: Any,
) -> Evidence:
    """A sound purchase, but for what is given."""
    rows = [accepted(), answered()] if records is None else records
    one = asked if asked is not None else slot(body())
    ledger = Asked(slots={one.key: one}, odd=more.pop("odd", []))
    banks = {"BANK00": at_bank if at_bank is not None else bank(held())}
    findings = more.pop("findings", [])
    return Evidence(draw(1), ledger, banks, fold(rows), findings, **more)
