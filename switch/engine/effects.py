"""What the engine wants done, in the imperative: frozen values, executed in list order.

The rare paths (time-out, reversal, lost links, restart) return lists of these; `perform.py` runs
them through `ports.Gate`. The hot pair calls the gate itself; the test double of the gate records
those calls as the effect of the same name, so that every flow reads the same in a playbook.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from switch.model.end import ANSWERED
from switch.model.state import Cause, ReversalEffect

if TYPE_CHECKING:
    from switch.engine.events import Event
    from switch.engine.ports import Owed
    from switch.engine.stand_in import StandInRule, Why
    from switch.engine.transaction import Transaction
    from switch.wire import Message

__all__ = [
    "DEAD",
    "HELD",
    "NOTES",
    "NOTHING",
    "PARKED",
    "RELEASED",
    "RETRIED",
    "WRITTEN_OFF",
    "AcceptAdvice",
    "AcceptReversal",
    "Answer",
    "Conclude",
    "Decline",
    "Deliver",
    "Effect",
    "Forward",
    "Note",
    "Refuse",
    "Repeat",
    "Settle",
    "StandIn",
    "Undo",
]


class Forward(msgspec.Struct, frozen=True):
    """Record acceptance and send the bank's leg once durable. Hot: a gate call, never in a list."""

    txn: Transaction


class Answer(msgspec.Struct, frozen=True):
    """The bank's usable reply becomes the answer. Hot: a gate call, never in a list."""

    txn: Transaction
    reply: Message


class Decline(msgspec.Struct, frozen=True):
    """Record the refusal of a claimed request that never went to a bank, and answer it."""

    message: Message
    slot: int
    txn: int
    acquirer: int
    code: str
    end: str
    reason: str = ""
    """Why a tap was refused; for the record, not for the acquirer."""


class Refuse(msgspec.Struct, frozen=True):
    """Refuse without a record, because no state is touched."""

    message: Message
    slot: int
    code: str
    end: str
    conflicting: int = -1
    """The acquirer, when it asks something else under a key that it used before: the audit is
    told."""


class Repeat(msgspec.Struct, frozen=True):
    """Give the stored answer once more, held until the record it stands on is durable."""

    message: Message
    slot: int
    acquirer: int


class Conclude(msgspec.Struct, frozen=True):
    """Record our own outcome of a forwarded request and answer it; with a cause a reversal is owed
    with it."""

    txn: Transaction
    code: str
    end: str
    cause: Cause
    bank_code: str = ""


class StandIn(msgspec.Struct, frozen=True):
    """Approve in the bank's name if it fits, as one record with all that is owed for it; `event`
    and what follows from it otherwise."""

    txn: Transaction
    rule: StandInRule
    why: Why
    event: Event
    """What has happened to the request: `forward.CONCLUSIONS`, or REFUSED for one that never went
    to its bank."""
    cause: Cause
    """Why a reversal of the request is owed."""
    refusal: tuple[str, str] = ("", "")
    """REFUSED: code and end code of the decline."""


class AcceptReversal(msgspec.Struct, frozen=True):
    """Record an acquirer's reversal and answer it 00; with effect REVERSE a reversal is owed to the
    bank."""

    message: Message
    slot: int
    txn: int
    acquirer: int
    original: int
    effect: ReversalEffect


class Undo(msgspec.Struct, frozen=True):
    """A recorded request that has no live object becomes declined, and its bank is owed a
    reversal."""

    txn: int
    code: str
    end: str
    cause: Cause


class AcceptAdvice(msgspec.Struct, frozen=True):
    """Record an acquirer's advice and answer it 00; the bank is owed the advice."""

    message: Message
    slot: int
    txn: int
    acquirer: int
    issuer: int


class Deliver(msgspec.Struct, frozen=True):
    """Send what a bank is owed (0420, 0120, 0220; as a repeat 0421, 0121, 0221) once the record
    that owes it is durable."""

    owed: Owed
    repeat: bool


class Settle(msgspec.Struct, frozen=True):
    """Record that what a bank is owed got its final code and is repeated no longer, or that it
    stays owed and is not sent by the timer."""

    owed: Owed
    result: str
    """The bank's final code, or one of the words below."""
    end: str = ANSWERED
    """How it came to that, from `switch.model.end`."""
    who: str = ""
    """The operator whose word it is."""
    why: str = ""
    """Its reason; of a refused advice the bank's code."""


class Note(msgspec.Struct, frozen=True):
    """Count something that changed nothing, or raise an alarm; `what` is one of `NOTES`."""

    what: str
    txn: int = 0


PARKED: Final = "parked"
"""`Settle.result` of what was sent as often as it may: it is still owed."""
DEAD: Final = "dead"
"""`Settle.result` of a dead letter: it is still owed."""
HELD: Final = "held"
"""`Settle.result` of what an operator keeps back."""
RELEASED: Final = "released"
RETRIED: Final = "retried"
"""`Settle.result` of what rested, and moves again by order."""
WRITTEN_OFF: Final = "written_off"
"""`Settle.result` of what an operator ended."""

NOTES: Final = (
    "impossible",
    "ignored",
    "late_approved",
    "late_declined",
    "late_unusable",
    "stand_in_declined_late",
    "waiters_full",
    "delivery_rejected",
    "delivery_parked",
    "delivery_unknown",
    "delivery_dead",
    "delivery_unread",
    "undelivered_kept",
    "still_in_doubt",
)
"""Every `Note.what`: a bounded set, fit for a metric's label."""

Effect = (
    Forward
    | Answer
    | Decline
    | Refuse
    | Repeat
    | Conclude
    | StandIn
    | AcceptReversal
    | AcceptAdvice
    | Undo
    | Deliver
    | Settle
    | Note
)

NOTHING: Final[Sequence[Effect]] = ()
"""What the hot pair returns: it has acted through the gate."""
