"""The language of playbooks: what happens, and what the engine does about it, line by line.

    play.request("tea")
    play.sees("forward tea")
    play.passes(ms=2000)
    play.sees("conclude tea 91 TW, owes a reversal: timeout", "send 0420 tea")

The left side are events; the lines of `sees` are the effects that the gate double recorded since,
in order, and all of them: an effect that no `sees` names fails the play, as does one that a play
never looked at. No sockets, no sleeps, no clock: time passes when the play says so.

Every event is also held against the table of `switch.engine.states`: the state before, the event
and the state after must be a cell of it. The cells that were walked are kept, so that a test can
ask for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from switch.engine.authorise import TAPS
from switch.engine.duty import Stage
from switch.engine.effects import (
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
from switch.engine.engine import STATES, AcquirerRules, Engine, IssuerRules
from switch.engine.events import Event
from switch.engine.perform import perform
from switch.engine.ports import Verdict
from switch.engine.stand_in import StandInRule
from switch.engine.states import KEY_STATES, TABLE, Ignored, State, To
from switch.engine.transaction import Transaction
from switch.model.kind import REVERSIBLE, Kind
from switch.model.state import UNSETTLED, Cause, Duty, KeyState
from switch.wire import Message
from tests.support.gate import FakeDuplicates, FakeEntry, FakeGate, FakeOwed
from tests.support.message import PURCHASE, message, reply_to

__all__ = ["ACQ", "BANK", "DEADLINE_MS", "OTHER_ACQ", "Play"]

ACQ: Final = 1
OTHER_ACQ: Final = 2
BANK: Final = 11
SILENT_ROUTE: Final = "629999"
"""Cards of this prefix have no route."""

PIN_BLOCK: Final = "0123456789ABCDEF"
DEADLINE_MS: Final = 2_000
RETRY_MS: Final = 1_000
RETRY_MAX_MS: Final = 8_000
PAUSES: Final = tuple(DEADLINE_MS + min(RETRY_MS << n, RETRY_MAX_MS) for n in range(4))
"""After which a delivery without an answer is sent again at the latest: first, second, …"""
ATTEMPTS_MAX: Final = 4
CAP: Final = 3
_MS: Final = 1_000_000

_TAKEN: Final = (
    "pan",
    "processing_code",
    "amount",
    "acquirer_code",
    "terminal_id",
    "merchant_id",
    "currency",
)
"""What a terminal's reversal has in common with its original."""


_LAPSES: Final = frozenset(
    {Event.DEADLINE_PASSED, Event.UNUSABLE, Event.BANK_LOST, Event.UNDELIVERABLE, Event.RESTARTED}
)
"""What ends a question about a balance without an answer of the bank's."""


class _Routes:
    def find(self, message: Message) -> int:
        return -1 if (message.reveal("pan") or "").startswith(SILENT_ROUTE) else BANK


class _Verify:
    """Gives the verdicts that the play has laid out."""

    reasons = tuple(TAPS)

    def __init__(self) -> None:
        self.verdict: int = Verdict.PLAIN

    def check(self, message: Message, now_s: int) -> int:
        return self.verdict

    def proved(self, message: Message) -> bool:
        return self.verdict == Verdict.GENUINE


class Play:
    """One story."""

    def __init__(
        self,
        *,
        reverse_undelivered: bool = False,
        verifying: bool = False,
        stand_in: Iterable[StandInRule] = (),
    ) -> None:
        self.duplicates = FakeDuplicates()
        self.gate = FakeGate(self.duplicates, {BANK: CAP})
        self.now_ns = 1_000 * _MS
        self.verify = _Verify() if verifying else None
        self._reverse_undelivered = reverse_undelivered
        self._rules = tuple(stand_in)
        self._stood: set[int] = set()
        self._messages: dict[str, Message] = {}
        self._sent: dict[str, tuple[str, dict[str, str]]] = {}
        self._acquirers: dict[str, int] = {}
        self._txns: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._objects: dict[int, Transaction] = {}
        self._settled: set[int] = set()
        self._gone: set[int] = set()
        self._seen = 0
        self.engine = self._start(1)
        self._hand_in: Callable[..., Iterable[Effect]] = self.engine.request

    @classmethod
    @contextmanager
    def collected(cls) -> Iterator[set[tuple[State, Event]]]:
        """The cells walked by all plays inside."""
        before, cls._walks = cls._walks, set()
        try:
            yield cls._walks
        finally:
            cls._walks = before

    _walks: ClassVar[set[tuple[State, Event]]] = set()

    # -- what a play may lay out beforehand -------------------------------------------------------

    def hands_in_with(self, hand_in: Callable[..., Iterable[Effect]]) -> None:
        """Requests reach the engine by `hand_in` from now on."""
        self._hand_in = hand_in

    def verify_says(self, verdict: int) -> None:
        """The verdict on the cards to come."""
        assert self.verify is not None
        self.verify.verdict = verdict

    def forgets(self, name: str) -> None:
        """The play itself forgets a name whose transaction a restart has wiped out."""
        txn = self._txns.pop(name)
        assert txn not in {entry.txn for entry in self.duplicates.entries.values()}

    def remembers(self, txn: Transaction) -> None:
        """The play keeps an object of before a restart, to answer it."""
        self._objects[txn.id] = txn

    # -- events: the acquirer's side --------------------------------------------------------------

    def request(self, name: str, *, acquirer: int = ACQ, slot: int = 1, **changes: str) -> None:
        """A purchase arrives; the same name again is the same request again. `changes`: fields."""
        message = self._make(name, "0200", changes)
        entry = self.duplicates.look(message, acquirer, 0)
        before = State.NEW if entry is None else self._state(name)
        body_differs = self.duplicates_differ(message, acquirer)
        self._do(self._hand_in(message, slot, acquirer, self.now_ns, self._now_s))
        self._remember(name, message, acquirer)
        if entry is None and self.duplicates.look(message, acquirer, 0) is None:
            return
        if entry is None:
            event = {
                State.AWAITING: Event.FORWARDED,
                State.VERIFYING: Event.VERIFICATION_BEGAN,
                State.DECLINED: Event.REFUSED,
                State.STOOD_IN: Event.STOOD_IN,
            }[self._state(name)]
        else:
            event = Event.CONFLICTED if body_differs else Event.REPEATED
        self._walked(name, before, event)

    def advice(self, name: str, mti: str = "0220", *, slot: int = 1, **changes: str) -> None:
        """An acquirer tells of a purchase that was made without the bank; the same name again is a
        repeat."""
        message = self._make(name, mti, changes)
        first = self.duplicates.look(message, ACQ, 0) is None
        before = State.NEW if first else self._state(name)
        self._do(self._hand_in(message, slot, ACQ, self.now_ns, self._now_s))
        self._remember(name, message, ACQ)
        if not first:
            self._walked(name, before, Event.REPEATED)
            return
        event = {
            State.APPROVED: Event.ADVISED,
            State.VERIFYING: Event.VERIFICATION_BEGAN,
            State.DECLINED: Event.REFUSED,
        }[self._state(name)]
        self._walked(name, before, event)

    def numbers_of(self, name: str) -> dict[str, Any]:
        """All that `name` was sent with, its numbers too. What an acquirer's message is called goes
        by its numbers: effects call the other one so too."""
        return dict(self._sent[name][1])

    def odd(self, name: str, mti: str = "0200", *, without: str = "", **changes: str) -> None:
        """A message that is no sound request, for the codec or for us."""
        message = self._make(name, mti, changes, without)
        self._do(self.engine.request(message, 1, ACQ, self.now_ns, self._now_s))
        self._remember(name, message, ACQ)

    def reversal(
        self,
        name: str,
        of: str,
        *,
        acquirer: int = ACQ,
        mti: str = "0420",
        without: str = "",
        **changes: str,
    ) -> None:
        """The acquirer reverses `of`, seen or unseen; the same name again is a repeat."""
        original = self._messages.get(of) or self._make(of, "0200", {})
        if name in self._sent:
            message = self._make(name, mti, changes)
        else:
            fields = {field: self._sent[of][1][field] for field in _TAKEN}
            fields |= {
                "transmission_time": "1123170001",
                "original_data.mti": original.mti,
                "original_data.stan": f"{original.stan:06d}",
                "original_data.transmission_time": self._sent[of][1]["transmission_time"],
                "original_data.acquirer_code": fields["acquirer_code"],
                "original_data.forwarder_code": "00000000000",
            }
            message = self._make(name, mti, fields | changes, without, base={})
        if without:
            self._do(self.engine.request(message, 1, acquirer, self.now_ns, self._now_s))
            return
        first = self.duplicates.look(message, acquirer, 0) is None
        known = self.duplicates.original(message, acquirer, 0)
        before = State.NEW if known is None else self._state_of(known.txn, known.state)
        unsent = known is None or known.txn in self.gate.unsent or before is State.VERIFYING
        agrees = known is None or (
            before is State.TOMBSTONE
            or (
                known.kind in REVERSIBLE
                and known.card_agrees
                and known.amount_minor == message.amount_minor
            )
        )
        self._do(self.engine.request(message, 1, acquirer, self.now_ns, self._now_s))
        self._remember(name, message, acquirer)
        if not first:
            return
        if known is None:
            self._acquirers.setdefault(of, acquirer)
            buried = self.duplicates.original(message, acquirer, 0)
            assert buried is not None
            after = self._state_of(buried.txn, buried.state)
            self._step(before, Event.ACQUIRER_REVERSED_UNSENT, after)
            return
        event = Event.ACQUIRER_REVERSED_UNSENT if unsent else Event.ACQUIRER_REVERSED
        if not agrees:
            event = Event.REVERSAL_CONFLICTED
        known = self.duplicates.original(message, acquirer, 0)
        assert known is not None
        self._step(before, event, self._state_of(known.txn, known.state))

    def acquirer_gone(self, slot: int = 1) -> None:
        """The connection `slot` has gone."""
        self._gone.add(slot)
        self._do(self.engine.acquirer_lost(slot))

    def undelivered(self, name: str) -> None:
        """The gate reports that no byte of the answer left."""
        before = self._state(name)
        self._do(self.engine.undelivered(self._txns[name], ACQ))
        if self._reverse_undelivered:
            self._walked(name, before, Event.UNDELIVERABLE)

    # -- events: the bank's side ------------------------------------------------------------------

    def reply(
        self, name: str, code: str | None = "00", *, usable: bool = True, **changes: str
    ) -> None:
        """The bank answers, on whatever connection; unmatched answers are counted by the
        matcher."""
        txn = self._objects[self._txns[name]]
        reply = reply_to(self._messages[name], txn.out_stan, txn.out_time, code, **changes)
        matched = self.gate.banks[BANK].matcher.match(reply)
        if matched is None:
            return
        assert matched is txn
        before = self._state(name)
        slots = {txn.slot, *(slot for _, slot in txn.waiters or ())}
        nobody = slots <= self._gone
        late = self.now_ns >= txn.deadline_ns and before in (State.AWAITING, State.SUPPRESSED)
        self._do(self.engine.reply(txn, reply, self.now_ns))
        event = {"00": Event.APPROVED, "51": Event.DECLINED, "91": Event.DECLINED}.get(
            code or "", Event.UNUSABLE
        )
        another_amount = reply.amount_minor != txn.request.amount_minor
        if not usable or (event is Event.APPROVED and another_amount):
            event = Event.UNUSABLE
        if late:
            self._step(before, Event.DEADLINE_PASSED, State.OWED)
            before = State.OWED
        elif (
            event is Event.APPROVED
            and self._reverse_undelivered
            and nobody
            and before is State.AWAITING
        ):
            event = Event.UNDELIVERABLE
        self._walked(name, before, event)

    def acknowledges(self, name: str, code: str = "00", **changes: str) -> None:
        """The bank answers our reversal of `name` (0430)."""
        txn = self._txns[name]
        before = self._reversal_of(txn)
        if not self._delivered(name, Duty.REVERSAL, code, changes):
            return
        final = code in FINAL
        event = Event.REVERSAL_CONFIRMED if final else Event.REVERSAL_REJECTED
        self._step(before, event, self._reversal_of(txn))

    def _reversal_of(self, txn: int) -> State:
        """How far the reversal of a request is, whatever else its bank is owed for it."""
        delivery = self.engine.delivery(txn)
        return STATES[delivery.stage] if delivery is not None else State.REVERSED

    def takes_back(self, name: str, code: str = "00", **changes: str) -> None:
        """The bank answers our reversal of the advice of `name` (0430)."""
        before = self._state(name)
        if self._delivered(name, Duty.WITHDRAWAL, code, changes):
            self._walked(name, before, Event.REVERSAL_CONFIRMED)

    def knows(self, name: str, code: str = "00", **changes: str) -> None:
        """The bank answers our advice of `name` (0230)."""
        self._delivered(name, Duty.ADVICE, code, changes)

    def _delivered(self, name: str, duty: Duty, code: str, changes: dict[str, str]) -> bool:
        """An answer to what the bank is owed; False when it belongs to nothing."""
        owed = self.gate.owed.get((self._txns[name], duty)) or self._last[name, duty]
        self._last[name, duty] = owed
        fields = {
            "stan": f"{owed.stan:06d}",
            "transmission_time": owed.time,
            "response_code": code,
        }
        answer = message(owed.answer_mti, fields | changes)
        matched = self.gate.banks[BANK].matcher.match_delivery(answer)
        if matched is None:
            return False
        self._do(self.engine.delivery_reply(matched, answer))
        return True

    def bank_down(self) -> None:
        """The bank's last connection goes: held legs are declined, sent ones reversed."""
        bank = self.gate.banks[BANK]
        bank.up = False
        for txn in list(self.gate.unsent.values()):
            name, before = self._names[txn.id], self._state_of(txn.id, KeyState.IN_FLIGHT)
            assert bank.matcher.drop(txn)
            self._do(self.engine.unsent(txn))
            self._walked(name, before, self._unless_stood(txn, Event.LEG_UNSENT))
        gone = bank.matcher.drain()
        before_of = {txn.id: txn.state for txn in gone}
        self._do(self.engine.bank_lost(gone))
        for txn in gone:
            event = self._unless_stood(txn, Event.BANK_LOST)
            self._walked(self._names[txn.id], before_of[txn.id], event)

    def bank_up(self) -> None:
        """A connection of the bank signs on again, and the timer runs."""
        self.gate.banks[BANK].up = True
        before_of = self._reversals()
        waiting = {
            txn
            for txn in before_of
            if (delivery := self.engine.delivery(txn)) is not None
            and (delivery.waiting or delivery.stage is Stage.PARKED)
        }
        self.engine.bank_up(BANK, self.now_ns)
        for txn in waiting:
            self._step(before_of[txn], Event.BANK_RETURNED, self._reversal_of(txn))
        self.passes(ms=0)

    # -- events: time, the journal, the process ---------------------------------------------------

    def passes(self, ms: int) -> None:
        """Time passes, then the worker's timer runs once."""
        self.now_ns += ms * _MS
        for bank in self.gate.banks.values():
            for txn in bank.matcher.expired(self.now_ns):
                self._deadline(txn)
        for txn in self.engine.overdue(self.now_ns):
            self._deadline(txn)
        before_of = self._reversals()
        mark = len(self.gate.effects)
        effects = self.engine.due(self.now_ns, jitter=0.0)
        self._do(effects)
        sent = {e.owed.txn for e in self.gate.effects[mark:] if isinstance(e, Deliver)}
        for effect in effects:
            if isinstance(effect, Note):
                continue
            assert isinstance(effect, Deliver | Settle)
            number, event = effect.owed.txn, Event.REVERSAL_EXHAUSTED
            if effect.owed.duty != Duty.REVERSAL:
                continue
            if isinstance(effect, Deliver):
                event = Event.REVERSAL_SENT if number in sent else Event.REVERSAL_UNSENT
            self._step(before_of[number], event, self._reversal_of(number))

    def _reversals(self) -> dict[int, State]:
        """How far those stand whose reversal a bank is owed."""
        return {txn: self._reversal_of(txn) for txn, duty in self.gate.owed if not duty}

    def journal_stalls(self) -> None:
        """Records are appended and not synced: what is held stays held."""
        self.gate.stalled = True

    def journal_syncs(self) -> None:
        """What was held leaves."""
        self.gate.sync()

    def restarts(self) -> None:
        """The process dies and replays its journal."""
        before_of = {
            name: self._state(name) for name in self._messages if self._entry(name) is not None
        }
        recovered = self.gate.restart()
        self.engine = self._start(self.engine.next_txn)
        self._hand_in = self.engine.request
        self._objects.clear()
        self._do(self.engine.recover(recovered, self.now_ns, self.now_ns // _MS))
        for name, before in before_of.items():
            if self._entry(name) is not None:
                self._walked(name, before, Event.RESTARTED)

    def bank_is_removed(self) -> None:
        """The settings name the bank no longer; what is owed to it stays owed."""
        self.engine._deliveries._issuers = {}

    def verdict(self, name: str, verdict: int) -> None:
        """The verdict that was pending comes."""
        txn = self._objects[self._txns[name]]
        before = self._state(name)
        self._do(self.engine.verified(txn, verdict, self.now_ns))
        after = self._state(name)
        event = {
            State.AWAITING: Event.FORWARDED,
            State.APPROVED: Event.ADVISED,
            State.STOOD_IN: Event.STOOD_IN,
        }.get(after, Event.REFUSED)
        if self.now_ns >= txn.deadline_ns:
            event = Event.DEADLINE_PASSED
        if before is State.VERIFYING:
            self._walked(name, before, event)

    # -- what the engine did ----------------------------------------------------------------------

    def sees(self, *lines: str) -> None:
        """Exactly these effects since the last look, in this order."""
        new = [self._line(effect) for effect in self.gate.effects[self._seen :]]
        self._seen = len(self.gate.effects)
        assert new == list(lines), "\n".join(
            [
                "the engine did",
                *(f"  {line}" for line in new),
                "and not",
                *(f"  {x}" for x in lines),
            ]
        )

    def ends(self, *, owed: int = 0, parked: int = 0) -> None:
        """Nothing is left to look at, nothing is in flight, and so many reversals are owed."""
        self.sees()
        assert self.engine.in_flight == 0
        assert len(self.gate.banks[BANK].matcher.in_flight) == 0
        assert self.engine.owed_count == owed
        assert self.engine.parked_count == parked
        assert len(self.gate.owed) == owed
        assert not self.gate.accepted

    @property
    def counts(self) -> dict[str, int]:
        """The bank's odd answers by reason."""
        return self.gate.banks[BANK].matcher.counts

    def state(self, name: str) -> State:
        """Where the transaction of this name is."""
        return self._state(name)

    # -- below: the machinery ---------------------------------------------------------------------

    def _start(self, next_txn: int) -> Engine:
        self._last: dict[tuple[str, Duty], FakeOwed] = getattr(self, "_last", {})
        rules = IssuerRules(
            deadline_ms=DEADLINE_MS,
            reversal_retry_ms=RETRY_MS,
            reversal_retry_max_ms=RETRY_MAX_MS,
            reversal_attempts_max=ATTEMPTS_MAX,
            advice_final=lambda code: code in {"00", "94"},
            final=lambda code: code in FINAL,
            stand_in=self._rules,
        )
        acquirer = AcquirerRules(reverse_undelivered=self._reverse_undelivered)
        return Engine(
            self.gate,
            self.duplicates,
            _Routes(),
            {BANK: rules},
            {ACQ: acquirer, OTHER_ACQ: acquirer},
            next_txn,
            self.verify,
        )

    @property
    def _now_s(self) -> int:
        return 1_795_456_800 + self.now_ns // 1_000_000_000

    def _make(
        self,
        name: str,
        mti: str,
        changes: Mapping[str, str],
        without: str = "",
        base: Mapping[str, str] = PURCHASE,
    ) -> Message:
        """The message of this name: new with its own numbers, or as before with `changes`."""
        if name in self._sent:
            mti, fields = self._sent[name]
            return message(mti, {**fields, **changes}, self.now_ns)
        stan = f"{len(self._sent) + 1:06d}"
        fields = {**base, "stan": stan, "rrn": stan.rjust(12, "0"), **changes}
        fields = {k: v for k, v in fields.items() if not without or not k.startswith(without)}
        self._sent[name] = (mti, fields)
        self._messages[name] = made = message(mti, fields, self.now_ns)
        return made

    def _do(self, effects: Iterable[Effect]) -> None:
        self.gate.now_s = self._now_s
        perform(self.engine, self.gate, effects, self.now_ns)
        for effect in self.gate.effects[self._seen :]:
            if isinstance(effect, Settle) and effect.result not in UNSETTLED:
                if effect.owed.duty != Duty.ADVICE:
                    self._settled.add(effect.owed.txn)
            elif isinstance(effect, StandIn):
                self._stood.add(effect.txn.id)

    def _deadline(self, txn: Transaction) -> None:
        before = txn.state
        unsent = txn.id in self.gate.unsent
        self._do(self.engine.deadline(txn))
        event = Event.EXPIRED_UNSENT if unsent else Event.DEADLINE_PASSED
        self._walked(self._names[txn.id], before, self._unless_stood(txn, event))

    def _unless_stood(self, txn: Transaction, event: Event) -> Event:
        """What happened to it, unless we approved in the bank's name."""
        return Event.STOOD_IN if txn.id in self._stood else event

    def _remember(self, name: str, message: Message, acquirer: int) -> None:
        self._acquirers[name] = acquirer
        entry = self.duplicates.look(message, acquirer, 0)
        if entry is None or name in self._txns:
            return
        self._txns[name] = entry.txn
        self._names[entry.txn] = name
        txn = self.engine.find(entry.txn)
        if txn is not None:
            self._objects[entry.txn] = txn

    def duplicates_differ(self, message: Message, acquirer: int) -> bool:
        """True when another body stands under the key of `message`."""
        entry = self.duplicates.look(message, acquirer, 0)
        if entry is None:
            return False
        probe = self.duplicates.claim(message, acquirer, 0, 0)
        return probe >= 16

    def _state(self, name: str) -> State:
        entry = self._entry(name)
        assert entry is not None, name
        return self._state_of(entry.txn, entry.state)

    def _entry(self, name: str) -> FakeEntry | None:
        """What is remembered under the key of this name."""
        message = self._messages[name]
        return self.duplicates.look(message, self._acquirers.get(name, ACQ), 0)

    def _state_of(self, txn: int, key_state: int) -> State:
        if key_state == KeyState.TOMBSTONE:
            return State.TOMBSTONE
        if txn in self._stood and key_state == KeyState.APPROVED:
            return State.STOOD_IN
        delivery = self.engine.delivery(txn, Duty.WITHDRAWAL) or self.engine.delivery(txn)
        if delivery is not None:
            return STATES[delivery.stage]
        if txn in self._settled and key_state != KeyState.APPROVED:
            return State.REVERSED
        live = self.engine.find(txn)
        return live.state if live is not None else KEY_STATES[KeyState(key_state)]

    def _walked(self, name: str, before: State, event: Event) -> None:
        lapses = before in (State.AWAITING, State.SUPPRESSED) and event in _LAPSES
        if self._messages[name].kind == Kind.BALANCE and lapses:
            event = Event.LAPSED
        self._step(before, event, self._state(name))

    def _step(self, before: State, event: Event, after: State) -> None:
        cell = TABLE[before][event]
        if isinstance(cell, To):
            expected = cell.state
        else:
            assert isinstance(cell, Ignored), f"{before.name} x {event.name} is impossible"
            expected = before
        assert after is expected, (
            f"{before.name} x {event.name} led to {after.name}, not {expected.name}"
        )
        self._walks.add((before, event))

    def _line(self, effect: Effect) -> str:
        match effect:
            case Forward(txn):
                return f"forward {self._label(txn.request)}"
            case Answer(txn, reply):
                to = "" if txn.slot >= 0 else " to nobody"
                return f"answer {self._label(txn.request)} {reply.get('response_code')}{to}"
            case Decline(message, _, _, _, code, end):
                return f"decline {self._label(message)} {code} {end}"
            case Refuse(message, _, code, end):
                return f"refuse {self._label(message)} {code} {end}"
            case Repeat(message, slot, acquirer):
                entry = self.duplicates.look(message, acquirer, 0)
                assert entry is not None
                on = "" if slot == 1 else f" on {slot}"
                return f"repeat {self._label(message)} {entry.response_code}{on}"
            case Conclude(txn, code, end, cause, _):
                owes = f", owes a reversal: {_word(cause)}" if cause else ""
                return f"conclude {self._label(txn.request)} {code} {end}{owes}"
            case StandIn(txn, rule, why, _, cause):
                owes = f"a reversal: {_word(cause)}, and an advice" if cause else "an advice"
                return f"stand in {self._label(txn.request)} by {rule.name}, {why}: owes {owes}"
            case AcceptReversal(message, _, _, _, original, effect_of):
                what = effect_of.name.lower().replace("_", " ")
                of = f" {self._names[original]}" if original else ""
                return f"accept {self._label(message)}: {what}{of}"
            case Undo(number, code, end, cause):
                return f"undo {self._names[number]} {code} {end}: {_word(cause)}"
            case AcceptAdvice(message):
                return f"accept {self._label(message)}, owes an advice"
            case Deliver(owed, repeat):
                mti = "022" if owed.duty == Duty.ADVICE else "042"
                what = " withdrawal" if owed.duty == Duty.WITHDRAWAL else ""
                return f"send {mti}{int(repeat)} {self._names[owed.txn]}{what}"
            case Settle(owed, result, _):
                what = {Duty.ADVICE: " advice", Duty.WITHDRAWAL: " withdrawal"}.get(
                    Duty(owed.duty), ""
                )
                return f"settle {self._names[owed.txn]}{what} {result}"
            case Note(what, number):
                return f"note {what} {self._names.get(number, number)}"

    def _label(self, message: Message) -> str:
        for name, known in self._messages.items():
            if known.stan == message.stan:
                return name
        raise AssertionError("a message that the play does not know")


FINAL: Final = frozenset({"00", "25"})
"""Codes that end a reversal in these plays."""


def _word(cause: Cause) -> str:
    return cause.name.lower().replace("_", " ")
