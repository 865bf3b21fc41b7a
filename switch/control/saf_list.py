"""Order `saf-list`: what banks are owed and how far it got; dead letters and held ones first."""

from collections.abc import Sequence

import msgspec

from switch.control.order import Answer, Node, Order
from switch.control.saf import Limit, SafRow, bank_named, row_of
from switch.engine.deliver import Delivery
from switch.engine.duty import Stage

__all__ = ["SafList", "SafQueue", "SafShown", "perform"]

LISTED = (Stage.DEAD, Stage.HELD, Stage.PARKED, Stage.SENT, Stage.OWED)
"""In the order in which an operator wants to see them."""


class SafList(Order, frozen=True, kw_only=True, tag="saf-list"):
    """Answered by `SafShown`."""

    changes = False
    member: str = ""
    stage: str = ""
    """owed, sent, parked, held, dead; '': all."""
    limit: Limit = 100


class SafQueue(msgspec.Struct, frozen=True, kw_only=True):
    """One bank's, in numbers."""

    member: str
    moving: int
    parked: int
    held: int
    dead: int


class SafShown(Answer, frozen=True, kw_only=True, tag="saf"):
    """What is owed."""

    queues: Sequence[SafQueue]
    deliveries: Sequence[SafRow]
    more: bool
    """There are more than were asked for."""


async def perform(order: SafList, node: Node) -> SafShown:
    """Raises: OrderError: no such bank."""
    deliveries = node.driver.engine.deliveries
    indexes = [bank_named(node, order.member)] if order.member else list(node.banks)
    queues: list[SafQueue] = []
    rows: list[Delivery] = []
    more = False
    for index in indexes:
        counts = deliveries.counts(index)
        queues.append(
            SafQueue(
                member=node.banks[index].name,
                moving=counts[Stage.OWED],
                parked=counts[Stage.PARKED],
                held=counts[Stage.HELD],
                dead=counts[Stage.DEAD],
            )
        )
        for delivery in deliveries.of_bank(index):
            if order.stage not in {"", delivery.stage.name.lower()}:
                continue
            if len(rows) >= order.limit:
                more = True
                break
            rows.append(delivery)
    return SafShown(
        queues=queues, deliveries=[row_of(node, delivery) for delivery in rows], more=more
    )
