"""Store and forward: what banks are owed, on its way to each of them.

What is owed, a reversal or an advice, stands in the journal before it is here. It is sent in its
first form (0420, 0120, 0220), and as a repeat (0421, 0121, 0221) from the second time on (always
after a restart, when nobody knows whether the first left), with the same STAN and transmission
time, until the bank answers with a code that its dialect calls final.

Each bank has a queue of its own: so many in flight at most, so many a second at most, so that a
bank that returns is not stormed; a bank that does not answer, or is not there, costs the others
nothing, and costs nothing while it is away however much it is owed. What belongs to one transaction
leaves in the order in which it was owed, the next once the one before is over.

After as many attempts as the setting allows a delivery is parked; older than the horizon, refused
by its bank, or impossible to say in its dialect, it becomes a dead letter: an operator's matter,
and still owed in the journal. So nothing is lost without a word, and nothing holds up the rest.

Source: pauses with full jitter and a cap on the rate, after design/reliability.md 4.3.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from heapq import heappop, heappush
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Final

import msgspec

from switch.engine.delivery import Delivery, Key, Queue, refill
from switch.engine.duty import LIFE, RESTING, SENDABLE, Happening, Moved, Stage
from switch.engine.effects import (
    DEAD,
    HELD,
    PARKED,
    RELEASED,
    RETRIED,
    WRITTEN_OFF,
    Deliver,
    Effect,
    Note,
    Settle,
)
from switch.engine.states import Ignored
from switch.model import end
from switch.model.backoff import full_jitter_ms
from switch.model.response import RcClass
from switch.model.state import Duty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from switch.engine.ports import Owed
    from switch.engine.stand_in import StandInRule
    from switch.wire import Message

__all__ = ["SENDS_PER_CALL_MAX", "Deliveries", "Delivery", "IssuerRules", "Key"]

SENDS_PER_CALL_MAX: Final = 256
"""Sent by one call of `due` to all banks together, so that a storm never holds up the loop: at a
call every 50 ms, 5,000 a second. What is left over stays due and comes first the next time."""
LOOKS_PER_CALL_MAX: Final = 4 * SENDS_PER_CALL_MAX
"""Timers and ages looked at by one call, likewise."""

RESULTS: Final = {
    Happening.RETRIED: RETRIED,
    Happening.HELD: HELD,
    Happening.RELEASED: RELEASED,
    Happening.WRITTEN_OFF: WRITTEN_OFF,
}
"""What is recorded of an operator's word."""
_OUT: Final = (Happening.WRITTEN_OFF, Happening.HELD)

_MS: Final = 1_000_000
_HOUR: Final = 3_600_000 * _MS
_GOLDEN: Final = 0.618_033_988_75
"""Spreads one random number over many deliveries: multiples of it lie far apart modulo 1."""


class IssuerRules(msgspec.Struct, frozen=True):
    """What the engine must know of a bank."""

    deadline_ms: int
    """From the first byte of the request; the answer must be read before it. So long the answer to
    a delivery is awaited too, before the pause until the next attempt."""
    reversal_retry_ms: int
    """The longest first pause before what is owed is sent again; doubles from there."""
    reversal_retry_max_ms: int
    reversal_attempts_max: int
    """Then it is parked; 0: never."""
    final: Callable[[str], bool]
    """True for a response code that ends a reversal, by the bank's dialect."""
    advice_final: Callable[[str], bool] = "00".__eq__
    """The same of an advice."""
    saf_in_flight_max: int = 64
    """Deliveries whose answer is awaited at once."""
    saf_per_s: int = 500
    """Attempts in a second, a tenth of them at one moment."""
    saf_horizon_h: int = 0
    """Then what is owed becomes a dead letter; 0: never."""
    stand_in: tuple[StandInRule, ...] = ()
    """When we approve in its name, in order; none: never."""


class Deliveries:
    """All on which banks owe us a final word."""

    __slots__ = (
        "_chains",
        "_issuers",
        "_live",
        "_numbers",
        "_queues",
        "_turn",
        "dead",
        "held",
        "parked",
    )

    def __init__(self, issuers: Mapping[int, IssuerRules]) -> None:
        self._issuers = issuers
        self._live: dict[Key, Delivery] = {}
        self._queues: dict[int, Queue] = {}
        self._chains: dict[int, list[Key]] = {}
        """Transactions with more than one: in their order."""
        self._numbers = count()
        self._turn = 0
        self.parked = 0
        self.held = 0
        self.dead = 0

    def adopt(self, issuers: Mapping[int, IssuerRules]) -> None:
        """Other rules from the next attempt on. A bank that is no member any more: what it is owed
        is parked when it comes due, and stays owed."""
        self._issuers = issuers

    def __len__(self) -> int:
        return len(self._live)

    def get(self, txn: int, duty: int = Duty.REVERSAL) -> Delivery | None:
        """One delivery, None when that is not owed."""
        return self._live.get((txn, duty))

    def of(self, txn: int) -> list[Delivery]:
        """What is owed for a transaction, in order."""
        return [found for duty in Duty if (found := self._live.get((txn, duty))) is not None]

    def keys(self, issuer: int, place: str) -> list[Key]:
        """A bank's `dead` letters, its `held` ones, or what is `moving` or parked, by
        `Delivery.number`. A copy: what is over when it is read has no delivery any more."""
        if (queue := self._queues.get(issuer)) is None:
            return []
        stand: Mapping[str, Iterable[Key]] = {"dead": queue.dead, "held": queue.held}
        return list(stand.get(place, queue.moving))

    def resting(self, issuer: int, at_most: int) -> list[Delivery]:
        """Of a bank's dead letters and parked ones so many, dead letters first."""
        queue = self._queues.get(issuer)
        keys = () if queue is None else chain(queue.dead, queue.parked)
        return [self._live[key] for key in islice(keys, at_most)]

    def counts(self, issuer: int) -> Mapping[Stage, int]:
        """How many of a bank's are in which stage; OWED stands for all that move."""
        if (queue := self._queues.get(issuer)) is None:
            return {Stage.OWED: 0, Stage.PARKED: 0, Stage.HELD: 0, Stage.DEAD: 0}
        return {
            Stage.OWED: len(queue.moving) - len(queue.parked),
            Stage.PARKED: len(queue.parked),
            Stage.HELD: len(queue.held),
            Stage.DEAD: len(queue.dead),
        }

    # -- what comes in ----------------------------------------------------------------------------

    def add(
        self,
        owed: Owed,
        now_ns: int,
        *,
        repeat: bool = False,
        age_ms: int = 0,
        stage: Stage | None = None,
        why: str = "",
    ) -> None:
        """It is owed from now on, and due at once. The same one again changes nothing.

        After a restart: `repeat`, how old it is, the stage in which it rested, and why.
        """
        if (key := (owed.txn, int(owed.duty))) in self._live:
            return
        if stage is None:
            stage = Stage.SENT if repeat else Stage.OWED
        since_ns = now_ns - max(age_ms, 0) * _MS
        delivery = Delivery(owed, stage, since_ns, repeat, next(self._numbers), why=why)
        before = [(found.owed.txn, int(found.owed.duty)) for found in self.of(owed.txn)]
        self._live[key] = delivery
        if before:
            self._chains.setdefault(owed.txn, before).append(key)
        queue = self._queue(owed.issuer)
        if stage in RESTING:
            self._rest(queue, key, delivery)
        else:
            queue.moving[key] = delivery
            self._line_up(queue, key, delivery)

    def _queue(self, issuer: int) -> Queue:
        if (queue := self._queues.get(issuer)) is None:
            queue = Queue(OrderedDict(), deque(), [], [], {}, {}, {})
            self._queues[issuer] = queue
        return queue

    # -- what goes out ----------------------------------------------------------------------------

    def due(self, now_ns: int, jitter: float) -> list[Effect]:
        """Sends what is due, oldest first, each bank within its window and its rate; banks take
        turns to be first. `jitter` in [0, 1)."""
        effects: list[Effect] = []
        queues = list(self._queues)
        if not queues:
            return effects
        self._turn = turn = (self._turn + 1) % len(queues)
        for issuer in queues[turn:] + queues[:turn]:
            queue = self._queues[issuer]
            if queue.moving:
                self._due_of(queue, self._issuers.get(issuer), now_ns, jitter, effects)
        return effects

    def _due_of(
        self,
        queue: Queue,
        rules: IssuerRules | None,
        now_ns: int,
        jitter: float,
        effects: list[Effect],
    ) -> None:
        if rules is None:
            self._orphans(queue, effects)
            return
        if rules.saf_horizon_h:
            self._age(queue, now_ns - rules.saf_horizon_h * _HOUR, effects)
        if queue.down and now_ns < queue.look_ns:
            return
        self._wake(queue, now_ns)
        ready = queue.ready
        tokens = refill(queue, rules, now_ns)
        # A bank of which nobody said that it is back is tried with one.
        window = 1 if queue.down else rules.saf_in_flight_max - queue.in_flight
        while ready and window > 0 and tokens >= 1 and len(effects) < SENDS_PER_CALL_MAX:
            key = ready.popleft()
            delivery = self._live.get(key)
            if delivery is None or not delivery.queued:
                continue
            delivery.queued = False
            if 0 < rules.reversal_attempts_max <= delivery.attempts:
                effects += self._park(queue, key, delivery)
                continue
            effects.append(Deliver(delivery.owed, delivery.repeat))
            delivery.in_flight = True
            queue.in_flight += 1
            window -= 1
            tokens -= 1
            spread = (jitter + delivery.number * _GOLDEN) % 1.0
            pause_ms = full_jitter_ms(
                delivery.attempts, rules.reversal_retry_ms, rules.reversal_retry_max_ms, spread
            )
            delivery.pause_ns = pause_ms * _MS
            self._wait(queue, key, delivery, now_ns + rules.deadline_ms * _MS)
        queue.tokens = tokens

    def _wake(self, queue: Queue, now_ns: int) -> None:
        """Whose answer did not come, or whose pause is over, stands in line again; what no
        connection took stands in front."""
        if queue.back:
            queue.back.sort(key=lambda key: self._live[key].number if key in self._live else 0)
            queue.ready.extendleft(reversed(queue.back))
            queue.back.clear()
        timers = queue.timers
        for _ in range(LOOKS_PER_CALL_MAX):
            if not timers or timers[0][0] > now_ns:
                return
            due_ns, _, key = heappop(timers)
            delivery = self._live.get(key)
            if delivery is None or delivery.due_ns != due_ns or delivery.stage not in SENDABLE:
                continue
            if delivery.in_flight:
                # No answer came: its place in the window is another's while it pauses.
                self._land(queue, delivery)
                if delivery.pause_ns:
                    self._wait(queue, key, delivery, due_ns + delivery.pause_ns)
                    continue
            self._line_up(queue, key, delivery)

    @staticmethod
    def _wait(queue: Queue, key: Key, delivery: Delivery, due_ns: int) -> None:
        """Its timer from now on; an older one is void."""
        delivery.due_ns = due_ns
        heappush(queue.timers, (due_ns, delivery.number, key))

    def _age(self, queue: Queue, before_ns: int, effects: list[Effect]) -> None:
        """What is older than the horizon becomes a dead letter."""
        moving = queue.moving
        for _ in range(SENDS_PER_CALL_MAX):
            key = next(iter(moving), None)
            if key is None or moving[key].owed_ns > before_ns:
                return
            effects += self._die(queue, key, moving[key], Happening.EXPIRED, end.HORIZON)

    def _orphans(self, queue: Queue, effects: list[Effect]) -> None:
        """The bank is no member any more."""
        queue.ready.extend(queue.back)
        queue.back.clear()
        while queue.timers:
            _, _, key = heappop(queue.timers)
            delivery = self._live.get(key)
            if delivery is not None and delivery.stage in SENDABLE:
                self._land(queue, delivery)
                self._line_up(queue, key, delivery)
        while queue.ready and len(effects) < SENDS_PER_CALL_MAX:
            key = queue.ready.popleft()
            delivery = self._live.get(key)
            if delivery is not None and delivery.queued:
                delivery.queued = False
                effects += self._park(queue, key, delivery)

    # -- what became of an attempt ----------------------------------------------------------------

    def sent(self, owed: Owed) -> None:
        """A connection took what `due` gave."""
        delivery = self._live.get((owed.txn, int(owed.duty)))
        if delivery is None or delivery.stage not in SENDABLE:
            return
        self._move(delivery, Happening.TAKEN)
        delivery.attempts += 1
        delivery.repeat = True
        delivery.waiting = False
        self._queues[owed.issuer].down = False

    def unsent(self, owed: Owed, now_ns: int) -> None:
        """No connection took what `due` gave: that was no attempt. It waits for `bank_up`, and for
        the longest pause at most; nothing else of this bank is looked at meanwhile."""
        key = (owed.txn, int(owed.duty))
        delivery = self._live.get(key)
        if delivery is None or delivery.stage not in SENDABLE:
            return
        self._move(delivery, Happening.LEFT)
        queue = self._queues[owed.issuer]
        self._land(queue, delivery)
        delivery.waiting = delivery.queued = True
        delivery.due_ns = 0
        queue.back.append(key)
        queue.tokens += 1
        queue.down = True
        rules = self._issuers.get(owed.issuer)
        queue.look_ns = now_ns + (rules.reversal_retry_max_ms if rules is not None else 0) * _MS

    def unfit(self, owed: Owed) -> list[Effect]:
        """The bank's dialect cannot say what `due` gave."""
        key = (owed.txn, int(owed.duty))
        delivery = self._live.get(key)
        if delivery is None or delivery.stage not in SENDABLE:
            return []
        return self._die(self._queues[owed.issuer], key, delivery, Happening.UNFIT, end.UNFIT)

    def bank_up(self, issuer: int, now_ns: int) -> None:
        """The bank signed on: what waited for it goes on, and so does what was parked; in their
        order, within the window and the rate."""
        if (queue := self._queues.get(issuer)) is None:
            return
        queue.down = False
        for key in list(queue.parked):
            delivery = self._live[key]
            self._unrest(queue, key, delivery)
            self._move(delivery, Happening.BANK_RETURNED)
            self._line_up(queue, key, delivery)

    def reply(self, owed: Owed, message: Message) -> list[Effect]:
        """The bank's answer: final, and it is over; a declined advice is a dead letter; with any
        other code the repeats go on."""
        key = (owed.txn, int(owed.duty))
        delivery = self._live.get(key)
        if delivery is None or (delivery.stage is Stage.OWED and not delivery.repeat):
            return [Note("delivery_unknown", owed.txn)]
        queue = self._queues[owed.issuer]
        try:
            code, final, declined = self._said(delivery.owed, message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it would end every life
            # Our own fault, and nothing is done yet. Ended by it, each life of the process would
            # ask for this answer first, and end by it again.
            return self._unread(queue, key, delivery, type(error).__name__)
        if final:
            self._leave(queue, key, delivery)
            self._move(delivery, Happening.ACKNOWLEDGED)
            self._over(queue, key)
            return [Settle(owed, code, end.ANSWERED if delivery.late is None else end.LATE)]
        if delivery.in_flight:
            self._land(queue, delivery)
            self._wait(queue, key, delivery, delivery.due_ns + delivery.pause_ns)
        if declined:
            was = delivery.stage
            effects = self._die(queue, key, delivery, Happening.REFUSED, code)
            return [] if was is Stage.DEAD else effects
        self._move(delivery, Happening.REJECTED)
        return [Note("delivery_rejected", owed.txn)]

    def _said(self, owed: Owed, message: Message) -> tuple[str, bool, bool]:
        """All that is read of an answer: its code, whether that is final, and whether it declines
        an advice."""
        code = message.get("response_code") or ""
        rules = self._issuers.get(owed.issuer)
        advice = owed.duty == Duty.ADVICE
        final = rules is not None and (rules.advice_final if advice else rules.final)(code)
        return code, final, advice and message.outcome in (RcClass.DECLINE, RcClass.PARTIAL)

    def _unread(self, queue: Queue, key: Key, delivery: Delivery, error: str) -> list[Effect]:
        """A fault of ours in reading an answer: a dead letter, unless it rests already."""
        if delivery.stage not in SENDABLE:
            self._move(delivery, Happening.UNREAD)
            return [Note("delivery_unread", key[0])]
        _, dead = self._die(queue, key, delivery, Happening.UNREAD, end.UNREAD)
        return [Settle(delivery.owed, DEAD, end.UNREAD, why=error), dead]

    def ordered(
        self, owed: Owed, happening: Happening, now_ns: int, who: str, why: str
    ) -> list[Effect] | str:
        """An operator's word: RETRIED, HELD, RELEASED or WRITTEN_OFF. Why it changes nothing, when
        it does not. What rested and moves again is as young as this moment."""
        key = (owed.txn, int(owed.duty))
        delivery = self._live.get(key)
        if delivery is None:
            return "it is not owed any more"
        step = LIFE[delivery.stage][happening]
        if not isinstance(step, Moved):
            return step.reason if isinstance(step, Ignored) else "it cannot be"
        queue = self._queues[owed.issuer]
        rested = delivery.stage in RESTING
        # What moves already keeps its place: they die in the order of their age.
        self._leave(queue, key, delivery, moving=rested or happening in _OUT)
        self._move(delivery, happening)
        ending = end.ANSWERED
        match happening:
            case Happening.WRITTEN_OFF:
                ending = end.WRITTEN_OFF
                self._over(queue, key)
            case Happening.HELD:
                self._rest(queue, key, delivery)
            case _:
                delivery.attempts, delivery.why, delivery.waiting = 0, "", False
                if rested:
                    delivery.owed_ns, delivery.number = now_ns, next(self._numbers)
                queue.moving[key] = delivery
                self._line_up(queue, key, delivery, first=True)
                queue.look_ns = now_ns
                if not rested:
                    return []
        return [Settle(owed, RESULTS[happening], ending, who, why)]

    # -- where it stands --------------------------------------------------------------------------

    def _line_up(self, queue: Queue, key: Key, delivery: Delivery, *, first: bool = False) -> None:
        """In line (at its head: `first`), if it is the first of its transaction."""
        chain = self._chains.get(key[0])
        if chain is not None and chain[0] != key:
            return
        delivery.queued = True
        delivery.due_ns = 0
        if first:
            queue.ready.appendleft(key)
        else:
            queue.ready.append(key)

    @staticmethod
    def _land(queue: Queue, delivery: Delivery) -> None:
        """No answer is awaited any longer."""
        if delivery.in_flight:
            delivery.in_flight = False
            queue.in_flight -= 1

    def _park(self, queue: Queue, key: Key, delivery: Delivery) -> list[Effect]:
        self._move(delivery, Happening.EXHAUSTED)
        self._rest(queue, key, delivery)
        return [Settle(delivery.owed, PARKED, end.PARKED), Note("delivery_parked", key[0])]

    def _die(
        self, queue: Queue, key: Key, delivery: Delivery, how: Happening, why: str
    ) -> list[Effect]:
        self._leave(queue, key, delivery)
        self._move(delivery, how)
        delivery.why = why
        self._rest(queue, key, delivery)
        ending = why if why in end.ALL else end.REFUSED
        bank_code = why if ending == end.REFUSED else ""
        return [Settle(delivery.owed, DEAD, ending, why=bank_code), Note("delivery_dead", key[0])]

    def _rest(self, queue: Queue, key: Key, delivery: Delivery) -> None:
        """It is not sent by the timer from now on; its stage says where it is."""
        self._land(queue, delivery)
        delivery.queued = False
        match delivery.stage:
            case Stage.PARKED:
                queue.moving.setdefault(key, delivery)
                queue.parked[key] = None
                self.parked += 1
            case Stage.HELD:
                delivery.number = next(self._numbers)
                queue.held[key] = None
                self.held += 1
            case _:
                delivery.number = next(self._numbers)
                queue.dead[key] = None
                self.dead += 1

    def _unrest(self, queue: Queue, key: Key, delivery: Delivery) -> None:
        """The end of resting; attempts are counted anew."""
        self._leave(queue, key, delivery, moving=False)
        delivery.attempts = 0
        delivery.waiting = False

    def _leave(self, queue: Queue, key: Key, delivery: Delivery, *, moving: bool = True) -> None:
        """Takes it out of where its stage has it."""
        self._land(queue, delivery)
        delivery.queued = False
        match delivery.stage:
            case Stage.PARKED:
                del queue.parked[key]
                self.parked -= 1
            case Stage.HELD:
                del queue.held[key]
                self.held -= 1
            case Stage.DEAD:
                del queue.dead[key]
                self.dead -= 1
        if moving:
            queue.moving.pop(key, None)

    def _over(self, queue: Queue, key: Key) -> None:
        """The next of its transaction may go."""
        del self._live[key]
        chain = self._chains.get(key[0])
        if chain is None:
            return
        chain.remove(key)
        if not chain:
            del self._chains[key[0]]
            return
        following = self._live[chain[0]]
        if following.stage in SENDABLE and not following.queued and not following.in_flight:
            self._line_up(queue, chain[0], following)

    @staticmethod
    def _move(delivery: Delivery, happening: Happening) -> None:
        """Along the table; a delivery is only ever moved by what is a transition of its stage."""
        step = LIFE[delivery.stage][happening]
        assert isinstance(step, Moved), (delivery.stage, happening)
        delivery.stage = step.stage
