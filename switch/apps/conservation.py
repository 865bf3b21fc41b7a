"""Nothing lost, nothing made: three ledgers that were kept apart, compared.

The acquirers' terminals say what customers were told, the journal says what the switch did, the
banks say what they hold. At rest the three must be one story: every approval that an acquirer
holds, net of reversals, is one hold at one bank for the same amount; every time-out was reversed
there once in effect; nothing is left over. A finding shows its transaction's history from all
three, without card numbers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from switch.model.state import UNSETTLED, Cause, Duty, KeyState, ReversalEffect
from switch.sim.ledger import Booking, Did, Effect, Sale, Saw
from switch.sim.magic import Trick

__all__ = ["Books", "Finding", "Journalled", "Report", "compare"]

FINDINGS_MAX: Final = 20
"""Findings that are shown with their history; the rest are counted."""

UNDOING: Final = (
    ReversalEffect.CANCEL_UNSENT,
    ReversalEffect.SUPPRESS,
    ReversalEffect.REVERSE,
)
"""Effects of an acquirer's reversal after which its original is no approval any more."""

PROVED: Final = "genuine"
NO_PROOF: Final = "absent"
"""A refusal of the switch's own brings none."""

Passed = tuple[str, str, str]
"""Reference number, terminal, acquirer: what passes through all legs unchanged."""


class Finding(msgspec.Struct, frozen=True):
    """One disagreement, with all that is known of its transaction."""

    rule: str
    text: str
    acquirer: list[dict[str, Any]]
    journal: list[dict[str, Any]]
    issuer: list[dict[str, Any]]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome. Approvals are net of reversals."""

    ok: bool
    approvals_acquirer: int
    approvals_journal: int
    holds_issuer: int
    offered: int
    approved: int
    declined: int
    stood_in: int = 0
    """Approved in a bank's name, not undone."""
    timed_out: int
    """Requests that were sent to a bank and got no usable answer in time."""
    cancelled: int
    """Sales undone by their terminal: given up, or the customer's change of mind."""
    reversed: int
    """Transactions whose reversal a bank acknowledged."""
    requests_issuer: int
    findings: list[Finding]
    findings_total: int


class _Told(msgspec.Struct, gc=False):
    """One sale as its terminal knows it."""

    key: tuple[str, str, str, str]
    passed: Passed = ("", "", "")
    amount: int = 0
    begun: bool = False
    unsent: bool = False
    code: str = ""
    approved: bool = False
    unknown: bool = False
    owed: bool = False
    undone: bool = False
    overtaken: bool = False
    again: tuple[str, ...] = ()
    """Codes of further answers; the first one's line may come behind theirs."""
    refused_reversal: str = ""
    tap: str = ""
    """What is wrong with the tap; empty for a plain card."""
    proof: str = ""

    @property
    def holds(self) -> bool:
        return self.approved and not self.undone


class Journalled(msgspec.Struct, gc=False):
    """One transaction as the journal knows it."""

    txn: int
    key: tuple[str, str, str, str]
    passed: Passed
    amount: int
    issuer: str
    reference: tuple[str, str]
    outcome: int = KeyState.IN_FLIGHT
    cause: int = Cause.NONE
    undone: bool = False
    owed: bool = False
    settled: int = 0
    told: int = 0
    """How often its advice was settled."""
    tells: bool = False
    """Its bank is owed an advice."""

    @property
    def holds(self) -> bool:
        return self.outcome == KeyState.APPROVED and not self.undone

    def owe(self) -> None:
        """From now on its bank is owed a reversal."""
        self.undone = True
        self.owed = not self.settled


class _Held(msgspec.Struct, gc=False):
    """One request as its bank knows it."""

    issuer: str
    reference: tuple[str, str]
    passed: Passed = ("", "", "")
    amount: int = 0
    held: int = 0
    seen: bool = False
    copies: int = 0
    reversals: int = 0
    effects: int = 0
    problem: str = ""


class Books:
    """Folds the three ledgers; lines of each must come in their own order, the ledgers in any."""

    def __init__(self) -> None:
        self.sales: dict[tuple[str, str, str, str], _Told] = {}
        self.journal: dict[int, Journalled] = {}
        """By transaction; what was approved by stand-in under the negative id."""
        self.stood_in: dict[int, Journalled] = {}
        self.holds: dict[tuple[str, tuple[str, str]], _Held] = {}

    # What the terminals say.

    def sale(self, line: Sale) -> None:
        told = self.sales.get(line.key)
        if told is None:
            told = self.sales[line.key] = _Told(line.key)
        match line.did:
            case Did.INVOKE:
                told.begun = True
                told.passed = (line.rrn, line.terminal, line.acquirer)
                told.amount = line.amount
                told.tap = line.tap
                told.overtaken = told.undone
            case Did.UNSENT:
                told.unsent = True
            case Did.OK | Did.FAIL:
                told.code = line.code
                told.approved = line.did is Did.OK
                told.proof = line.proof
            case Did.INFO:
                told.unknown = True
            case Did.AGAIN:
                told.again += (line.code,)
            case Did.REVERSE:
                told.owed = True
            case Did.REVERSED:
                told.owed = False
                told.undone = True
                if line.code != "00":
                    told.refused_reversal = line.code
            case Did.REPEAT | Did.LATE:
                pass

    # What the journal says.

    def record(self, record: Mapping[str, Any]) -> None:
        """One journal record as `Reader.records` gives it."""
        if record.get("carried"):
            # A checkpoint's copy of what stands in the journal already.
            return
        match record["kind"]:
            case "ACCEPTED":
                txn = record["txn"]
                terminal, acquirer = record.get("terminal_id", ""), record.get("acquirer_code", "")
                self.journal[txn] = Journalled(
                    txn,
                    (
                        acquirer,
                        terminal,
                        f"{int(record.get('stan', 0)):06d}",
                        record.get("transmission_time", ""),
                    ),
                    (record.get("rrn", ""), terminal, acquirer),
                    record.get("amount", 0),
                    record["issuer"],
                    (f"{record['out_stan']:06d}", record["out_time"]),
                )
            case "ANSWERED":
                if (entry := self.journal.get(record["txn"])) is None:
                    return
                entry.outcome = record["outcome"]
                entry.cause = record.get("cause", 0)
                if entry.cause:
                    entry.owe()
            case "REVERSAL":
                original = record.get("original", 0)
                entry = self.stood_in.get(original) or self.journal.get(original)
                if entry is None:
                    return
                entry.undone |= record["effect"] in UNDOING
                if record.get("reversal_stan", 0):
                    entry.owe()
            case "ADVISED":
                self._advised(record)
            case "STOOD_IN":
                self._stood_in(record)
            case "SETTLED":
                txn, duty = record["txn"], record.get("duty", Duty.REVERSAL)
                entry = self.stood_in.get(txn) if duty else self.journal.get(txn)
                entry = entry or self.journal.get(txn)
                if entry is None or record.get("result") in UNSETTLED:
                    return
                if record.get("duty", 0) == Duty.ADVICE:
                    entry.told += 1
                    entry.tells = False
                    return
                entry.settled += 1
                entry.owed = False

    def _stood_in(self, record: Mapping[str, Any]) -> None:
        """Approved in the bank's name: the request's own leg, if there was one, holds nothing in
        the end, and what the bank holds it holds under the advice's numbers."""
        txn = record["txn"]
        request = self.journal.get(txn)
        if request is not None:
            request.outcome, request.cause = KeyState.DECLINED, record.get("cause", 0)
            if request.cause:
                request.owe()
        self._advised(record, self.stood_in)
        # A place of its own beside the request's.
        self.journal[-txn] = self.stood_in[txn]

    def _advised(
        self, record: Mapping[str, Any], among: dict[int, Journalled] | None = None
    ) -> None:
        """An acquirer's advice: approved as it stands, and known to its bank by the advice's own
        numbers."""
        txn = record["txn"]
        terminal, acquirer = record.get("terminal_id", ""), record.get("acquirer_code", "")
        places = self.journal if among is None else among
        places[txn] = Journalled(
            txn,
            (
                acquirer,
                terminal,
                f"{int(record.get('stan', 0)):06d}",
                record.get("transmission_time", ""),
            ),
            (record.get("rrn", ""), terminal, acquirer),
            record.get("amount", 0),
            record["issuer"],
            (f"{record['advice_stan']:06d}", record["advice_time"]),
            outcome=record["outcome"],
            tells=True,
        )

    # What the banks say.

    def booking(self, issuer: str, line: Booking) -> None:
        key = (issuer, line.reference)
        held = self.holds.get(key)
        if held is None:
            held = self.holds[key] = _Held(issuer, line.reference)
        match line.saw:
            case Saw.REQUEST:
                held.seen = True
                held.passed = (line.rrn, line.terminal, line.acquirer)
                held.amount = line.amount
                held.held += line.held
            case Saw.ADVICE:
                held.passed = (line.rrn, line.terminal, line.acquirer)
                held.amount = line.amount
                held.held += line.held
            case Saw.COPY:
                held.copies += 1
            case Saw.REVERSAL:
                held.reversals += 1
                held.held -= line.released
                held.effects += line.effect is Effect.RELEASED
                held.problem = held.problem or line.problem
            case Saw.ANSWER:
                pass


Sales = Callable[[], Iterable[Sale]]
Records = Callable[[], Iterable[Mapping[str, Any]]]
Bookings = Mapping[str, Callable[[], Iterable[Booking]]]
"""Ledgers are read from their beginning at each call: first folded, then, if need be, quoted."""


def compare(sales: Sales, journal: Records, bookings: Bookings) -> Report:
    """Compares the ledgers of a system at rest. `bookings` maps banks' institution ids."""
    books = Books()
    for sale in sales():
        books.sale(sale)
    for record in journal():
        books.record(record)
    for issuer, lines in bookings.items():
        for booking in lines():
            books.booking(issuer, booking)
    found = list(_disagreements(books))
    findings = [
        Finding(rule, text, *_Subject(books, subject).history(sales, journal, bookings))
        for rule, text, subject in found[:FINDINGS_MAX]
    ]
    return _report(books, findings, len(found))


_Anything = _Told | Journalled | _Held
_Disagreement = tuple[str, str, _Anything]


def _disagreements(books: Books) -> Iterator[_Disagreement]:
    yield from _left_over(books)
    yield from _taps(books)
    yield from _told_and_journalled(books)
    yield from _journalled_and_held(books)
    yield from _told_and_held(books)
    yield from _reversals(books)


def _left_over(books: Books) -> Iterator[_Disagreement]:
    """Nothing is open anywhere."""
    for told in books.sales.values():
        if not told.begun or told.unsent:
            continue
        if told.unknown and not told.undone:
            yield (
                "unknown",
                "the terminal never learned the outcome and its reversal is not acknowledged",
                told,
            )
        elif not (told.code or told.unknown):
            yield "unknown", "the terminal's request has no outcome", told
        elif told.owed:
            yield "reversal_owed", "the terminal's reversal is not acknowledged", told
    for entry in books.journal.values():
        if entry.outcome == KeyState.IN_FLIGHT:
            yield "in_flight", "accepted by the switch and never answered", entry
        elif entry.owed:
            yield "reversal_owed", "the switch owes the bank a reversal", entry
        elif entry.tells:
            yield "advice_owed", "the switch owes the bank an advice", entry


def _taps(books: Books) -> Iterator[_Disagreement]:
    """What devices signed and found: nothing that is wrong is approved, and no approval is without
    its issuer's proof."""
    for told in books.sales.values():
        if not told.tap:
            continue
        if told.approved and told.tap != Trick.NOTHING:
            yield "trick_approved", f"approved although the tap is wrong ({told.tap})", told
        elif told.approved and told.proof != PROVED:
            yield "unproved", f"approved, but the issuer's proof is {told.proof}", told
        elif told.proof not in (PROVED, NO_PROOF, ""):
            yield "unproved", f"declined with an issuer's proof that is {told.proof}", told


def _told_and_journalled(books: Books) -> Iterator[_Disagreement]:
    """Acquirers and switch hold the same approvals."""
    by_key = {entry.key: entry for entry in books.journal.values()}
    for told in books.sales.values():
        entry = by_key.get(told.key)
        if told.holds and (entry is None or not entry.holds):
            yield "phantom", "the acquirer holds an approval that the journal does not", told
        elif told.approved and entry is not None and told.amount != entry.amount:
            yield (
                "amount",
                f"the terminal asked for {told.amount}, the journal says {entry.amount}",
                told,
            )
        if told.overtaken and told.approved:
            yield "tombstone", "approved although its reversal came first", told
        if any(code != told.code for code in told.again):
            yield "repeat", "a repeat was answered otherwise than its first", told
        if told.refused_reversal:
            yield "reversal_refused", f"a reversal was answered {told.refused_reversal}", told
    for entry in books.journal.values():
        if entry.holds and ((found := books.sales.get(entry.key)) is None or not found.holds):
            yield "undelivered", "the journal holds an approval that the acquirer does not", entry


def _journalled_and_held(books: Books) -> Iterator[_Disagreement]:
    """Switch and banks hold the same approvals."""
    known = set()
    for entry in books.journal.values():
        key = (entry.issuer, entry.reference)
        if key in known:
            yield "number_reused", "a STAN and time was used twice towards this bank", entry
        known.add(key)
        held = books.holds.get(key)
        if entry.holds and (held is None or held.held != entry.amount):
            yield (
                "unheld",
                f"approved {entry.amount}, the bank holds {held.held if held else 0}",
                entry,
            )
    for key, held in books.holds.items():
        if held.held and key not in known:
            yield (
                "unknown_hold",
                "the bank holds money for a request that the journal does not know",
                held,
            )
        elif held.copies:
            yield "sent_again", f"the bank got the request {held.copies + 1} times", held


def _told_and_held(books: Books) -> Iterator[_Disagreement]:
    """Acquirers and banks agree without asking the switch."""
    by_passed: dict[Passed, list[_Held]] = {}
    for held in books.holds.values():
        if held.held:
            by_passed.setdefault(held.passed, []).append(held)
    for told in books.sales.values():
        several = by_passed.pop(told.passed, [])
        amounts = [held.held for held in several]
        if told.holds and amounts != [told.amount]:
            yield "acquirer_issuer", f"the acquirer holds {told.amount}, banks hold {amounts}", told
        elif not told.holds and amounts:
            yield "orphan_hold", f"banks hold {amounts} for a sale that is not approved", told
    for several in by_passed.values():
        yield "orphan_hold", "a bank holds money for a sale that no terminal knows", several[0]


def _reversals(books: Books) -> Iterator[_Disagreement]:
    """Whatever had to be reversed was, at its bank, once in effect."""
    for entry in books.journal.values():
        held = books.holds.get((entry.issuer, entry.reference))
        if entry.settled and (held is None or not held.reversals):
            yield "reversal_lost", "settled in the journal, but the bank saw no reversal", entry
        if entry.settled > 1 or entry.told > 1:
            yield "settled_again", "a reversal or an advice was settled more than once", entry
    for held in books.holds.values():
        if held.effects > 1 or held.held < 0:
            yield "reversed_twice", "a reversal had effect more than once", held
        if held.problem:
            yield (
                "reversal_differs",
                f"a reversal differs from its original in {held.problem}",
                held,
            )


class _Subject:
    """What a finding is about, in the terms of all three ledgers."""

    def __init__(self, books: Books, subject: _Anything) -> None:
        self.keys: set[tuple[str, str, str, str]] = set()
        self.txns: set[int] = set()
        self.references: set[tuple[str, tuple[str, str]]] = set()
        passed = subject.passed
        for told in books.sales.values():
            if told is subject or (passed[0] and told.passed == passed):
                self.keys.add(told.key)
        for entry in books.journal.values():
            if entry is subject or entry.key in self.keys or (passed[0] and entry.passed == passed):
                self.txns.add(entry.txn)
                self.references.add((entry.issuer, entry.reference))
        for key, held in books.holds.items():
            if held is subject or (passed[0] and held.passed == passed):
                self.references.add(key)

    def history(
        self, sales: Sales, journal: Records, bookings: Bookings
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
        return (
            [msgspec.to_builtins(line) for line in sales() if line.key in self.keys],
            [
                dict(record)
                for record in journal()
                if {record.get("txn"), record.get("original")} & self.txns
            ],
            [
                {"issuer": issuer} | msgspec.to_builtins(line)
                for issuer, lines in bookings.items()
                for line in lines()
                if (issuer, line.reference) in self.references
            ],
        )


def _report(books: Books, findings: list[Finding], total: int) -> Report:
    """Each offered sale falls into exactly one of approved, declined, timed out, cancelled."""
    timed_out = {entry.key for entry in books.journal.values() if entry.cause == Cause.TIMEOUT}
    begun = [told for told in books.sales.values() if told.begun and not told.unsent]
    approved = sum(told.holds for told in begun)
    late = sum(told.key in timed_out and not told.holds for told in begun)
    cancelled = sum(told.undone and told.key not in timed_out for told in begun)
    return Report(
        ok=total == 0,
        approvals_acquirer=approved,
        approvals_journal=sum(entry.holds for entry in books.journal.values()),
        holds_issuer=sum(held.held > 0 for held in books.holds.values()),
        offered=len(begun),
        approved=approved,
        declined=len(begun) - approved - late - cancelled,
        stood_in=sum(entry.holds for entry in books.stood_in.values()),
        timed_out=sum(entry.cause == Cause.TIMEOUT for entry in books.journal.values()),
        cancelled=cancelled,
        reversed=sum(entry.settled > 0 for entry in books.journal.values()),
        requests_issuer=sum(held.seen for held in books.holds.values()),
        findings=findings,
        findings_total=total,
    )
