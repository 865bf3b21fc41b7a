"""The engine's gate: numbers, connection and in-flight map of the bank, then one native call.

Implements `switch.engine.ports.Gate`. "Durable before sent" is enforced natively (native/src/walk);
this file chooses what Python must choose: the institution's STAN and time, the connection, clock
readings. Nothing here raises for a peer that has gone; a journal that failed raises `StorageError`,
which ends the process.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import structlog

from switch.engine.ports import Delivering, Forwarding, Owed, StandIn
from switch.errors import EncodeError, JournalError, UsageError
from switch.journal.query import shown_id
from switch.link.window import Window
from switch.model.end import JOURNAL, KEY_TAKEN, REFUSED, UNREAD
from switch.model.response import SYSTEM_ERROR
from switch.model.state import UNSETTLED, Cause, ReversalEffect
from switch.native import journal, walk
from switch.runtime.clock import BusinessDay, wall_ns
from switch.runtime.fault import places
from switch.runtime.member import Acquirer, Bank

if TYPE_CHECKING:
    from switch.engine.stand_in import StandInRule
    from switch.engine.transaction import Transaction
    from switch.wire import Message

__all__ = ["RUN_MAX", "Gate"]

log = structlog.get_logger("engine")

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
RUN_MAX: Final = 16
"""Requests of one tick that go to one connection of a bank before it is the next one's turn: they
leave in one write, and mostly come back in one read."""


class Gate:
    """One per worker. `urgent` tells the driver that something goes out without waiting for the
    journal."""

    __slots__ = (
        "_acquirers",
        "_banks",
        "_business_day",
        "_duplicates",
        "_former",
        "_journal",
        "_native",
        "_noted",
        "tick",
        "urgent",
    )

    def __init__(
        self,
        native: walk.Gate,
        duplicates: walk.Duplicates,
        journal: journal.Journal,
        acquirers: dict[int, Acquirer],
        banks: dict[int, Bank],
        business_day: BusinessDay,
        noted: Callable[[str, int], None],
        former: Mapping[int, Window] | None = None,
    ) -> None:
        """`acquirers` and `banks` by institution index; `noted` counts `engine.effects.NOTES`;
        `former`: the numbers of those who are in the journal and no members any more."""
        self._native = native
        self._duplicates = duplicates
        self._journal = journal
        self._acquirers = acquirers
        self._banks = banks
        self._business_day = business_day
        self._noted = noted
        self._former = dict(former or {})
        self.urgent = False
        self.tick = 0
        """Counts the ticks of the loop."""

    def adopt(self, business_day: BusinessDay) -> None:
        """Another business date from the next request on; each keeps the one it was accepted
        with."""
        self._business_day = business_day

    def remember(self, retention_s: int, early_s: int) -> None:
        """How old request keys may be that the next checkpoints carry, and which of them must not
        go early."""
        self._duplicates.keep(retention_s, early_s)

    def left(self, bank: Bank) -> None:
        """It is no member any more: its numbers are kept for reversals that are owed to it."""
        self._former[bank.index] = bank.matcher.window

    def returns(self, index: int) -> Window:
        """The numbers of an institution that becomes a member: they go on where they stood."""
        return self._former.pop(index, None) or Window()

    # ------------------------------------------------------------------------------- the hot pair

    def forward(self, txn: "Transaction") -> Forwarding:
        """See `ports.Gate.forward`. Connections of one bank take turns, by tick and `RUN_MAX`; one
        that does not read has no turn."""
        bank = self._banks[txn.issuer]
        ready = bank.serving
        if not ready:
            return Forwarding.OPEN if bank.ready else Forwarding.DOWN
        now = wall_ns()
        if bank.tick == self.tick and bank.run < RUN_MAX:
            bank.run += 1
            turn = bank.turn % len(ready)
        else:
            bank.tick, bank.run = self.tick, 1
            bank.turn = turn = (bank.turn + 1) % len(ready)
        txn.tally = bank.tallies[turn]
        if not bank.matcher.take(txn, now // SECOND):
            return Forwarding.FULL if bank.circuit.closed else Forwarding.OPEN
        wall_ms = now // MS
        try:
            lsn = self._native.forward(
                txn.request,
                ready[turn],
                txn.id,
                txn.acquirer,
                txn.issuer,
                txn.out_stan,
                txn.out_time,
                wall_ms,
                self._business_day.at(wall_ms),
            )
        except EncodeError:
            bank.matcher.drop(txn)
            return Forwarding.UNFIT
        except JournalError:
            # Full, or behind a disk that stands still: nothing was recorded, nothing is held.
            if self._journal.failure is not None:
                raise
            bank.matcher.drop(txn)
            return Forwarding.UNRECORDED
        if not lsn:
            bank.matcher.drop(txn)
            return Forwarding.DOWN
        self._acquirers[txn.acquirer].in_flight += 1
        return Forwarding.HELD

    def answer(self, txn: "Transaction", reply: "Message") -> bool:
        """See `ports.Gate.answer`."""
        try:
            self._native.answer(txn.request, reply, txn.slot, txn.id, wall_ns() // MS)
        except EncodeError:
            return False
        self._acquirers[txn.acquirer].in_flight -= 1
        return True

    # ---------------------------------------------------------------------------------- refusals

    def decline(
        self,
        message: "Message",
        slot: int,
        txn: int,
        acquirer: int,
        code: str,
        end: str,
        reason: str = "",
    ) -> None:
        """See `ports.Gate.decline`."""
        wall_ms = wall_ns() // MS
        try:
            self._native.decline(message, slot, txn, acquirer, code, end, wall_ms, reason)
        except JournalError:
            if self._journal.failure is not None:
                raise
            self.refuse(message, slot, SYSTEM_ERROR, JOURNAL)

    def refuse(self, message: "Message", slot: int, code: str, end: str) -> None:
        """See `ports.Gate.refuse`."""
        self._native.refuse(message, slot, code, end, wall_ns() // SECOND)
        self.urgent = True

    def repeat(self, message: "Message", slot: int, acquirer: int) -> None:
        """See `ports.Gate.repeat`. Urgent, since the record that the answer stands on is mostly
        durable."""
        if not self._native.repeat(message, slot, acquirer, wall_ns() // SECOND):
            self._native.refuse(message, slot, SYSTEM_ERROR, KEY_TAKEN, wall_ns() // SECOND)
        self.urgent = True

    # ------------------------------------------------------------------------ outcomes of our own

    def cancel(self, txn: "Transaction") -> bool:
        """See `ports.Gate.cancel`."""
        bank = self._banks[txn.issuer]
        if txn.request.sent_ns or not any(
            self._native.cancel(slot, txn.id) for slot in bank.connections
        ):
            return False
        bank.matcher.drop(txn)
        return True

    def conclude(
        self, txn: "Transaction", code: str, end: str, cause: Cause, bank_code: str
    ) -> Owed | None:
        """See `ports.Gate.conclude`."""
        now = wall_ns()
        stan, at = 0, ""
        if cause:
            bank = self._banks[txn.issuer]
            stan, at = bank.matcher.number(now // SECOND)
            if cause is Cause.UNUSABLE_ANSWER:
                bank.unusable += 1
                bank.matcher.unanswered(txn)
        self._acquirers[txn.acquirer].in_flight -= 1
        return self._native.conclude(
            txn.request, txn.slot, txn.id, code, end, now // MS, cause, stan, at, bank_code
        )

    def stand_in(
        self,
        txn: "Transaction",
        rule: "StandInRule",
        why: str,
        cause: Cause,
        *,
        forwarded: bool,
    ) -> tuple[StandIn, list[Owed]]:
        """See `ports.Gate.stand_in`."""
        bank = self._banks[txn.issuer]
        if bank.stand_in_suspended:
            return self._stood_in(bank, rule, StandIn.SUSPENDED, [])
        now = wall_ns()
        number, wall_ms = bank.matcher.number, now // MS
        reversal = number(now // SECOND) if cause else None
        advice = number(now // SECOND)
        try:
            fit, owed = self._native.stand_in(
                txn.request,
                txn.slot,
                txn.id,
                txn.acquirer,
                txn.issuer,
                rule.name,
                why,
                (rule.count_max, rule.sum_minor_max, rule.bank_sum_minor_max),
                advice,
                wall_ms,
                self._business_day.at(wall_ms),
                cause,
                reversal,
            )
        except EncodeError:
            return self._stood_in(bank, rule, StandIn.UNFIT, [])
        except JournalError:
            if self._journal.failure is not None:
                raise
            return self._stood_in(bank, rule, StandIn.UNRECORDED, [])
        if forwarded and owed:
            self._acquirers[txn.acquirer].in_flight -= 1
        return self._stood_in(bank, rule, StandIn(fit), list(owed))

    def stood_in_today(self, issuer: int, currency: str) -> tuple[int, int]:
        """Approvals in a bank's name on this business date, over all its cards: count and sum."""
        return self._duplicates.stand_in(issuer, currency, self.business_date)

    @property
    def stood_in_totals(self) -> int:
        """Totals of cards and banks that are kept, of two business days."""
        return self._duplicates.stand_in_cards

    @property
    def business_date(self) -> str:
        """The date that counts now, YYYYMMDD."""
        return self._business_day.at(wall_ns() // MS)

    @staticmethod
    def _stood_in(
        bank: Bank, rule: "StandInRule", fit: StandIn, owed: list[Owed]
    ) -> tuple[StandIn, list[Owed]]:
        bank.stand_ins[rule.name, fit] += 1
        return fit, owed

    def undo(self, txn: int, code: str, end: str, cause: Cause) -> Owed | None:
        """See `ports.Gate.undo`."""
        now = wall_ns()
        bank = self._banks.get(self._native.issuer_of(txn))
        if bank is None:
            return None
        stan, at = bank.matcher.number(now // SECOND) if cause else (0, "")
        return self._native.undo(txn, code, end, now // MS, cause, stan, at)

    # ------------------------------------------------------------------- reversals and advices

    def accept_reversal(
        self,
        message: "Message",
        slot: int,
        txn: int,
        acquirer: int,
        original: int,
        effect: ReversalEffect,
    ) -> Owed | None:
        """See `ports.Gate.accept_reversal`."""
        now = wall_ns()
        stan, at = 0, ""
        if effect is ReversalEffect.REVERSE:
            entry = self._duplicates.original(message, acquirer, now // SECOND)
            assert entry is not None, "the engine has just found it"
            stan, at = self._number(entry.issuer, now // SECOND)
        return self._native.reversal(
            message, slot, txn, acquirer, original, effect, now // MS, now // SECOND, stan, at
        )

    def _number(self, issuer: int, now_s: int) -> tuple[int, str]:
        """Numbers for a reversal owed to a bank. One that is no member any more gets them too: it
        is told when it is a member again."""
        bank = self._banks.get(issuer)
        if bank is not None:
            return bank.matcher.number(now_s)
        return self._former.setdefault(issuer, Window()).number(now_s)

    def accept_advice(
        self, message: "Message", slot: int, txn: int, acquirer: int, issuer: int
    ) -> Owed | None:
        """See `ports.Gate.accept_advice`."""
        now = wall_ns()
        stan, at = self._number(issuer, now // SECOND)
        try:
            return self._native.advise(
                message,
                slot,
                txn,
                acquirer,
                issuer,
                stan,
                at,
                now // MS,
                now // SECOND,
                self._business_day.at(now // MS),
            )
        except JournalError:
            if self._journal.failure is not None:
                raise
            self.refuse(message, slot, SYSTEM_ERROR, JOURNAL)
            return None

    def deliver(self, owed: Owed, repeat: bool) -> Delivering:
        """See `ports.Gate.deliver`."""
        assert isinstance(owed, walk.Original)
        bank = self._banks.get(owed.issuer)
        slot = bank.next_slot() if bank is not None else -1
        if bank is None or slot < 0:
            return Delivering.DOWN
        try:
            if not self._native.deliver(owed, slot, repeat):
                return Delivering.DOWN
        except (EncodeError, UsageError):
            return Delivering.UNFIT
        except Exception as error:  # noqa: BLE001 - see below
            # Our own fault. Built before anything of it is kept, so nothing is half done; ended by
            # it, each life of the worker would send this one first, and end by it again.
            id_ = shown_id(owed.txn)
            log.error("delivery.fault", id=id_, error=type(error).__name__, at=places(error))  # noqa: TRY400
            return Delivering.UNFIT
        bank.matcher.delivery_sent(owed)
        # A repeat stands on a record that is durable already: no sync will come for it.
        self.urgent = True
        return Delivering.SENT

    def settle(self, owed: Owed, result: str, end: str, who: str, why: str) -> None:
        """See `ports.Gate.settle`. The answer to one that rests is still awaited."""
        assert isinstance(owed, walk.Original)
        bank = self._banks.get(owed.issuer)
        if result not in UNSETTLED and bank is not None:
            bank.matcher.delivery_done(owed)
        wall_ms = wall_ns() // MS
        if end == UNREAD:
            log.error("delivery.fault", id=shown_id(owed.txn), error=why)
        if end == REFUSED:
            self._native.settle(owed, result, wall_ms, end, bank_code=why)
        else:
            self._native.settle(owed, result, wall_ms, end, who, why)

    def conflict(self, acquirer: int, slot: int) -> None:
        """See `ports.Gate.conflict`."""
        member = self._acquirers.get(acquirer)
        if member is not None and (link := member.connections.get(slot)) is not None:
            member.faults.abuse("another_body", link)

    def note(self, what: str, txn: int) -> None:
        """See `ports.Gate.note`."""
        self._noted(what, txn)
