"""Defects that are made on purpose, to prove that the oracles see them. Never in a product's run.

Each is a bug that somebody could write, and did somewhere: one function of the product is replaced
for the time of a run. Native ones are switched on by name in `switch.native.simulation`.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

from switch.apps import worker
from switch.engine import deliver
from switch.engine import engine as engines
from switch.engine import forward as forwards
from switch.engine.effects import Effect, StandIn
from switch.engine.events import Event
from switch.engine.forward import classify
from switch.engine.ports import Delivering
from switch.engine.stand_in import Why
from switch.engine.states import IMPOSSIBLE, TABLE, State
from switch.engine.transaction import Transaction
from switch.errors import OperatorError
from switch.link.matcher import Matcher
from switch.link.window import Window
from switch.model.state import Cause, Duty, KeyState, ReversalEffect
from switch.native import simulation
from switch.runtime import gate as gates
from switch.runtime.clock import BusinessDay, wall_ms
from switch.simulation.instead import Mutant, instead
from switch.simulation.token_mutants import TOKEN_MUTANTS
from switch.simulation.wire_mutants import WIRE_MUTANTS

__all__ = ["MUTANTS", "all_mutants", "applied", "check_mutant"]

ASK: Final = "TAPSWITCH_MUTANTS"
"""Environment variable without which no defect is made."""

MUTANTS: Final[dict[str, Mutant]] = {**TOKEN_MUTANTS, **WIRE_MUTANTS}
"""By name, those made of Python."""


def all_mutants() -> list[str]:
    """Python's, then the native ones."""
    return [*MUTANTS, *_native()]


def _native() -> list[str]:
    native: Any = simulation
    return [name for name, _ in native.mutants()]


def check_mutant(name: str) -> None:
    """Refuses a defect that nobody asked for, or that there is not. Raises: OperatorError."""
    if name and os.environ.get(ASK) != "1":
        raise OperatorError("defects are for tests", help=f"{ASK}=1 asks for them")
    if name and name not in all_mutants():
        raise OperatorError(f"there is no mutant {name!r}", help=", ".join(all_mutants()))


@contextlib.contextmanager
def applied(name: str) -> Iterator[None]:
    """The product with one defect; with none when there is no name."""
    if not name:
        yield
    elif name in MUTANTS:
        with MUTANTS[name]():
            yield
    else:
        native: Any = simulation
        native.mutate(name)
        try:
            yield
        finally:
            native.heal()


def _mutant(owner: Any, name: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Enters a defect under its function's name: that function gets the right one and returns the
    wrong one."""

    def enter(made: Callable[[Any], Any]) -> Callable[[Any], Any]:
        right = owner.__dict__[name]
        label = made.__name__.replace("_", "-")
        MUTANTS[label] = lambda: instead(owner, name, made(right))
        return made

    return enter


# -- after a restart ------------------------------------------------------------------------------


@_mutant(engines, "recover")
def no_reversal_after_restart(right: Any) -> Any:
    """What was owed before a restart is forgotten by it."""

    class Owing:
        def add(self, *_args: Any, **_more: Any) -> None:
            """Nobody takes note."""

    return lambda recovered, _deliveries, *times: right(recovered, Owing(), *times)


@_mutant(engines, "recover")
def in_doubt_forgotten(right: Any) -> Any:
    """A restart forgets what was under way."""

    def recover(recovered: Any, deliveries: Any, *times: int) -> list[Effect]:
        right(recovered, deliveries, *times)
        return []

    return recover


@_mutant(engines, "recover")
def in_doubt_not_reversed(right: Any) -> Any:
    """A restart declines what was under way and tells no bank."""

    def recover(recovered: Any, deliveries: Any, *times: int) -> list[Effect]:
        return [
            type(effect)(effect.txn, effect.code, effect.end, Cause.NONE)
            for effect in right(recovered, deliveries, *times)
        ]

    return recover


@_mutant(worker, "window_of")
def numbers_not_restored(_right: Any) -> Any:
    """A restart begins with STAN 1 again."""
    return lambda _mark: Window()


# -- reversals of ours ----------------------------------------------------------------------------


@_mutant(deliver.Deliveries, "due")
def delivery_not_repeated(right: Any) -> Any:
    """Sent once, and whatever comes of it."""

    def due(self: Any, now_ns: int, jitter: float) -> Any:
        effects = right(self, now_ns, jitter)
        for queue in self._queues.values():
            queue.timers.clear()
        return effects

    return due


@_mutant(deliver.Deliveries, "sent")
def delivery_dropped_after_one_send(right: Any) -> Any:
    """Once it has left it counts as done."""

    def sent(self: Any, owed: Any) -> None:
        right(self, owed)
        key = (owed.txn, int(owed.duty))
        if key in self._live:
            queue = self._queues[owed.issuer]
            self._leave(queue, key, self._live[key])
            self._over(queue, key)

    return sent


@_mutant(deliver.Deliveries, "add")
def owed_lapses_over_night(right: Any) -> Any:
    """What has been owed for most of a day is not taken up by a start."""

    def add(self: Any, owed: Any, now_ns: int, **more: Any) -> None:
        if more.get("age_ms", 0) < 20 * 3_600_000:
            right(self, owed, now_ns, **more)

    return add


@_mutant(gates.Gate, "deliver")
def repeat_not_marked(right: Any) -> Any:
    """Every reversal is an 0420, the tenth too."""
    return lambda self, owed, _repeat: right(self, owed, False)


@_mutant(gates.Gate, "deliver")
def wrong_bank_told(_right: Any) -> Any:
    """Reversals and advices go to whichever bank is up."""

    def wrong(self: Any, owed: Any, repeat: bool) -> Any:
        for bank in reversed(self._banks.values()):
            slot = bank.next_slot()
            if slot >= 0 and self._native.deliver(owed, slot, repeat):
                bank.matcher.delivery_sent(owed)
                self.urgent = True
                return Delivering.SENT
        return Delivering.DOWN

    return wrong


def _without_cause(event: Event) -> Mutant:
    code, ending, _ = forwards.CONCLUSIONS[event]

    @contextlib.contextmanager
    def made() -> Iterator[None]:
        before = forwards.CONCLUSIONS[event]
        forwards.CONCLUSIONS[event] = code, ending, Cause.NONE
        try:
            yield
        finally:
            forwards.CONCLUSIONS[event] = before

    return made


MUTANTS["time-out-without-reversal"] = _without_cause(Event.DEADLINE_PASSED)
MUTANTS["unusable-without-reversal"] = _without_cause(Event.UNUSABLE)
MUTANTS["bank-lost-without-reversal"] = _without_cause(Event.BANK_LOST)
MUTANTS["withdrawn-without-reversal"] = _without_cause(Event.APPROVED)


# -- reversals of acquirers -----------------------------------------------------------------------


def _effect(of: ReversalEffect, instead: ReversalEffect) -> Callable[[Any], Any]:
    def made(right: Any) -> Any:
        def accept(
            self: Any, message: Any, slot: int, txn: int, acquirer: int, original: int, what: Any
        ) -> Any:
            chosen = instead if what is of else what
            return right(self, message, slot, txn, acquirer, original, chosen)

        return accept

    return made


def _enter(label: str, owner: Any, name: str, made: Callable[[Any], Any]) -> None:
    right = owner.__dict__[name]
    MUTANTS[label] = lambda: instead(owner, name, made(right))


_enter(
    "tombstone-missing",
    gates.Gate,
    "accept_reversal",
    _effect(ReversalEffect.TOMBSTONE, ReversalEffect.NOTHING),
)
_enter(
    "acquirer-reversal-without-effect",
    gates.Gate,
    "accept_reversal",
    _effect(ReversalEffect.REVERSE, ReversalEffect.NOTHING),
)


class _Agreeing:
    """An entry that agrees with whatever names it."""

    card_agrees = True

    def __init__(self, entry: Any, amount: int) -> None:
        self._entry = entry
        self.amount_minor = amount

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)


@_mutant(engines.Engine, "_acquirer_reversal")
def reversal_of_another_amount(right: Any) -> Any:
    """A reversal is taken whatever amount it names."""

    def acquirer_reversal(self: Any, message: Any, slot: int, acquirer: int, now_s: int) -> Any:
        duplicates = self._duplicates

        class Table:
            def original(self, *args: Any) -> Any:
                entry = duplicates.original(*args)
                return None if entry is None else _Agreeing(entry, message.amount_minor)

        self._duplicates = Table()
        try:
            return right(self, message, slot, acquirer, now_s)
        finally:
            self._duplicates = duplicates

    return acquirer_reversal


@_mutant(engines.Engine, "reply")
def approval_after_withdrawal(right: Any) -> Any:
    """The bank's approval goes out although its acquirer has taken the request back."""

    def reply(self: Any, txn: Transaction, message: Any, now_ns: int) -> Any:
        if txn.state is State.SUPPRESSED:
            txn.state = State.AWAITING
        return right(self, txn, message, now_ns)

    return reply


# -- answers --------------------------------------------------------------------------------------


@_mutant(engines.Engine, "_unusual_reply")
def late_approval_delivered(right: Any) -> Any:
    """An approval that comes behind the time-out is passed on all the same."""

    def unusual(self: Any, txn: Transaction, message: Any, now_ns: int) -> Any:
        late = txn.state is not State.AWAITING and txn.state is not State.SUPPRESSED
        if late and message.get("response_code") == "00" and txn.slot not in self._gone:
            native = self._gate._native
            native.answer(txn.request, message, txn.slot, txn.id, wall_ms())
        return right(self, txn, message, now_ns)

    return unusual


@_mutant(engines.Engine, "_known")
def stored_answer_of_another_body(right: Any) -> Any:
    """Whoever asks under a known key gets its answer, whatever he asks."""

    def known(self: Any, found: int, message: Any, slot: int, acquirer: int, now_s: int) -> Any:
        return right(self, found % 16, message, slot, acquirer, now_s)

    return known


@_mutant(engines, "waiting")
def waiters_forgotten(_right: Any) -> Any:
    """Who repeats while the first is in flight is never answered."""
    return lambda _txn: []


@_mutant(engines.Engine, "_known")
def duplicate_forwarded(right: Any) -> Any:
    """A repeat while the first is in flight goes to the bank like a new one."""

    def known(self: Any, found: int, message: Any, slot: int, acquirer: int, now_s: int) -> Any:
        entry = self._duplicates.look(message, acquirer, now_s)
        first = self._live.get(entry.txn) if entry is not None else None
        if found != KeyState.IN_FLIGHT or first is None or first.state is not State.AWAITING:
            return right(self, found, message, slot, acquirer, now_s)
        number = self.next_txn
        self.next_txn = number + 1
        again = Transaction(
            number, message, acquirer, slot, first.issuer, State.AWAITING, first.deadline_ns
        )
        if not self._forward(again):
            self._live[number] = again
        return ()

    return known


@_mutant(gates.Gate, "answer")
def wrong_link_answered(right: Any) -> Any:
    """The answer goes to the connection that was made last."""

    def answer(self: Any, txn: Transaction, reply: Any) -> bool:
        slots = [slot for one in self._acquirers.values() for slot in one.connections]
        before = txn.slot
        if slots and before >= 0:
            txn.slot = max(slots)
        try:
            return bool(right(self, txn, reply))
        finally:
            txn.slot = before

    return answer


@_mutant(engines.Engine, "unsent")
def unsent_forgotten(_right: Any) -> Any:
    """What was never sent when its bank's link broke gets no outcome."""
    return lambda _self, _txn: []


@_mutant(engines.Engine, "_take_back")
def withdrawn_in_flight_forgotten(right: Any) -> Any:
    """A reversal is acknowledged while its request is in flight, and nothing follows."""

    def take_back(self: Any, entry: Any) -> Any:
        if self._live.get(entry.txn) is not None:
            return ReversalEffect.NOTHING, []
        return right(self, entry)

    return take_back


# -- numbers, dates, caps -------------------------------------------------------------------------


@_mutant(Window, "next")
def stan_reused(right: Any) -> Any:
    """Numbers wrap at 20 and the time does not move on."""

    def following(self: Window, now_s: int) -> int:
        if self.stan >= 20 and now_s <= self.time_s:
            self.stan = 0
        return int(right(self, now_s))

    return following


@_mutant(BusinessDay, "at")
def business_date_ignores_the_cut_over(right: Any) -> Any:
    """The business date is the calendar day: the last hour of it belongs to the next one."""
    return lambda self, at_ms: right(self, at_ms - 3_600_000)


@_mutant(Matcher, "take")
def in_flight_without_cap(right: Any) -> Any:
    """A bank gets as much as comes."""

    def take(self: Any, txn: Any, now_s: int) -> bool:
        before, self.in_flight_max = self.in_flight_max, 1 << 20
        try:
            return bool(right(self, txn, now_s))
        finally:
            self.in_flight_max = before

    return take


@_mutant(Matcher, "match")
def answer_without_echo(right: Any) -> Any:
    """An answer belongs to whatever has its STAN; nothing else is compared."""

    class Agreeing:
        def __init__(self, reply: Any) -> None:
            self._reply = reply
            self.stan = reply.stan

        def agrees(self, *_args: Any) -> bool:
            return True

    return lambda self, reply: right(self, Agreeing(reply))


@_mutant(engines, "classify")
def partial_as_whole(right: Any) -> Any:
    """An approval of half the amount is passed on as one of all of it."""

    def classify(txn: Transaction, reply: Any) -> Event:
        if reply.get("response_code") == "10":
            return Event.APPROVED
        found: Event = right(txn, reply)
        return found

    return classify


@contextlib.contextmanager
def _lapsed_impossible() -> Iterator[None]:
    """A bank's answer to a question that lapsed counts as impossible."""
    row: Any = TABLE[State.DECLINED]
    before = dict(row)
    row.update(dict.fromkeys((Event.APPROVED, Event.DECLINED, Event.UNUSABLE), IMPOSSIBLE))
    try:
        yield
    finally:
        row.update(before)


MUTANTS["late-answer-to-a-balance-impossible"] = _lapsed_impossible


@_mutant(engines.Engine, "bank_lost")
def bank_lost_forgotten(_right: Any) -> Any:
    """What was at a bank whose last link broke gets no outcome."""
    return lambda _self, _txns: []


# -- stand-in -------------------------------------------------------------------------------------


@_mutant(gates.Gate, "stand_in")
def stand_in_without_advice(right: Any) -> Any:
    """Approved in a bank's name, and the bank is not told."""

    def stand_in(self: Any, *args: Any, **more: Any) -> Any:
        fit, owed = right(self, *args, **more)
        return fit, [one for one in owed if one.duty != Duty.ADVICE]

    return stand_in


@_mutant(engines, "wish")
def stand_in_without_reversal(right: Any) -> Any:
    """Behind a time-out only the advice goes: the bank may hold the money twice."""

    def wish(*args: Any, **more: Any) -> list[Any]:
        return [
            StandIn(one.txn, one.rule, one.why, one.event, Cause.NONE, one.refusal)
            for one in right(*args, **more)
        ]

    return wish


@_mutant(engines.Engine, "reply")
def stand_in_after_a_decline(right: Any) -> Any:
    """A bank that declines is taken for one that does not answer."""

    def reply(self: Any, txn: Transaction, message: Any, now_ns: int) -> Any:
        if txn.state is State.AWAITING and classify(txn, message) is Event.DECLINED:
            return self._give_up(txn, Why.TIMEOUT, Event.DEADLINE_PASSED)
        return right(self, txn, message, now_ns)

    return reply


@_mutant(deliver.Deliveries, "of")
def advice_before_its_reversal(_right: Any) -> Any:
    """What is owed for one transaction goes out all at once."""
    return lambda _self, _txn: []
