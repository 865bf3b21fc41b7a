"""The answer path: what a bank's reply, a deadline or a lost link makes of a forwarded request.

Called by `engine.py` for everything but the plain case (awaited, in time, usable), which it handles
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from switch.engine.effects import Conclude, Effect, Note, Repeat
from switch.engine.events import Event
from switch.engine.states import TABLE, Ignored, State, To
from switch.model import end
from switch.model.kind import Kind
from switch.model.response import (
    BANK_DOWN,
    TIMED_OUT,
    UNUSABLE_ANSWER,
    WITHDRAWN_IN_FLIGHT,
    RcClass,
)
from switch.model.state import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from switch.engine.transaction import Transaction
    from switch.wire import Message

__all__ = ["CONCLUSIONS", "bank_code", "classify", "conclude", "late", "step", "waiting"]

CONCLUSIONS: Final = {
    Event.APPROVED: (WITHDRAWN_IN_FLIGHT, end.ACQUIRER_GONE, Cause.ACQUIRER),
    Event.UNUSABLE: (UNUSABLE_ANSWER, end.UNUSABLE, Cause.UNUSABLE_ANSWER),
    Event.DEADLINE_PASSED: (TIMED_OUT, end.TIMEOUT, Cause.TIMEOUT),
    Event.LEG_UNSENT: (BANK_DOWN, end.BANK_DOWN, Cause.NONE),
    Event.EXPIRED_UNSENT: (TIMED_OUT, end.EXPIRED, Cause.NONE),
    Event.BANK_LOST: (BANK_DOWN, end.LINK_LOST, Cause.LINK_LOST),
    Event.UNDELIVERABLE: (TIMED_OUT, end.ACQUIRER_GONE, Cause.UNDELIVERABLE),
    Event.ACQUIRER_REVERSED_UNSENT: (WITHDRAWN_IN_FLIGHT, end.ACQUIRER_GONE, Cause.NONE),
}
"""Event that ends a forwarded request with an answer of ours: code, end code, and why a reversal is
owed."""

_LATE_NOTES: Final = {
    Event.APPROVED: "late_approved",
    Event.DECLINED: "late_declined",
    Event.UNUSABLE: "late_unusable",
}


def classify(txn: Transaction, reply: Message) -> Event:
    """What a bank's reply amounts to: APPROVED, DECLINED or UNUSABLE.

    A partial approval is unusable until terminals can take one, and so is an approval of another
    amount: the bank then holds something that the acquirer was not told. Zero is the amount of a
    request without one. A technical answer is a decline with its own code.
    """
    outcome = reply.outcome
    if outcome == RcClass.APPROVE:
        amount_minor = reply.amount_minor
        if amount_minor < 0 or amount_minor == max(txn.request.amount_minor, 0):
            return Event.APPROVED
        return Event.UNUSABLE
    if outcome in (RcClass.DECLINE, RcClass.TECHNICAL):
        return Event.DECLINED
    return Event.UNUSABLE


def bank_code(reply: Message) -> str:
    """Field 39 as the bank sent it, '' when absent."""
    return reply.get("response_code") or ""


def step(txn: Transaction, event: Event) -> bool:
    """Moves `txn` along the table; False when the cell is no transition."""
    cell = TABLE[txn.state][event]
    if isinstance(cell, To):
        txn.state = cell.state
        return True
    return False


def conclude(txn: Transaction, event: Event, code_of_bank: str = "") -> list[Effect]:
    """Ends a forwarded request with an answer of ours, and answers those who wait for it."""
    before = txn.state
    code, ending, cause = CONCLUSIONS[event]
    if cause is not Cause.NONE and txn.request.kind == Kind.BALANCE:
        # No money moved: there is nothing to take back.
        event, cause = Event.LAPSED, Cause.NONE
    if not step(txn, event):
        return [refused_step(before, event, txn.id)]
    effects: list[Effect] = [Conclude(txn, code, ending, cause, code_of_bank)]
    effects += waiting(txn)
    return effects


def waiting(txn: Transaction) -> list[Effect]:
    """The one answer for every repeat that waited for it; empties the list."""
    waiters, txn.waiters = txn.waiters, None
    if not waiters:
        return []
    return [Repeat(message, slot, txn.acquirer) for message, slot in waiters]


def late(state: State, event: Event, txn: int) -> Sequence[Effect]:
    """A reply to a request that has been concluded: it changes nothing, and says so."""
    if isinstance(TABLE[state][event], Ignored):
        return [Note(_LATE_NOTES[event], txn)]
    return [Note("impossible", txn)]


def refused_step(state: State, event: Event, txn: int) -> Note:
    """What is noted of an event that is no transition in this state."""
    ignored = isinstance(TABLE[state][event], Ignored)
    return Note("ignored" if ignored else "impossible", txn)
