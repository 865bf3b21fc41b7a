"""What the engine needs from outside, as small interfaces; `apps/worker.py` plugs the real ones in.

Every act goes through `Gate`: the hot pair (forward, answer) and the other answers of the request
path by direct call, the rare paths as effect values that `perform.py` turns into the call of the
same name. The real gate (runtime/gate.py) appends, encodes and holds natively; the test double
(tests/support/gate.py) records each call as the effect value of the same name in `effects.py`, so
that every flow is a playbook without sockets.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from switch.engine.stand_in import StandInRule
    from switch.engine.transaction import Transaction
    from switch.model.state import Cause, ReversalEffect
    from switch.wire import Message

__all__ = [
    "Delivering",
    "Duplicates",
    "Entry",
    "Forwarding",
    "Gate",
    "Owed",
    "Recovered",
    "Routes",
    "StandIn",
    "Verdict",
    "Verify",
]


@unique
class Forwarding(IntEnum):
    """Answer of `Gate.forward`."""

    HELD = 0
    """Recorded; it leaves when durable. STAN and transmission time are set in the transaction."""
    DOWN = 1
    """No signed-on connection of the bank takes it: 91."""
    FULL = 2
    """In-flight cap of the bank reached: 91."""
    UNFIT = 3
    """The bank's leg cannot be built from this request: 96."""
    UNRECORDED = 4
    """The journal takes no more: 96."""
    OPEN = 5
    """The bank's circuit is open, or half-open with enough probes under way: 91."""


@unique
class Delivering(IntEnum):
    """Answer of `Gate.deliver`."""

    SENT = 0
    """Held for a connection, or gone."""
    DOWN = 1
    """No signed-on connection of the bank takes it."""
    UNFIT = 2
    """The bank's dialect has no way to say it."""


@unique
class StandIn(IntEnum):
    """Answer of `Gate.stand_in`. All but STOOD have had no effect at all."""

    STOOD = 0
    """Recorded as approved, with the advice that is owed for it."""
    COUNT = 1
    """The card has as many today as the rule allows."""
    SUM = 2
    BANK_SUM = 3
    """All cards of the bank together."""
    FULL = 4
    """No further card is counted."""
    CLOSED = 5
    """The day that the request belongs to is over, and its totals are gone."""
    EXPIRED = 6
    """The card has ended, or nobody knows until when it is good."""
    UNFIT = 7
    """The acquirer's answer cannot be built."""
    UNRECORDED = 8
    """The journal takes no more."""
    SUSPENDED = 9
    """An operator has suspended stand-in for this bank."""


@unique
class Verdict(IntEnum):
    """Answer of `Verify.check`."""

    PLAIN = 0
    """A plain card: nothing to verify."""
    GENUINE = 1
    PENDING = 2
    """`Engine.verified` is called later (an HSM answers later)."""
    REFUSED = 3
    """The first of the refusals: `REFUSED` plus the place of the reason in `Verify.reasons`."""


class Entry(Protocol):
    """A remembered request key (see switch._native.walk.Entry)."""

    @property
    def txn(self) -> int: ...
    @property
    def state(self) -> int:
        """switch.model.state.KeyState."""

    @property
    def same_body(self) -> bool: ...
    @property
    def card_agrees(self) -> bool: ...
    @property
    def kind(self) -> int:
        """switch.model.kind.Kind of the request."""

    @property
    def amount_minor(self) -> int: ...
    @property
    def response_code(self) -> str: ...
    @property
    def issuer(self) -> int: ...


class Duplicates(Protocol):
    """The table of request keys (see switch._native.walk.Duplicates)."""

    def claim(self, message: Message, institution: int, txn: int, now_s: int) -> int:
        """0: the key is now IN_FLIGHT under `txn`. Else the KeyState that stands, +16 when the body
        differs."""

    def look(self, message: Message, institution: int, now_s: int) -> Entry | None: ...
    def original(self, reversal: Message, institution: int, now_s: int) -> Entry | None: ...


class Routes(Protocol):
    def find(self, message: Message) -> int:
        """Institution index of the issuer, or -1."""


class Verify(Protocol):
    """One verdict on card or token; assembled from the token index and the key ring."""

    @property
    def reasons(self) -> Sequence[str]:
        """Why it refuses; each has a row in `authorise.TAPS`."""

    def proved(self, message: Message) -> bool:
        """True for a tap that `check` has found GENUINE."""

    def check(self, message: Message, now_s: int) -> int:
        """A `Verdict`, or `REFUSED` plus a reason. What is proved claims its transaction counter,
        which the record of the message (acceptance or decline) makes durable; what is refused
        changes nothing."""


class Owed(Protocol):
    """A reversal or an advice owed to a bank (see switch._native.walk.Original)."""

    @property
    def txn(self) -> int: ...
    @property
    def issuer(self) -> int: ...
    @property
    def kind(self) -> int:
        """Of the request."""

    @property
    def duty(self) -> int:
        """switch.model.state.Duty."""

    @property
    def stan(self) -> int:
        """Its own, as is `time`: the same in every repeat."""

    @property
    def time(self) -> str: ...
    @property
    def owed_ms(self) -> int:
        """Unix milliseconds of the record that owes it."""

    @property
    def standing(self) -> str:
        """After a restart: in what it rested (`effects.PARKED`, `effects.DEAD`), '' for nothing."""

    @property
    def why(self) -> str:
        """Of a dead letter after a restart: the bank's code, or the end code."""

    def agrees(self, reply: Message) -> bool:
        """True when an answer carries the MTI, STAN and listed echoes of the leg built from it."""


class Recovered(Protocol):
    """What a replayed journal left open (see switch._native.walk.Recovered)."""

    @property
    def in_doubt(self) -> Sequence[Owed]: ...
    @property
    def owed(self) -> Sequence[Owed]: ...


class Gate(Protocol):
    """Every act of the engine. "Durable before sent" holds for each; none raises for a peer that
    has gone."""

    def forward(self, txn: Transaction) -> Forwarding:
        """Record acceptance, hold the bank's leg, set `out_stan` and `out_time`, put the
        transaction in flight at the bank's matcher under its `deadline_ns`. Anything but HELD has
        had no effect at all."""

    def answer(self, txn: Transaction, reply: Message) -> bool:
        """The bank's usable reply becomes the answer; recorded, settled in the duplicates table,
        then sent to `txn.slot` (-1: nobody to answer). False, and no effect at all, when the
        acquirer's leg cannot be built from it."""

    def decline(
        self,
        message: Message,
        slot: int,
        txn: int,
        acquirer: int,
        code: str,
        end: str,
        reason: str = "",
    ) -> None:
        """Recorded refusal of a claimed key (request or reversal) that never went to a bank. The
        reason goes into the record only: an acquirer is told the code."""

    def refuse(self, message: Message, slot: int, code: str, end: str) -> None:
        """Refusal that touches no state and needs no record."""

    def repeat(self, message: Message, slot: int, acquirer: int) -> None:
        """The stored answer once more, for requests and for acquirers' reversals."""

    def cancel(self, txn: Transaction) -> bool:
        """True when the bank's leg had not been handed to a socket and now never will be; the
        transaction is out of the matcher then. False changes nothing."""

    def conclude(
        self, txn: Transaction, code: str, end: str, cause: Cause, bank_code: str
    ) -> Owed | None:
        """An answer of ours for a forwarded request, settled as a decline. With a cause, the
        reversal is owed in the same record and returned, with its STAN and transmission time
        allocated."""

    def stand_in(
        self, txn: Transaction, rule: StandInRule, why: str, cause: Cause, *, forwarded: bool
    ) -> tuple[StandIn, Sequence[Owed]]:
        """An approval of ours in the bank's name, when it fits into what the card has left today.
        One record settles the request as approved and owes the bank all that follows: with a cause
        the reversal of the request, then the advice. That is returned, in this order. `forwarded`:
        it was recorded as accepted before."""

    def accept_reversal(
        self,
        message: Message,
        slot: int,
        txn: int,
        acquirer: int,
        original: int,
        effect: ReversalEffect,
    ) -> Owed | None:
        """Record an acquirer's reversal under its own key and answer 00. REVERSE: the original's
        key becomes REVERSED and the bank's reversal is returned. TOMBSTONE: the key it names
        becomes a tombstone. CANCEL_UNSENT and SUPPRESS leave the original's key as it is:
        `conclude` or `answer` settles it."""

    def undo(self, txn: int, code: str, end: str, cause: Cause) -> Owed | None:
        """For a recorded request without a live object: in doubt after a restart, or approved with
        an answer of which provably no byte left. Its stored answer becomes the decline `code` and a
        reversal is owed, in one record. None when nothing can be held at the bank (its answer was a
        decline)."""

    def accept_advice(
        self, message: Message, slot: int, txn: int, acquirer: int, issuer: int
    ) -> Owed | None:
        """Record an acquirer's advice under its own key, settled as approved, and answer 00; what
        the bank is owed is returned. None: the journal did not take it, and it was refused."""

    def deliver(self, owed: Owed, repeat: bool) -> Delivering:
        """One attempt, in the form of a repeat or of the first, for a signed-on connection of its
        bank."""

    def settle(self, owed: Owed, result: str, end: str, who: str, why: str) -> None:
        """It got a final code or was written off, or rests and is still owed: record it, how it
        came to that, and by whose word."""

    def conflict(self, acquirer: int, slot: int) -> None:
        """An acquirer asked something else under a key that it had used: the audit is told."""

    def note(self, what: str, txn: int) -> None:
        """Count one of `effects.NOTES`."""
