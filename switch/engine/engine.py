"""The engine: one method per event, and the hot pair written out flat.

`request` and `reply` decide the plain case in one straight run of local names and integer
comparisons, act through the gate and return the empty tuple. Everything else leaves them early and
goes along the table of `states.py`, as effect values that `perform.py` executes. Nothing here reads
a clock, draws a number, waits or logs, and no input makes it raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from switch.engine.authorise import (
    ANOTHER_BODY,
    FORWARDING,
    REVERSAL_BLOCKERS,
    STATIC,
    TAPS,
    WAITERS_MAX,
    taken,
)
from switch.engine.deliver import IssuerRules
from switch.engine.duty import Stage
from switch.engine.effects import (
    NOTHING,
    AcceptAdvice,
    AcceptReversal,
    Decline,
    Effect,
    Note,
    Refuse,
    Repeat,
    StandIn,
    Undo,
)
from switch.engine.events import Event
from switch.engine.forward import bank_code, classify, conclude, late, step, waiting
from switch.engine.owing import Owing
from switch.engine.ports import Forwarding, Verdict
from switch.engine.ports import StandIn as Fit
from switch.engine.recover import recover
from switch.engine.stand_in import FORWARDING as KEPT_AWAY
from switch.engine.stand_in import Why, wish
from switch.engine.states import State
from switch.engine.transaction import Transaction
from switch.model import end
from switch.model.kind import ADVICES, FORWARDED, REVERSIBLE, Check, Kind
from switch.model.response import (
    DUPLICATE,
    INVALID_TRANSACTION,
    NO_ROUTE,
    SYSTEM_ERROR,
    TIMED_OUT,
    WITHDRAWN,
    WITHDRAWN_IN_FLIGHT,
    RcClass,
)
from switch.model.state import Cause, KeyState, ReversalEffect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from switch.engine.ports import Duplicates, Entry, Gate, Recovered, Routes, Verify
    from switch.wire import Message

__all__ = ["STATES", "AcquirerRules", "Engine", "IssuerRules"]

# Plain integers and members as globals of this module: an attribute look-up of an enum costs as
# much as a getter.
_AWAITING: Final = State.AWAITING
_APPROVED: Final = State.APPROVED
_DECLINED: Final = State.DECLINED
_APPROVE: Final = int(RcClass.APPROVE)
_DECLINE: Final = int(RcClass.DECLINE)
_TECHNICAL: Final = int(RcClass.TECHNICAL)
_FORWARDED: Final = tuple(kind in FORWARDED for kind in Kind)
_REVERSALS: Final = frozenset({int(Kind.REVERSAL_REQUEST), int(Kind.REVERSAL_ADVICE)})
_GENUINE: Final = int(Verdict.GENUINE)
_MS: Final = 1_000_000
STATES: Final = {
    Stage.OWED: State.OWED,
    Stage.SENT: State.REVERSING,
    Stage.PARKED: State.PARKED,
    Stage.HELD: State.PARKED,
    Stage.DEAD: State.PARKED,
}
"""What the delivery of its reversal makes of a transaction."""

GONE_MAX: Final = 4_096
"""Slots of lost connections remembered before those that nothing refers to are forgotten."""


class AcquirerRules(msgspec.Struct, frozen=True):
    """What the engine must know of an acquirer."""

    reverse_undelivered: bool = False
    """An approval of which provably no byte reached it is reversed instead of kept for its
    repeat."""


class Engine(Owing):
    """Decides; everything it holds can be rebuilt from the journal."""

    __slots__ = (
        "_acquirers",
        "_answer",
        "_claim",
        "_deadline_ns",
        "_duplicates",
        "_find",
        "_forward",
        "_gate",
        "_gone",
        "_live",
        "_refusals",
        "_stand_ins",
        "_times_ns",
        "_verify",
        "next_txn",
    )

    def __init__(
        self,
        gate: Gate,
        duplicates: Duplicates,
        routes: Routes,
        issuers: Mapping[int, IssuerRules],
        acquirers: Mapping[int, AcquirerRules],
        next_txn: int,
        verify: Verify | None = None,
    ) -> None:
        """`issuers` and `acquirers` by institution index; `next_txn` carries node and lane in its
        upper bits.

        Without `verify` every card is a plain one. Raises KeyError for a verifier's reason that
        `authorise.TAPS` does not know.
        """
        self._gate = gate
        self._duplicates = duplicates
        self._forward = gate.forward
        self._answer = gate.answer
        self._claim = duplicates.claim
        self._find = routes.find
        self._verify = verify
        reasons = verify.reasons if verify is not None else ()
        self._refusals = [(*TAPS[reason], reason) for reason in reasons]
        self._acquirers = acquirers
        self._deadline_ns = {index: rules.deadline_ms * _MS for index, rules in issuers.items()}
        self._times_ns = {index: (ns, ns) for index, ns in self._deadline_ns.items()}
        self._stand_ins = {i: rules.stand_in for i, rules in issuers.items() if rules.stand_in}
        self._live: dict[int, Transaction] = {}
        self._gone: set[int] = set()
        super().__init__(issuers)
        self.next_txn = next_txn

    def adopt(
        self,
        routes: Routes,
        issuers: Mapping[int, IssuerRules],
        acquirers: Mapping[int, AcquirerRules],
    ) -> None:
        """Other routes and rules from the next request on. What is in flight keeps its bank and its
        deadline; whoever still has something in flight must stay in the maps."""
        self._find = routes.find
        self._acquirers = acquirers
        self._deadline_ns = {index: rules.deadline_ms * _MS for index, rules in issuers.items()}
        self._times_ns = {index: (ns, ns) for index, ns in self._deadline_ns.items()}
        self._stand_ins = {i: rules.stand_in for i, rules in issuers.items() if rules.stand_in}
        self._deliveries.adopt(issuers)

    def expect(self, issuer: int, takes_ns: int) -> None:
        """So long the bank's answers take at present: a request with less time left is declined
        at once. At most half the deadline counts, so that a bank that has been silent is asked
        again."""
        deadline_ns = self._deadline_ns.get(issuer)
        if deadline_ns is not None:
            self._times_ns[issuer] = deadline_ns, deadline_ns - min(takes_ns, deadline_ns // 2)

    # -- what is going on -------------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Transactions without an outcome."""
        return len(self._live)

    def answering(self, slot: int) -> int:
        """Transactions without an outcome whose answer goes to a connection. Rare: walks all."""
        return sum(
            txn.slot == slot or any(waiter[1] == slot for waiter in txn.waiters or ())
            for txn in self._live.values()
        )

    def find(self, txn: int) -> Transaction | None:
        """A transaction without an outcome, by its id."""
        return self._live.get(txn)

    def state(self, txn: Transaction) -> State:
        """Where a transaction is, its reversal included."""
        if txn.state is not State.OWED:
            return txn.state
        delivery = self._deliveries.get(txn.id)
        return STATES[delivery.stage] if delivery else State.REVERSED

    # -- the hot pair -----------------------------------------------------------------------------

    def request(
        self, message: Message, slot: int, acquirer: int, now_ns: int, now_s: int
    ) -> Sequence[Effect]:
        """A financial message of an acquirer: one of `FORWARDED`, or a reversal.

        `slot`: where it came in; `now_ns` monotonic, `now_s` Unix seconds. Returns effects for
        `perform`, and the empty tuple when it has acted through the gate.
        """
        if message.check or not _FORWARDED[message.kind]:
            return self._unplain(message, slot, acquirer, now_s)
        number = self.next_txn
        found = self._claim(message, acquirer, number, now_s)
        if found:
            return self._known(found, message, slot, acquirer, now_s)
        self.next_txn = number + 1
        if self._verify is not None:
            verdict = self._verify.check(message, now_s)
            if verdict > _GENUINE:
                return self._unverified(verdict, message, slot, number, acquirer)
        issuer = self._find(message)
        if issuer < 0:
            self._gate.decline(message, slot, number, acquirer, NO_ROUTE, end.NO_ROUTE)
            return NOTHING
        deadline_ns, latest_ns = self._times_ns[issuer]
        received_ns = message.received_ns
        deadline_ns += received_ns
        if now_ns >= received_ns + latest_ns:
            ending = end.EXPIRED if now_ns >= deadline_ns else end.NO_BUDGET
            self._gate.decline(message, slot, number, acquirer, TIMED_OUT, ending)
            return NOTHING
        txn = Transaction(number, message, acquirer, slot, issuer, _AWAITING, deadline_ns)
        why = self._forward(txn)
        if why:
            code, ending = FORWARDING[why]
            if issuer in self._stand_ins and why in KEPT_AWAY:
                wanted = self._stand_in(txn, KEPT_AWAY[why], Event.REFUSED, (code, ending))
                if wanted:
                    return wanted
            self._gate.decline(message, slot, number, acquirer, code, ending)
            return NOTHING
        self._live[number] = txn
        return NOTHING

    def reply(self, txn: Transaction, reply: Message, now_ns: int) -> Sequence[Effect]:
        """A bank's answer that the matcher gave to `txn`; late ones too. Result as of `request`."""
        if txn.state is _AWAITING and now_ns < txn.deadline_ns and txn.slot not in self._gone:
            outcome = reply.outcome
            if outcome == _APPROVE:
                amount_minor = reply.amount_minor
                if amount_minor >= 0 and amount_minor != txn.request.amount_minor:
                    return self._unusual_reply(txn, reply, now_ns)
                txn.state = _APPROVED
            elif outcome == _DECLINE or outcome == _TECHNICAL:  # noqa: SIM109 - no tuple
                txn.state = _DECLINED
            else:
                return self._unusual_reply(txn, reply, now_ns)
            if not self._answer(txn, reply):
                txn.state = _AWAITING
                return self._finish(txn, Event.UNUSABLE, bank_code(reply))
            del self._live[txn.id]
            if txn.waiters is None:
                return NOTHING
            self._blank(txn)
            return waiting(txn)
        return self._unusual_reply(txn, reply, now_ns)

    # -- requests that are not plain --------------------------------------------------------------

    def _unplain(self, message: Message, slot: int, acquirer: int, now_s: int) -> Sequence[Effect]:
        """A failed static check, an acquirer's reversal, or a kind that is none of ours."""
        check = Check(message.check)
        if message.kind in _REVERSALS:
            if check not in REVERSAL_BLOCKERS:
                return self._acquirer_reversal(message, slot, acquirer, now_s)
        elif check is Check.OK:
            if message.kind in ADVICES:
                return self._advice(message, slot, acquirer, now_s)
            return [Refuse(message, slot, INVALID_TRANSACTION, end.FIELD_RULE)]
        refusal = STATIC[check]
        if not refusal.recorded:
            return [Refuse(message, slot, refusal.code, refusal.end)]
        number = self.next_txn
        found = self._claim(message, acquirer, number, now_s)
        if found:
            return self._known(found, message, slot, acquirer, now_s)
        self.next_txn = number + 1
        return [Decline(message, slot, number, acquirer, refusal.code, refusal.end)]

    def _advice(self, message: Message, slot: int, acquirer: int, now_s: int) -> Sequence[Effect]:
        """What an acquirer tells is made durable and answered 00 at once, whatever the bank's
        state: it has happened. Neither a deadline nor a cap is held against it."""
        number = self.next_txn
        found = self._claim(message, acquirer, number, now_s)
        if found:
            return self._known(found, message, slot, acquirer, now_s)
        self.next_txn = number + 1
        if self._verify is not None:
            verdict = self._verify.check(message, now_s)
            if verdict > _GENUINE:
                return self._unverified(verdict, message, slot, number, acquirer)
        issuer = self._find(message)
        if issuer < 0:
            return [Decline(message, slot, number, acquirer, NO_ROUTE, end.NO_ROUTE)]
        return [AcceptAdvice(message, slot, number, acquirer, issuer)]

    def _known(
        self, found: int, message: Message, slot: int, acquirer: int, now_s: int
    ) -> Sequence[Effect]:
        """The key stands in the table already."""
        if found in (KeyState.TOMBSTONE, KeyState.TOMBSTONE + ANOTHER_BODY, KeyState.REVERSED):
            return [Refuse(message, slot, WITHDRAWN, end.KEY_TAKEN)]
        if found >= ANOTHER_BODY:
            return [taken(found, message, slot, acquirer)]
        if found != KeyState.IN_FLIGHT:
            self._gate.repeat(message, slot, acquirer)
            return NOTHING
        entry = self._duplicates.look(message, acquirer, now_s)
        txn = self._live.get(entry.txn) if entry is not None else None
        if txn is None or not step(txn, Event.REPEATED):
            return [
                Note("impossible", entry.txn if entry else 0),
                Refuse(message, slot, SYSTEM_ERROR, end.KEY_TAKEN),
            ]
        waiters = txn.waiters
        if waiters is None:
            txn.waiters = [(message, slot)]
        elif len(waiters) < WAITERS_MAX:
            waiters.append((message, slot))
        else:
            return [Note("waiters_full", txn.id)]
        return NOTHING

    def _unverified(
        self, verdict: int, message: Message, slot: int, number: int, acquirer: int
    ) -> Sequence[Effect]:
        """The verdict is no, or comes later."""
        if verdict >= Verdict.REFUSED:
            code, ending, reason = self._refusals[verdict - Verdict.REFUSED]
            return [Decline(message, slot, number, acquirer, code, ending, reason)]
        deadline_ns = message.received_ns + max(self._deadline_ns.values())
        self._live[number] = Transaction(
            number, message, acquirer, slot, -1, State.VERIFYING, deadline_ns
        )
        return NOTHING

    def verified(self, txn: Transaction, verdict: int, now_ns: int) -> Sequence[Effect]:
        """The verdict that `Verify.check` left PENDING; it is not PENDING again."""
        if txn.state is not State.VERIFYING:
            return [Note("ignored", txn.id)]
        reason = ""
        if verdict >= Verdict.REFUSED:
            code, ending, reason = self._refusals[verdict - Verdict.REFUSED]
        else:
            txn.issuer = self._find(txn.request)
            code, ending = NO_ROUTE, end.NO_ROUTE
            if txn.issuer >= 0 and txn.request.kind in ADVICES:
                step(txn, Event.ADVISED)
                self._blank(txn)
                self._live.pop(txn.id, None)
                accept = AcceptAdvice(txn.request, txn.slot, txn.id, txn.acquirer, txn.issuer)
                return [accept, *waiting(txn)]
            if txn.issuer >= 0:
                txn.deadline_ns = txn.request.received_ns + self._deadline_ns[txn.issuer]
                if now_ns >= txn.deadline_ns:
                    return self.deadline(txn)
                why = self._forward(txn)
                if why is Forwarding.HELD:
                    step(txn, Event.FORWARDED)
                    return NOTHING
                code, ending = FORWARDING[why]
                if why in KEPT_AWAY:
                    wanted = self._stand_in(txn, KEPT_AWAY[why], Event.REFUSED, (code, ending))
                    if wanted:
                        return wanted
        return self._decline_verifying(txn, Event.REFUSED, code, ending, reason)

    def _decline_verifying(
        self, txn: Transaction, event: Event, code: str, ending: str, reason: str = ""
    ) -> list[Effect]:
        """A request that no bank has seen is declined, and so are the repeats that waited for
        it."""
        step(txn, event)
        self._blank(txn)
        self._live.pop(txn.id, None)
        effects: list[Effect] = [
            Decline(txn.request, txn.slot, txn.id, txn.acquirer, code, ending, reason)
        ]
        return effects + waiting(txn)

    # -- stand-in ---------------------------------------------------------------------------------

    def _stand_in(
        self, txn: Transaction, why: Why, event: Event, refusal: tuple[str, str] = ("", "")
    ) -> list[Effect]:
        """What approves in the bank's name where a rule covers the request, and somebody is there
        to be told; empty: none does."""
        rules = self._stand_ins.get(txn.issuer)
        if rules is None:
            return []
        self._blank(txn)
        proved = self._verify is not None and self._verify.proved(txn.request)
        return wish(rules, txn, why, event, refusal, proved=proved)

    def stood_in(self, wanted: StandIn, fit: Fit) -> Sequence[Effect]:
        """What the gate made of it: the request is answered, or ends as it would have without."""
        txn = wanted.txn
        if fit is Fit.STOOD:
            step(txn, Event.STOOD_IN)
            self._live.pop(txn.id, None)
            return waiting(txn)
        if wanted.event is not Event.REFUSED:
            return self._finish(txn, wanted.event)
        code, ending = wanted.refusal
        reason = f"stand_in_{fit.name.lower()}"
        if txn.state is State.VERIFYING:
            return self._decline_verifying(txn, Event.REFUSED, code, ending, reason)
        return [Decline(txn.request, txn.slot, txn.id, txn.acquirer, code, ending, reason)]

    # -- an acquirer's reversal -------------------------------------------------------------------

    def _acquirer_reversal(
        self, message: Message, slot: int, acquirer: int, now_s: int
    ) -> Sequence[Effect]:
        """Made durable and answered 00 at once, whatever the bank's state; 94 when it names another
        body."""
        number = self.next_txn
        found = self._claim(message, acquirer, number, now_s)
        if found >= ANOTHER_BODY:
            return [taken(found, message, slot, acquirer)]
        if found:
            return [Repeat(message, slot, acquirer)]
        self.next_txn = number + 1
        entry = self._duplicates.original(message, acquirer, now_s)
        if entry is None:
            return [AcceptReversal(message, slot, number, acquirer, 0, ReversalEffect.TOMBSTONE)]
        tombstone = entry.state == KeyState.TOMBSTONE
        if not tombstone and entry.kind not in REVERSIBLE:
            return [Decline(message, slot, number, acquirer, INVALID_TRANSACTION, end.FIELD_RULE)]
        agrees = entry.card_agrees and entry.amount_minor == message.amount_minor
        if not tombstone and not agrees:
            return [Decline(message, slot, number, acquirer, DUPLICATE, end.FIELD_RULE)]
        effect, follow_up = self._take_back(entry)
        if effect is None:
            return [
                Note("impossible", entry.txn),
                Decline(message, slot, number, acquirer, SYSTEM_ERROR, end.FIELD_RULE),
            ]
        return [AcceptReversal(message, slot, number, acquirer, entry.txn, effect), *follow_up]

    def _take_back(self, entry: Entry) -> tuple[ReversalEffect | None, list[Effect]]:
        """What an agreeing reversal does to its original: the effect to record, and what follows
        it."""
        txn = self._live.get(entry.txn)
        if txn is None:
            if entry.state == KeyState.APPROVED:
                return ReversalEffect.REVERSE, []
            if entry.state == KeyState.IN_FLIGHT:
                return None, []
            return ReversalEffect.NOTHING, []
        if txn.state is State.VERIFYING:
            follow_up = self._decline_verifying(
                txn, Event.ACQUIRER_REVERSED_UNSENT, WITHDRAWN_IN_FLIGHT, end.ACQUIRER_GONE
            )
            return ReversalEffect.CANCEL_UNSENT, follow_up
        if txn.state is State.SUPPRESSED:
            return ReversalEffect.NOTHING, []
        if self._gate.cancel(txn):
            return ReversalEffect.CANCEL_UNSENT, self._finish(txn, Event.ACQUIRER_REVERSED_UNSENT)
        step(txn, Event.ACQUIRER_REVERSED)
        return ReversalEffect.SUPPRESS, []

    # -- the answer path --------------------------------------------------------------------------

    def _unusual_reply(self, txn: Transaction, reply: Message, now_ns: int) -> Sequence[Effect]:
        """Late, unusable, taken back in the meantime, or nobody there to be answered."""
        event = classify(txn, reply)
        self._blank(txn)
        state = txn.state
        if state is not _AWAITING and state is not State.SUPPRESSED:
            delivery = self._deliveries.get(txn.id)
            if delivery is not None:
                delivery.late = event
            if state is State.STOOD_IN and event is Event.DECLINED:
                # We have approved what the bank would not have.
                return [Note("stand_in_declined_late", txn.id)]
            return late(self.state(txn), event, txn.id)
        if now_ns >= txn.deadline_ns:
            return [*self.deadline(txn, replied=True), *late(txn.state, event, txn.id)]
        if event is Event.DECLINED or (event is Event.APPROVED and state is _AWAITING):
            rules = self._acquirers.get(txn.acquirer)
            if event is Event.APPROVED and rules is not None and rules.reverse_undelivered:
                gone = txn.slot < 0 and not txn.waiters
                if gone:
                    return self._finish(txn, Event.UNDELIVERABLE, bank_code(reply))
            if not self._answer(txn, reply):
                return self._finish(txn, Event.UNUSABLE, bank_code(reply))
            step(txn, event)
            self._live.pop(txn.id, None)
            return waiting(txn)
        return self._finish(txn, event, bank_code(reply))

    def _finish(self, txn: Transaction, event: Event, code_of_bank: str = "") -> list[Effect]:
        """An outcome of ours for a forwarded request."""
        self._blank(txn)
        effects = conclude(txn, event, code_of_bank)
        if txn.state is not _AWAITING and txn.state is not State.SUPPRESSED:
            self._live.pop(txn.id, None)
        return effects

    def deadline(self, txn: Transaction, *, replied: bool = False) -> Sequence[Effect]:
        """`deadline_ns` has passed without an answer. Call it for expired ones before any queued
        reply. `replied`: one has been read since, so that there is no question left to be answered
        in the bank's name."""
        if txn.state is State.VERIFYING:
            return self._decline_verifying(txn, Event.DEADLINE_PASSED, TIMED_OUT, end.EXPIRED)
        if txn.state is _AWAITING and self._gate.cancel(txn):
            # The disk stands still: a leg that went out after its own reversal would be a hold
            # that nobody takes back.
            return self._finish(txn, Event.EXPIRED_UNSENT)
        if replied:
            return self._finish(txn, Event.DEADLINE_PASSED)
        return self._give_up(txn, Why.TIMEOUT, Event.DEADLINE_PASSED)

    def _give_up(self, txn: Transaction, why: Why, event: Event) -> Sequence[Effect]:
        """Its bank gives no answer: ours in its name by rule, or the decline that `event` makes."""
        if self._stand_ins and txn.state is _AWAITING:
            wanted = self._stand_in(txn, why, event)
            if wanted:
                return wanted
        return self._finish(txn, event)

    def overdue(self, now_ns: int) -> list[Transaction]:
        """Requests whose verdict did not come in time; the matchers know all others. Rare: walks
        all."""
        if self._verify is None:
            return []
        return [
            txn
            for txn in self._live.values()
            if txn.state is State.VERIFYING and txn.deadline_ns <= now_ns
        ]

    def unsent(self, txn: Transaction) -> Sequence[Effect]:
        """Its bank leg was never handed to a socket and never will be: declined, nothing to
        reverse."""
        return self._give_up(txn, Why.UNREACHABLE, Event.LEG_UNSENT)

    def bank_lost(self, txns: Iterable[Transaction]) -> Sequence[Effect]:
        """The bank's last connection has gone; `txns` were handed to it and are unanswered."""
        return [
            effect
            for txn in txns
            for effect in self._give_up(txn, Why.UNREACHABLE, Event.BANK_LOST)
        ]

    def acquirer_lost(self, slot: int) -> Sequence[Effect]:
        """A connection of an acquirer has gone; its slot is never given out again. Its requests go
        on; nobody is answered there. A thousand at once cost a thousand set entries."""
        gone = self._gone
        gone.add(slot)
        if len(gone) > GONE_MAX:
            held = {txn.slot for txn in self._live.values()}
            held.update(slot for txn in self._live.values() for _, slot in txn.waiters or ())
            gone &= held
        return NOTHING

    def _blank(self, txn: Transaction) -> None:
        """Takes out of `txn` who is no longer there to be answered."""
        gone = self._gone
        if txn.slot in gone:
            txn.slot = -1
        if txn.waiters:
            txn.waiters = [waiter for waiter in txn.waiters if waiter[1] not in gone] or None

    def undelivered(self, txn: int, acquirer: int) -> Sequence[Effect]:
        """Provably no byte of the answer to `txn` reached the acquirer: rule 4, by the link's
        setting."""
        rules = self._acquirers.get(acquirer)
        if rules is None or not rules.reverse_undelivered:
            return [Note("undelivered_kept", txn)]
        return [Undo(txn, TIMED_OUT, end.ACQUIRER_GONE, Cause.UNDELIVERABLE)]

    # -- after a restart --------------------------------------------------------------------------

    def recover(self, recovered: Recovered, now_ns: int, now_ms: int) -> Sequence[Effect]:
        """Takes up what the journal left open; before any link opens. `now_ms`: Unix."""
        return recover(recovered, self._deliveries, now_ns, now_ms)
