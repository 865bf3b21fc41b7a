"""Doubles of the engine's ports: a gate that records effect values, and the table of keys it
settles.

The gate keeps what a journal would: which requests were accepted, what became of them, which
reversals are owed. `restart` gives back what a replay would find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from switch.engine.effects import (
    DEAD,
    HELD,
    PARKED,
    AcceptAdvice,
    AcceptReversal,
    Answer,
    Conclude,
    Decline,
    Deliver,
    Effect,
    Forward,
    Note,
    Refuse,
    Repeat,
    Settle,
    StandIn,
    Undo,
)
from switch.engine.events import Event
from switch.engine.ports import Delivering, Forwarding
from switch.engine.ports import StandIn as Fit
from switch.engine.stand_in import Why
from switch.link.matcher import Matcher
from switch.link.window import Window
from switch.model.kind import Kind
from switch.model.response import APPROVED, RcClass
from switch.model.state import UNSETTLED, Cause, Duty, KeyState, ReversalEffect

if TYPE_CHECKING:
    from switch.engine.ports import Owed
    from switch.engine.stand_in import StandInRule
    from switch.engine.transaction import Transaction
    from switch.wire import Message

__all__ = ["Bank", "FakeDuplicates", "FakeEntry", "FakeGate", "FakeOwed", "FakeRecovered"]

_KEY = ("acquirer_code", "terminal_id", "merchant_id", "stan", "transmission_time")
_BODY = ("pan", "processing_code", "amount", "terminal_id", "merchant_id", "currency")

Key = tuple[str, ...]


class FakeEntry(msgspec.Struct):
    """One remembered key."""

    txn: int
    state: int
    body: Key
    card: str
    amount_minor: int
    issuer: int = -1
    response_code: str = ""
    same_body: bool = True
    card_agrees: bool = True
    kind: int = Kind.PURCHASE
    durable: bool = False
    """A record stands behind it; what does not is gone after a restart."""


class FakeDuplicates:
    """The table of request keys."""

    def __init__(self) -> None:
        self.entries: dict[Key, FakeEntry] = {}
        self.by_txn: dict[int, FakeEntry] = {}

    def claim(self, message: Message, institution: int, txn: int, now_s: int) -> int:
        key, body = _key(message, institution), _body(message)
        entry = self.entries.get(key)
        if entry is not None:
            same = entry.body == body and _repeats(message.kind, entry.kind)
            return int(entry.state) + (0 if same else 16)
        asked = self.entries.get((key[0], message.mti[1], *key[2:]))
        known = {KeyState.APPROVED, KeyState.IN_FLIGHT}
        if asked is not None and asked.body == body and asked.state in known:
            return int(asked.state) + 16
        entry = FakeEntry(
            txn, KeyState.IN_FLIGHT, body, _reveal(message, "pan"), message.amount_minor
        )
        entry.kind = message.kind
        self.entries[key] = self.by_txn[txn] = entry
        return 0

    def look(self, message: Message, institution: int, now_s: int) -> FakeEntry | None:
        return self.entries.get(_key(message, institution))

    def original(self, reversal: Message, institution: int, now_s: int) -> FakeEntry | None:
        entry = self.entries.get(_original_key(reversal, institution))
        if entry is not None:
            entry.card_agrees = entry.card == _reveal(reversal, "pan")
        return entry

    def settle(self, txn: int, state: KeyState, code: str) -> None:
        """The final outcome of a claimed key."""
        entry = self.by_txn[txn]
        entry.state, entry.response_code, entry.durable = state, code, True

    def bury(self, reversal: Message, institution: int, txn: int) -> None:
        """A tombstone under the key that a reversal names."""
        entry = FakeEntry(txn, KeyState.TOMBSTONE, _body(reversal), "", -1, durable=True)
        entry.kind = Kind.UNKNOWN
        self.entries[_original_key(reversal, institution)] = entry

    def forget_unrecorded(self) -> None:
        """What a restart does to keys that were claimed in memory only."""
        self.entries = {key: entry for key, entry in self.entries.items() if entry.durable}


class FakeOwed(msgspec.Struct):
    """A reversal or an advice owed to a bank."""

    txn: int
    issuer: int
    stan: int
    time: str
    kind: int = Kind.PURCHASE
    duty: int = Duty.REVERSAL
    owed_ms: int = 0
    standing: str = ""
    why: str = ""

    @property
    def answer_mti(self) -> str:
        """Of the bank's answer to it."""
        return "0230" if self.duty == Duty.ADVICE else "0430"

    def agrees(self, reply: Message) -> bool:
        return (
            reply.mti == self.answer_mti
            and reply.stan == self.stan
            and reply.get("transmission_time") == self.time
        )


class FakeRecovered(msgspec.Struct):
    """What a replay finds open."""

    in_doubt: list[Owed]
    owed: list[Owed]


class Bank(msgspec.Struct):
    """One bank as the gate sees it: its matcher, and whether a connection of it is signed on."""

    matcher: Matcher[Transaction, Owed]
    up: bool = True


class FakeGate:
    """Records each act as the effect of the same name, in order."""

    def __init__(self, duplicates: FakeDuplicates, banks: dict[int, int]) -> None:
        """`banks`: institution index to in-flight cap."""
        self.effects: list[Effect] = []
        self.conflicts: list[tuple[int, int]] = []
        """Acquirer and slot of each request with another body under its key."""
        self.duplicates = duplicates
        self.banks = {
            index: Bank(Matcher(Window(0, index * 100), cap)) for index, cap in banks.items()
        }
        self.now_s = 0
        self.refusal = Forwarding.HELD
        """What `forward` answers instead of HELD."""
        self.unbuildable = False
        """`answer` cannot build the acquirer's leg."""
        self.stalled = False
        """The journal has not synced: legs are held."""
        self.unsent: dict[int, Transaction] = {}
        self.accepted: dict[int, Transaction] = {}
        """Recorded, without an outcome."""
        self.issuers: dict[int, int] = {}
        """Bank of every recorded request."""
        self.owed: dict[tuple[int, int], FakeOwed] = {}
        self.fit = Fit.STOOD
        """What a card has left today."""
        self.stood: set[int] = set()
        """Approved in the bank's name."""
        self.unspeakable = False
        """The bank's dialect has no way to say what it is owed."""

    # -- ports.Gate -------------------------------------------------------------------------------

    def forward(self, txn: Transaction) -> Forwarding:
        bank = self.banks[txn.issuer]
        if self.refusal is not Forwarding.HELD:
            return self.refusal
        if not bank.up:
            return Forwarding.DOWN
        if not bank.matcher.take(txn, self.now_s):
            return Forwarding.FULL
        self.effects.append(Forward(txn))
        self.accepted[txn.id] = txn
        self.issuers[txn.id] = txn.issuer
        self.duplicates.by_txn[txn.id].durable = True
        if self.stalled:
            self.unsent[txn.id] = txn
        return Forwarding.HELD

    def answer(self, txn: Transaction, reply: Message) -> bool:
        if self.unbuildable:
            return False
        self.effects.append(Answer(txn, reply))
        del self.accepted[txn.id]
        approved = reply.outcome == RcClass.APPROVE
        state = KeyState.APPROVED if approved else KeyState.DECLINED
        self.duplicates.settle(txn.id, state, reply.get("response_code") or "")
        return True

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
        self.effects.append(Decline(message, slot, txn, acquirer, code, end, reason))
        self.duplicates.settle(txn, KeyState.DECLINED, code)

    def refuse(self, message: Message, slot: int, code: str, end: str) -> None:
        self.effects.append(Refuse(message, slot, code, end))

    def repeat(self, message: Message, slot: int, acquirer: int) -> None:
        self.effects.append(Repeat(message, slot, acquirer))

    def cancel(self, txn: Transaction) -> bool:
        if self.unsent.pop(txn.id, None) is None:
            return False
        self.banks[txn.issuer].matcher.drop(txn)
        return True

    def conclude(
        self, txn: Transaction, code: str, end: str, cause: Cause, bank_code: str
    ) -> Owed | None:
        self.effects.append(Conclude(txn, code, end, cause, bank_code))
        del self.accepted[txn.id]
        assert not (cause and txn.id in self.unsent), "a leg that is held would leave after this"
        self.unsent.pop(txn.id, None)
        self.duplicates.settle(txn.id, KeyState.DECLINED, code)
        return self._owe(txn.id) if cause else None

    def accept_reversal(
        self,
        message: Message,
        slot: int,
        txn: int,
        acquirer: int,
        original: int,
        effect: ReversalEffect,
    ) -> Owed | None:
        self.effects.append(AcceptReversal(message, slot, txn, acquirer, original, effect))
        self.duplicates.settle(txn, KeyState.APPROVED, APPROVED)
        if effect is ReversalEffect.TOMBSTONE:
            self.duplicates.bury(message, acquirer, txn)
        if effect is ReversalEffect.REVERSE:
            # The stored approval stays where it is: not giving it again is the engine's business.
            self.duplicates.settle(original, KeyState.REVERSED, APPROVED)
            duty = Duty.WITHDRAWAL if original in self.stood else Duty.REVERSAL
            return self._owe(original, duty)
        return None

    def stand_in(
        self, txn: Transaction, rule: StandInRule, why: str, cause: Cause, *, forwarded: bool
    ) -> tuple[Fit, list[Owed]]:
        if self.fit is not Fit.STOOD:
            return self.fit, []
        event = Event.DEADLINE_PASSED if forwarded else Event.REFUSED
        self.effects.append(StandIn(txn, rule, Why(why), event, cause))
        assert forwarded == (txn.id in self.accepted)
        self.accepted.pop(txn.id, None)
        assert not (cause and txn.id in self.unsent), "a leg that is held would leave after this"
        self.unsent.pop(txn.id, None)
        self.issuers[txn.id] = txn.issuer
        self.stood.add(txn.id)
        self.duplicates.settle(txn.id, KeyState.APPROVED, APPROVED)
        owed = [self._owe(txn.id)] if cause else []
        return Fit.STOOD, [*owed, self._owe(txn.id, Duty.ADVICE)]

    def undo(self, txn: int, code: str, end: str, cause: Cause) -> Owed | None:
        self.effects.append(Undo(txn, code, end, cause))
        self.accepted.pop(txn, None)
        if self.duplicates.by_txn[txn].state == KeyState.DECLINED:
            return None
        self.duplicates.settle(txn, KeyState.DECLINED, code)
        return self._owe(txn) if cause else None

    def accept_advice(
        self, message: Message, slot: int, txn: int, acquirer: int, issuer: int
    ) -> Owed | None:
        self.effects.append(AcceptAdvice(message, slot, txn, acquirer, issuer))
        self.duplicates.settle(txn, KeyState.APPROVED, APPROVED)
        self.issuers[txn] = issuer
        return self._owe(txn, Duty.ADVICE)

    def deliver(self, owed: Owed, repeat: bool) -> Delivering:
        bank = self.banks[owed.issuer]
        if not bank.up:
            return Delivering.DOWN
        if self.unspeakable:
            return Delivering.UNFIT
        self.effects.append(Deliver(owed, repeat))
        bank.matcher.delivery_sent(owed)
        return Delivering.SENT

    def settle(self, owed: Owed, result: str, end: str, who: str, why: str) -> None:
        self.effects.append(Settle(owed, result, end, who, why))
        kept = self.owed[owed.txn, owed.duty]
        if result in UNSETTLED:
            kept.why = why
            kept.standing = result if result in (PARKED, DEAD, HELD) else ""
            return
        del self.owed[owed.txn, owed.duty]
        self.banks[owed.issuer].matcher.delivery_done(owed)

    def conflict(self, acquirer: int, slot: int) -> None:
        self.conflicts.append((acquirer, slot))

    def note(self, what: str, txn: int) -> None:
        self.effects.append(Note(what, txn))

    # -- what the world does to it ----------------------------------------------------------------

    def sync(self) -> None:
        """The journal has caught up: what was held has left."""
        self.stalled = False
        self.unsent.clear()

    def restart(self) -> FakeRecovered:
        """All memory is gone but for what is recorded; connections are up again."""
        in_doubt: list[Owed] = [
            FakeOwed(txn, self.issuers[txn], 0, "", self.duplicates.by_txn[txn].kind)
            for txn in sorted(self.accepted)
        ]
        for bank in self.banks.values():
            window = bank.matcher.window
            bank.matcher = Matcher(Window(window.time_s, window.stan), bank.matcher.in_flight_max)
        self.unsent.clear()
        self.stalled = False
        self.duplicates.forget_unrecorded()
        return FakeRecovered(in_doubt, [self.owed[key] for key in sorted(self.owed)])

    def _owe(self, txn: int, duty: Duty = Duty.REVERSAL) -> Owed:
        issuer = self.issuers[txn]
        stan, time = self.banks[issuer].matcher.number(self.now_s)
        self.owed[txn, duty] = owed = FakeOwed(txn, issuer, stan, time, duty=duty)
        return owed


def _key(message: Message, institution: int) -> Key:
    return (str(institution), _class(message.mti), *(_reveal(message, name) for name in _KEY))


def _class(mti: str) -> str:
    """A request and an advice of money are two exchanges; a reversal is one."""
    return mti[1:3] if mti[1] in "12" and mti[2] == "2" else mti[1]


def _original_key(reversal: Message, institution: int) -> Key:
    return (
        str(institution),
        _class(_reveal(reversal, "original_data.mti")),
        _reveal(reversal, "acquirer_code"),
        _reveal(reversal, "terminal_id"),
        _reveal(reversal, "merchant_id"),
        _reveal(reversal, "original_data.stan"),
        _reveal(reversal, "original_data.transmission_time"),
    )


def _body(message: Message) -> Key:
    return tuple(_reveal(message, name) for name in _BODY)


def _repeats(kind: int, first: int) -> bool:
    undoes = {Kind.REVERSAL_REQUEST, Kind.REVERSAL_ADVICE}
    return first in {kind, Kind.UNKNOWN} or {kind, first} <= undoes


def _reveal(message: Message, name: str) -> str:
    return message.reveal(name) or ""
