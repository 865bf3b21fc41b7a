"""The engine's part about what banks are owed: the way in and out of `deliver.Deliveries`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from switch.engine.deliver import Deliveries, Delivery, IssuerRules
from switch.model.state import Duty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from switch.engine.duty import Happening
    from switch.engine.effects import Effect
    from switch.engine.ports import Owed
    from switch.wire import Message

__all__ = ["Owing"]


class Owing:
    """Base of `engine.Engine`."""

    __slots__ = ("_deliveries",)

    def __init__(self, issuers: Mapping[int, IssuerRules]) -> None:
        self._deliveries = Deliveries(issuers)

    @property
    def owed_count(self) -> int:
        """Reversals and advices without a final code, resting ones included."""
        return len(self._deliveries)

    @property
    def parked_count(self) -> int:
        """Of these, those that were sent as often as they may and wait for their bank."""
        return self._deliveries.parked

    @property
    def deliveries(self) -> Deliveries:
        """What banks are owed."""
        return self._deliveries

    def owed(self, owed: Owed, now_ns: int) -> None:
        """A record that owes this was appended; `due` sends it, in the order of these calls for one
        transaction."""
        self._deliveries.add(owed, now_ns)

    def delivery(self, txn: int, duty: Duty = Duty.REVERSAL) -> Delivery | None:
        """How far what is owed for `txn` got; None when it is not owed."""
        return self._deliveries.get(txn, duty)

    def due(self, now_ns: int, jitter: float) -> Sequence[Effect]:
        """Sends the deliveries that are due. `jitter` in [0, 1). Call it from the timer."""
        return self._deliveries.due(now_ns, jitter)

    def delivered(self, owed: Owed) -> None:
        """A connection took it."""
        self._deliveries.sent(owed)

    def undelivered_yet(self, owed: Owed, now_ns: int) -> None:
        """No connection took it."""
        self._deliveries.unsent(owed, now_ns)

    def undeliverable(self, owed: Owed) -> Sequence[Effect]:
        """The bank's dialect cannot say it."""
        return self._deliveries.unfit(owed)

    def delivery_reply(self, owed: Owed, message: Message) -> Sequence[Effect]:
        """The bank's answer to a delivery."""
        return self._deliveries.reply(owed, message)

    def ordered(
        self, owed: Owed, happening: Happening, now_ns: int, who: str, why: str
    ) -> Sequence[Effect] | str:
        """An operator's word: effects, or why it changes nothing."""
        return self._deliveries.ordered(owed, happening, now_ns, who, why)

    def bank_up(self, issuer: int, now_ns: int) -> None:
        """A connection of the bank signed on: what waited for it goes with the next `due`."""
        self._deliveries.bank_up(issuer, now_ns)
