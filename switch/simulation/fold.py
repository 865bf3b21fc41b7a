"""The third ledger: what the records that the switch left behind say, folded in plain Python.

It shares nothing with the native recovery: it reads the same records and keeps its own, simpler
books. A checkpoint's copies are passed over, since the originals stand in the same journal.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from switch.model.state import Cause, Duty, KeyState, ReversalEffect

__all__ = ["OPEN", "Kept", "Recorded", "Reversal", "fold"]

Key = tuple[str, str, str, str, str]
OPEN: Final = frozenset({"", "parked", "dead"})
"""Results after which something is still owed."""


class Reversal(msgspec.Struct):
    """An acquirer's reversal."""

    lsn: int
    txn: int
    original: int
    effect: int
    code: str
    terminal: str
    stan: str
    time: str
    amount: int


class Kept(msgspec.Struct):
    """One request that was accepted or declined."""

    txn: int
    key: Key
    amount: int
    rrn: str
    issuer: str = ""
    out: tuple[str, str] = ("", "")
    accepted: int = 0
    """LSN."""
    at_ms: int = 0
    answered: int = 0
    answered_ms: int = 0
    declined: int = 0
    outcome: int = KeyState.IN_FLIGHT
    code: str = ""
    auth_code: str = ""
    end: str = ""
    cause: int = Cause.NONE
    effects: list[int] = []
    """Of acquirers' reversals, in order."""
    owed: tuple[str, str] | None = None
    owed_lsn: int = 0
    settled: str = ""
    advised: int = 0
    """LSN of an advice that its acquirer was told is taken."""
    advice_settled: str = ""
    business_date: str = ""
    message_kind: int = 0
    card: str = ""
    stood: int = 0
    """LSN of an approval in its bank's name."""
    why: str = ""
    """What kept the bank from answering, as that record says; of a decline, its reason."""
    advice: tuple[str, str] | None = None
    """Numbers of the advice of such an approval."""
    withdrawn: tuple[str, str] | None = None
    """Numbers of the reversal that takes that advice back."""
    withdrawal_settled: str = ""
    counter: tuple[str, int, int] | None = None
    """Token's hash, its sequence number, its transaction counter."""

    @property
    def taken(self) -> bool:
        """It went to its bank, or its bank is told of it."""
        return bool(self.accepted or self.advised or self.stood)

    @property
    def approved(self) -> bool:
        """Its outcome was an approval."""
        return self.outcome == KeyState.APPROVED

    @property
    def undone(self) -> bool:
        """Approved or not, nothing may be held for it."""
        taken_back = {
            ReversalEffect.CANCEL_UNSENT,
            ReversalEffect.SUPPRESS,
            ReversalEffect.REVERSE,
        }
        withdrawn = bool(taken_back & set(self.effects))
        if self.stood:
            # What is owed besides is the reversal of the request, which the bank did not answer.
            return withdrawn or self.withdrawn is not None
        return not self.approved or self.owed is not None or withdrawn


class Recorded(msgspec.Struct):
    """All of it."""

    kept: dict[int, Kept] = {}
    keys: dict[Key, list[Kept]] = {}
    reversals: dict[tuple[str, str, str], Reversal] = {}
    """By terminal, STAN and transmission time of the acquirer's own message."""
    numbers: dict[tuple[str, str, str], list[str]] = {}
    """What each (institution, STAN, time) of ours was used for."""
    problems: list[str] = []
    last_lsn: int = 0
    starts: int = 0
    records: int = 0

    def number(self, institution: str, stan: Any, time: str, what: str) -> None:
        """One of our own numbers was given out."""
        self.numbers.setdefault((institution, f"{int(stan):06d}", time), []).append(what)


def fold(records: Iterable[Mapping[str, Any]]) -> Recorded:
    """Reads records in order."""
    books = Recorded()
    for record in records:
        lsn = record["lsn"]
        if books.last_lsn and lsn != books.last_lsn + 1:
            books.problems.append(f"LSN {lsn} follows {books.last_lsn}")
        books.last_lsn = lsn
        books.records += 1
        if not record.get("carried"):
            _one(books, record, lsn)
    return books


def _one(books: Recorded, record: Mapping[str, Any], lsn: int) -> None:
    match record["kind"]:
        case "STARTED":
            books.starts += 1
        case "ACCEPTED":
            _accepted(books, record, lsn)
        case "DECLINED":
            kept = _new(books, record, lsn)
            if kept is not None:
                kept.declined = lsn
                kept.outcome = KeyState.DECLINED
                kept.code = record.get("code", "")
                kept.end = record.get("end", "")
                kept.why = record.get("reason", "")
                _counter(kept, record)
        case "ADVISED":
            _advised(books, record, lsn)
        case "ANSWERED":
            _answered(books, record, lsn)
        case "STOOD_IN":
            _stood_in(books, record, lsn)
        case "REVERSAL":
            _reversal(books, record, lsn)
        case "SETTLED":
            _settled(books, record, lsn)
        case "STAN_MARK":
            if record.get("stan"):
                institution = record.get("institution", "")
                books.number(institution, record["stan"], record["transmission_time"], "network")
        case _:
            pass


def _key(record: Mapping[str, Any]) -> Key:
    return (
        record.get("acquirer_code", "").lstrip("0"),
        record.get("terminal_id", ""),
        f"{int(record.get('stan', 0)):06d}",
        record.get("transmission_time", ""),
        record.get("mti", "")[1:2],
    )


def _new(books: Recorded, record: Mapping[str, Any], lsn: int) -> Kept | None:
    txn = record["txn"]
    if txn in books.kept:
        books.problems.append(f"LSN {lsn}: transaction {txn} twice")
        return None
    kept = Kept(txn, _key(record), record.get("amount", 0), record.get("rrn", ""))
    kept.at_ms = record.get("at_ms", 0)
    kept.message_kind = record.get("message_kind", 0)
    kept.card = record.get("card", "")
    books.kept[txn] = kept
    books.keys.setdefault(kept.key, []).append(kept)
    return kept


def _counter(kept: Kept, record: Mapping[str, Any]) -> None:
    if "atc" in record:
        kept.counter = record.get("card", ""), record.get("token_sequence", 0), record["atc"]


def _accepted(books: Recorded, record: Mapping[str, Any], lsn: int) -> None:
    kept = _new(books, record, lsn)
    if kept is None:
        return
    kept.accepted = lsn
    kept.issuer = record["issuer"]
    kept.out = f"{record['out_stan']:06d}", record["out_time"]
    kept.business_date = record.get("business_date", "")
    _counter(kept, record)
    books.number(kept.issuer, *kept.out, "request")


def _advised(books: Recorded, record: Mapping[str, Any], lsn: int) -> None:
    kept = _new(books, record, lsn)
    if kept is None:
        return
    kept.advised = lsn
    kept.issuer = record["issuer"]
    kept.out = f"{record['advice_stan']:06d}", record["advice_time"]
    kept.outcome = KeyState.APPROVED
    kept.code = record.get("code", "00")
    kept.business_date = record.get("business_date", "")
    books.number(kept.issuer, *kept.out, "advice")


def _answered(books: Recorded, record: Mapping[str, Any], lsn: int) -> None:
    kept = books.kept.get(record["txn"])
    if kept is None:
        books.problems.append(f"LSN {lsn} answers {record['txn']}, which was never accepted")
        return
    if kept.answered and not (kept.approved and record.get("cause", 0) == Cause.UNDELIVERABLE):
        books.problems.append(f"LSN {lsn}: a second outcome of {kept.txn}")
    kept.answered = lsn
    kept.answered_ms = record.get("at_ms", 0)
    kept.outcome = record["outcome"]
    kept.code = record.get("code", "")
    kept.auth_code = record.get("auth_code", "")
    kept.end = record.get("end", "")
    kept.cause = record.get("cause", 0)
    if record.get("reversal_stan"):
        _owe(books, kept, record, lsn)


def _stood_in(books: Recorded, record: Mapping[str, Any], lsn: int) -> None:
    """An approval of ours: the first record of its request, or behind its acceptance."""
    kept = books.kept.get(record["txn"])
    if kept is None and record.get("body"):
        kept = _new(books, record, lsn)
        if kept is not None:
            _counter(kept, record)
            kept.business_date = record.get("business_date", "")
    if kept is None:
        books.problems.append(f"LSN {lsn} approves {record['txn']}, which was never accepted")
        return
    if kept.answered or kept.declined or kept.stood:
        books.problems.append(f"LSN {lsn} approves {kept.txn} behind an outcome")
    kept.stood = kept.answered = lsn
    kept.answered_ms = record.get("at_ms", 0)
    kept.issuer = record["issuer"]
    kept.outcome = record["outcome"]
    kept.code = record.get("code", "")
    kept.auth_code = record.get("auth_code", "")
    kept.end = record.get("end", "")
    kept.why = record.get("reason", "")
    kept.cause = record.get("cause", 0)
    if record.get("reversal_stan"):
        _owe(books, kept, record, lsn)
    kept.advice = f"{record['advice_stan']:06d}", record["advice_time"]
    books.number(kept.issuer, *kept.advice, "advice")


def _settled(books: Recorded, record: Mapping[str, Any], lsn: int) -> None:
    kept = books.kept.get(record["txn"])
    duty, result = record.get("duty", Duty.REVERSAL), record.get("result", "")
    if kept is None:
        books.problems.append(f"LSN {lsn} settles {record['txn']}, which is unknown")
    elif duty == Duty.ADVICE:
        if not kept.advised and not kept.stood:
            books.problems.append(f"LSN {lsn} settles an advice that is not owed")
        if kept.owed is not None and kept.settled in OPEN:
            books.problems.append(f"LSN {lsn} settles an advice before its reversal")
        kept.advice_settled = result
    elif duty == Duty.WITHDRAWAL:
        if kept.withdrawn is None or kept.advice_settled in OPEN:
            books.problems.append(f"LSN {lsn} settles a withdrawal that is not due")
        kept.withdrawal_settled = result
    elif kept.owed is None:
        books.problems.append(f"LSN {lsn} settles {record['txn']}, which owes nothing")
    else:
        kept.settled = result


def _owe(books: Recorded, kept: Kept, record: Mapping[str, Any], lsn: int) -> None:
    if kept.owed is not None:
        books.problems.append(f"LSN {lsn}: a second reversal is owed for {kept.txn}")
        return
    kept.owed = f"{record['reversal_stan']:06d}", record["reversal_time"]
    kept.owed_lsn = lsn
    books.number(kept.issuer, *kept.owed, "reversal")


def _reversal(books: Recorded, record: Mapping[str, Any], lsn: int) -> None:
    _, terminal, stan, time, _ = _key(record)
    reversal = Reversal(
        lsn,
        record["txn"],
        record.get("original", 0),
        record.get("effect", 0),
        record.get("code", "00"),
        terminal,
        stan,
        time,
        record.get("amount", 0),
    )
    if (terminal, stan, time) in books.reversals:
        books.problems.append(f"LSN {lsn}: a second record of one acquirer's reversal")
    books.reversals[terminal, stan, time] = reversal
    kept = books.kept.get(reversal.original)
    if kept is not None:
        kept.effects.append(reversal.effect)
        if record.get("reversal_stan") and not kept.stood:
            _owe(books, kept, record, lsn)
        elif record.get("reversal_stan") and kept.withdrawn is None:
            kept.withdrawn = f"{record['reversal_stan']:06d}", record["reversal_time"]
            books.number(kept.issuer, *kept.withdrawn, "withdrawal")
        elif record.get("reversal_stan"):
            books.problems.append(f"LSN {lsn}: a second withdrawal of {kept.txn}")
