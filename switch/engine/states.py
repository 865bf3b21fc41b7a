"""The life of one transaction: states, and one total table (state x event).

Every cell is a transition (`To`), an explicit `Ignored` with its reason, or `IMPOSSIBLE`: an event
that cannot come in that state unless we have a bug; it is counted, never raised out of the engine.
`engine.py` and its neighbours move transactions only along these cells; the playbooks exercise
every cell that is not IMPOSSIBLE, and a test proves that the table is total.

What the table cannot say: which answer the acquirer gets (`authorise.py`, `forward.py`), what is
recorded (the effects), and that the four final key states of `model.state.KeyState` are what is
remembered of a transaction once its object is gone.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

import msgspec

from switch.engine.events import Event
from switch.model.state import KeyState

__all__ = ["IMPOSSIBLE", "KEY_STATES", "TABLE", "Cell", "Ignored", "Impossible", "State", "To"]


@unique
class State(IntEnum):
    """Where a transaction is."""

    NEW = 0
    """Never seen under its key."""
    VERIFYING = 1
    """Waits for a verdict on card or token; nothing is recorded yet."""
    AWAITING = 2
    """Recorded and in flight to the bank."""
    SUPPRESSED = 3
    """In flight, but its acquirer has taken it back: an approval goes nowhere."""
    APPROVED = 4
    """Final unless someone takes it back."""
    DECLINED = 5
    """Final, and nothing is held at a bank."""
    OWED = 6
    """A reversal is owed to the bank, durably; none was handed to a socket since."""
    REVERSING = 7
    """The reversal has been sent at least once (or may have been, before a restart)."""
    PARKED = 8
    """Not sent by the timer any more, and still owed in the journal: taken up again when the bank
    returns or an operator says so (`duty.py` knows which)."""
    REVERSED = 9
    """The bank confirmed the reversal."""
    TOMBSTONE = 10
    """A reversal came for a request never seen; the late original is refused."""
    STOOD_IN = 11
    """Approved by us in its bank's name: the bank is owed an advice, and after a time-out the
    reversal of the request before it. Only the acquirer undoes it."""


class To(msgspec.Struct, frozen=True):
    """A transition; to the same state where the event does something but moves nothing."""

    state: State


class Ignored(msgspec.Struct, frozen=True):
    """The event changes nothing."""

    reason: str


class Impossible(msgspec.Struct, frozen=True):
    """The event cannot come in this state unless we have a bug."""


Cell = To | Ignored | Impossible

IMPOSSIBLE: Final = Impossible()

_STORED: Final = Ignored("the stored answer is given again")
_ANOTHER_BODY: Final = Ignored("another body under the key is refused with 94")
_OTHER_ORIGINAL: Final = Ignored("a reversal with another card or amount is refused with 94")
_BEING_REVERSED: Final = Ignored("already taken back: acknowledged without a second effect")
_LATE: Final = Ignored("a late answer only marks the reversal")
_LAPSED: Final = Ignored("a late answer to a question that lapsed changes nothing")
_USED_UP: Final = Ignored("its acquirer took it back before it came: refused with 94")
_DECLINED_AGAIN: Final = Ignored(
    "a decline again: the stored one, or 94 once an approval was taken back"
)
_NOTHING_HELD: Final = Ignored("nothing is held at the bank: acknowledged without bank traffic")

TABLE: Final[Mapping[State, Mapping[Event, Cell]]] = {
    # Not seen before: it is forwarded, waits for its verdict, or is declined by ourselves.
    State.NEW: {
        Event.FORWARDED: To(State.AWAITING),
        Event.VERIFICATION_BEGAN: To(State.VERIFYING),
        Event.REFUSED: To(State.DECLINED),
        Event.REPEATED: IMPOSSIBLE,
        Event.CONFLICTED: IMPOSSIBLE,
        Event.ACQUIRER_REVERSED: IMPOSSIBLE,
        Event.ACQUIRER_REVERSED_UNSENT: To(State.TOMBSTONE),
        Event.REVERSAL_CONFLICTED: IMPOSSIBLE,
        Event.APPROVED: IMPOSSIBLE,
        Event.DECLINED: IMPOSSIBLE,
        Event.UNUSABLE: IMPOSSIBLE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: To(State.APPROVED),
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: To(State.STOOD_IN),
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: IMPOSSIBLE,
    },
    # Claimed in memory only: no bank has seen it, and after a restart it never was.
    State.VERIFYING: {
        Event.FORWARDED: To(State.AWAITING),
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: To(State.DECLINED),
        Event.REPEATED: To(State.VERIFYING),
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: IMPOSSIBLE,
        Event.ACQUIRER_REVERSED_UNSENT: To(State.DECLINED),
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: IMPOSSIBLE,
        Event.DECLINED: IMPOSSIBLE,
        Event.UNUSABLE: IMPOSSIBLE,
        Event.DEADLINE_PASSED: To(State.DECLINED),
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: To(State.APPROVED),
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: To(State.STOOD_IN),
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: IMPOSSIBLE,
    },
    # In flight. Its only exits are an answer, a reversal, or the proof that it never left.
    State.AWAITING: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: To(State.AWAITING),
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: To(State.SUPPRESSED),
        Event.ACQUIRER_REVERSED_UNSENT: To(State.DECLINED),
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: To(State.APPROVED),
        Event.DECLINED: To(State.DECLINED),
        Event.UNUSABLE: To(State.OWED),
        Event.DEADLINE_PASSED: To(State.OWED),
        Event.LEG_UNSENT: To(State.DECLINED),
        Event.EXPIRED_UNSENT: To(State.DECLINED),
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: To(State.DECLINED),
        Event.STOOD_IN: To(State.STOOD_IN),
        Event.BANK_LOST: To(State.OWED),
        Event.UNDELIVERABLE: To(State.OWED),
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: To(State.OWED),
    },
    # In flight and taken back. The bank's answer is awaited all the same, so that our reversal
    # follows the
    # request it reverses and a decline needs none.
    State.SUPPRESSED: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: To(State.SUPPRESSED),
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: _BEING_REVERSED,
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: To(State.OWED),
        Event.DECLINED: To(State.DECLINED),
        Event.UNUSABLE: To(State.OWED),
        Event.DEADLINE_PASSED: To(State.OWED),
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: To(State.OWED),
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: To(State.OWED),
    },
    # The acquirer has its approval, or may have it. Only the acquirer undoes it, unless it provably
    # has not.
    State.APPROVED: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _STORED,
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: To(State.OWED),
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: IMPOSSIBLE,
        Event.DECLINED: IMPOSSIBLE,
        Event.UNUSABLE: IMPOSSIBLE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: To(State.OWED),
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: To(State.APPROVED),
    },
    # Approved in the bank's name. What the bank says of the request now changes nothing: a reversal
    # of it is owed, and the advice stands on its own.
    State.STOOD_IN: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _STORED,
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: To(State.OWED),
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: _LATE,
        Event.DECLINED: _LATE,
        Event.UNUSABLE: _LATE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: To(State.STOOD_IN),
    },
    State.DECLINED: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _STORED,
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: _NOTHING_HELD,
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: _LAPSED,
        Event.DECLINED: _LAPSED,
        Event.UNUSABLE: _LAPSED,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: To(State.DECLINED),
    },
    # The three states in which a bank owes us the word that nothing is held.
    State.OWED: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _DECLINED_AGAIN,
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: _BEING_REVERSED,
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: _LATE,
        Event.DECLINED: _LATE,
        Event.UNUSABLE: _LATE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: To(State.REVERSING),
        Event.REVERSAL_UNSENT: To(State.OWED),
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: To(State.PARKED),
        Event.BANK_RETURNED: To(State.OWED),
        Event.RESTARTED: To(State.REVERSING),
    },
    State.REVERSING: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _DECLINED_AGAIN,
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: _BEING_REVERSED,
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: _LATE,
        Event.DECLINED: _LATE,
        Event.UNUSABLE: _LATE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: To(State.REVERSING),
        Event.REVERSAL_UNSENT: To(State.REVERSING),
        Event.REVERSAL_CONFIRMED: To(State.REVERSED),
        Event.REVERSAL_REJECTED: To(State.REVERSING),
        Event.REVERSAL_EXHAUSTED: To(State.PARKED),
        Event.BANK_RETURNED: To(State.REVERSING),
        Event.RESTARTED: To(State.REVERSING),
    },
    State.PARKED: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _DECLINED_AGAIN,
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: _BEING_REVERSED,
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: _LATE,
        Event.DECLINED: _LATE,
        Event.UNUSABLE: _LATE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: To(State.REVERSED),
        Event.REVERSAL_REJECTED: To(State.PARKED),
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: To(State.REVERSING),
        Event.RESTARTED: To(State.PARKED),
    },
    State.REVERSED: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _DECLINED_AGAIN,
        Event.CONFLICTED: _ANOTHER_BODY,
        Event.ACQUIRER_REVERSED: _BEING_REVERSED,
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: _OTHER_ORIGINAL,
        Event.APPROVED: _LATE,
        Event.DECLINED: _LATE,
        Event.UNUSABLE: _LATE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: To(State.REVERSED),
    },
    State.TOMBSTONE: {
        Event.FORWARDED: IMPOSSIBLE,
        Event.VERIFICATION_BEGAN: IMPOSSIBLE,
        Event.REFUSED: IMPOSSIBLE,
        Event.REPEATED: _USED_UP,
        Event.CONFLICTED: _USED_UP,
        Event.ACQUIRER_REVERSED: _NOTHING_HELD,
        Event.ACQUIRER_REVERSED_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFLICTED: IMPOSSIBLE,
        Event.APPROVED: IMPOSSIBLE,
        Event.DECLINED: IMPOSSIBLE,
        Event.UNUSABLE: IMPOSSIBLE,
        Event.DEADLINE_PASSED: IMPOSSIBLE,
        Event.LEG_UNSENT: IMPOSSIBLE,
        Event.EXPIRED_UNSENT: IMPOSSIBLE,
        Event.ADVISED: IMPOSSIBLE,
        Event.LAPSED: IMPOSSIBLE,
        Event.STOOD_IN: IMPOSSIBLE,
        Event.BANK_LOST: IMPOSSIBLE,
        Event.UNDELIVERABLE: IMPOSSIBLE,
        Event.REVERSAL_SENT: IMPOSSIBLE,
        Event.REVERSAL_UNSENT: IMPOSSIBLE,
        Event.REVERSAL_CONFIRMED: IMPOSSIBLE,
        Event.REVERSAL_REJECTED: IMPOSSIBLE,
        Event.REVERSAL_EXHAUSTED: IMPOSSIBLE,
        Event.BANK_RETURNED: IMPOSSIBLE,
        Event.RESTARTED: To(State.TOMBSTONE),
    },
}

KEY_STATES: Final[Mapping[KeyState, State]] = {
    KeyState.NEW: State.NEW,
    KeyState.IN_FLIGHT: State.AWAITING,
    KeyState.APPROVED: State.APPROVED,
    KeyState.DECLINED: State.DECLINED,
    KeyState.REVERSED: State.REVERSED,
    KeyState.TOMBSTONE: State.TOMBSTONE,
    KeyState.TURNED_AWAY: State.NEW,
}
"""What a remembered key says of its transaction when no live object says more."""
