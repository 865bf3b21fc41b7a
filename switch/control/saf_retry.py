"""Order `saf-retry`: a delivery, or all dead letters and parked ones of a bank, are sent again now.

What was a dead letter is as young as the order from now on, and counts its attempts anew.
"""

from switch.control.order import Node, Order
from switch.control.saf import SafDone, bank_named, carry_out, chosen, recorded, row_of
from switch.engine.duty import Happening, Stage
from switch.errors import OrderError

__all__ = ["AT_ONCE_MAX", "SafRetry", "perform"]

AT_ONCE_MAX = 1_000
"""Deliveries of one order: each is a record."""


class SafRetry(Order, frozen=True, kw_only=True, tag="saf-retry"):
    """Answered by `SafDone`."""

    id: str = ""
    what: str = ""
    member: str = ""
    """All that rest of this bank, in the place of `id`."""
    dry_run: bool = False


async def perform(order: SafRetry, node: Node) -> SafDone:
    """Raises: OrderError: no such delivery or bank, or nothing that rests."""
    if not order.member:
        delivery = chosen(node, order.id, order.what)
        row = row_of(node, delivery)
        if order.dry_run:
            return SafDone(did=f"{row.what} of {row.id} would be sent again", deliveries=[row])
        did = carry_out(node, order, delivery, Happening.RETRIED)
        return SafDone(
            did=f"{row.what} of {row.id} {did}", deliveries=await recorded(node, delivery)
        )
    index = bank_named(node, order.member)
    deliveries = node.driver.engine.deliveries
    some = deliveries.resting(index, AT_ONCE_MAX)
    if not some:
        raise OrderError(f"nothing of {order.member} is parked or a dead letter")
    counts = deliveries.counts(index)
    more = counts[Stage.DEAD] + counts[Stage.PARKED] - len(some)
    left = f"; {more} more wait for the next order" if more else ""
    if order.dry_run:
        return SafDone(did=f"{len(some)} of {order.member} would be sent again{left}")
    for delivery in some:
        carry_out(node, order, delivery, Happening.RETRIED)
    await recorded(node)
    return SafDone(did=f"{len(some)} of {order.member} are sent again{left}")
