"""Reversals: the delivery of ours to the banks, and what the engine must know of a bank for it.

A reversal that is owed stands in the journal before it is here. It is sent as 0420, and as 0421
from the second time on (always after a restart, when nobody knows whether the first left), with the
same STAN and transmission time, after growing and jittered delays, until the bank answers with a
code that its dialect calls final. After as many attempts as the setting allows it is parked: no
longer sent by the timer, still owed in the journal, still counted, and taken up again when the bank
returns, or at the next start. So one bank that never acknowledges costs the others nothing, and no
reversal is ever lost without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import msgspec

from switch.engine.effects import PARKED, Effect, Note, Reverse, Settle
from switch.engine.events import Event
from switch.engine.states import TABLE, State, To
from switch.model import end
from switch.model.backoff import delay_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from switch.engine.ports import Reversal
    from switch.wire import Message

__all__ = ["SENDS_PER_CALL_MAX", "Deliveries", "Delivery", "IssuerRules"]

SENDS_PER_CALL_MAX: Final = 256
"""Reversals sent by one call of `due`, so that a storm of them never holds up the loop: at a call
every 50 ms, 5,000 a second. What is left over stays due and comes first the next time."""

_MS: Final = 1_000_000


class IssuerRules(msgspec.Struct, frozen=True):
    """What the engine must know of a bank."""

    deadline_ms: int
    """From the first byte of the request; the answer must be read before it."""
    reversal_retry_ms: int
    """Before the first repeat of a reversal; doubles from there."""
    reversal_retry_max_ms: int
    reversal_attempts_max: int
    """Then it is parked; 0: never."""
    final: Callable[[str], bool]
    """True for a response code that ends a reversal, by the bank's dialect."""


class Delivery(msgspec.Struct):
    """One owed reversal and how far it got."""

    reversal: Reversal
    state: State
    """OWED, REVERSING or PARKED."""
    due_ns: int
    repeat: bool
    """It may have been sent before: 0421 from now on."""
    attempts: int = 0
    """Sent since it was added or parked."""
    waiting: bool = False
    """No connection took it; it goes as soon as the bank is back."""
    late: Event | None = None
    """What the bank answered to the request, too late."""


class Deliveries:
    """All reversals on which banks owe us a final word."""

    __slots__ = ("_issuers", "_live", "_queue", "parked")

    def __init__(self, issuers: Mapping[int, IssuerRules]) -> None:
        self._issuers = issuers
        self._live: dict[int, Delivery] = {}
        self._queue: list[tuple[int, int]] = []
        self.parked = 0

    def adopt(self, issuers: Mapping[int, IssuerRules]) -> None:
        """Other rules from the next attempt on. A bank that is no member any more: its reversals
        are parked when they come due, and stay owed."""
        self._issuers = issuers

    def __len__(self) -> int:
        return len(self._live)

    def get(self, txn: int) -> Delivery | None:
        """The delivery of a transaction's reversal, None when none is owed."""
        return self._live.get(txn)

    def add(self, reversal: Reversal, now_ns: int, *, repeat: bool = False) -> None:
        """It is owed from now on, and due at once. The same one again changes nothing."""
        if reversal.txn in self._live:
            return
        state = State.REVERSING if repeat else State.OWED
        delivery = Delivery(reversal, state, now_ns, repeat)
        self._live[reversal.txn] = delivery
        self._schedule(delivery, now_ns)

    def due(self, now_ns: int, jitter: float) -> list[Effect]:
        """Sends what is due, oldest first. `jitter` in [0, 1)."""
        effects: list[Effect] = []
        queue = self._queue
        while queue and queue[0][0] <= now_ns and len(effects) < SENDS_PER_CALL_MAX:
            due_ns, txn = heappop(queue)
            delivery = self._live.get(txn)
            if delivery is None or delivery.due_ns != due_ns or delivery.state is State.PARKED:
                continue
            rules = self._issuers.get(delivery.reversal.issuer)
            if rules is None or 0 < rules.reversal_attempts_max <= delivery.attempts:
                self._move(delivery, Event.REVERSAL_EXHAUSTED)
                self.parked += 1
                effects += [
                    Settle(delivery.reversal, PARKED, end.PARKED),
                    Note("reversal_parked", txn),
                ]
                continue
            effects.append(Reverse(delivery.reversal, delivery.repeat))
            wait_ms = delay_ms(
                delivery.attempts, rules.reversal_retry_ms, rules.reversal_retry_max_ms, jitter
            )
            self._schedule(delivery, now_ns + wait_ms * _MS)
        return effects

    def sent(self, reversal: Reversal) -> None:
        """A connection took what `due` gave."""
        delivery = self._live.get(reversal.txn)
        if delivery is None or delivery.state is State.PARKED:
            return
        self._move(delivery, Event.REVERSAL_SENT)
        delivery.attempts += 1
        delivery.repeat = True
        delivery.waiting = False

    def unsent(self, reversal: Reversal, now_ns: int) -> None:
        """No connection took what `due` gave: that was no attempt. It waits for `bank_up`, and for
        the longest delay at most."""
        delivery = self._live.get(reversal.txn)
        if delivery is None or delivery.state is State.PARKED:
            return
        self._move(delivery, Event.REVERSAL_UNSENT)
        delivery.waiting = True
        rules = self._issuers.get(reversal.issuer)
        wait_ms = rules.reversal_retry_max_ms if rules is not None else 0
        self._schedule(delivery, now_ns + wait_ms * _MS)

    def bank_up(self, issuer: int, now_ns: int) -> None:
        """The bank signed on: what waited for it or was parked is due at once."""
        for delivery in self._live.values():
            parked = delivery.state is State.PARKED
            if delivery.reversal.issuer != issuer or not (parked or delivery.waiting):
                continue
            if parked:
                self.parked -= 1
                delivery.attempts = 0
            delivery.waiting = False
            self._move(delivery, Event.BANK_RETURNED)
            self._schedule(delivery, now_ns)

    def reply(self, reversal: Reversal, message: Message) -> list[Effect]:
        """The bank's answer to a reversal: final, and it is over; else the repeats go on."""
        delivery = self._live.get(reversal.txn)
        if delivery is None or delivery.state is State.OWED:
            return [Note("reversal_unknown", reversal.txn)]
        code = message.get("response_code") or ""
        rules = self._issuers.get(reversal.issuer)
        if rules is None or not rules.final(code):
            self._move(delivery, Event.REVERSAL_REJECTED)
            return [Note("reversal_rejected", reversal.txn)]
        if delivery.state is State.PARKED:
            self.parked -= 1
        self._move(delivery, Event.REVERSAL_CONFIRMED)
        del self._live[reversal.txn]
        return [Settle(reversal, code, end.ANSWERED if delivery.late is None else end.LATE)]

    def _schedule(self, delivery: Delivery, due_ns: int) -> None:
        delivery.due_ns = due_ns
        heappush(self._queue, (due_ns, delivery.reversal.txn))

    @staticmethod
    def _move(delivery: Delivery, event: Event) -> None:
        """Along the table; a delivery is only ever moved by events that are transitions of its
        state."""
        cell = TABLE[delivery.state][event]
        assert isinstance(cell, To), (delivery.state, event)
        delivery.state = cell.state
