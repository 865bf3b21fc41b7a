"""Order `saf-hold`: a delivery is kept back until `saf-release`: over a restart, and when its
bank returns."""

from switch.control.order import Node
from switch.control.saf import OneDelivery, SafDone, carry_out, chosen, recorded, row_of
from switch.engine.duty import Happening

__all__ = ["SafHold", "perform"]


class SafHold(OneDelivery, frozen=True, kw_only=True, tag="saf-hold"):
    """Answered by `SafDone`."""


async def perform(order: SafHold, node: Node) -> SafDone:
    """Raises: OrderError: no such delivery, or it changes nothing."""
    delivery = chosen(node, order.id, order.what)
    row = row_of(node, delivery)
    if order.dry_run:
        return SafDone(did=f"{row.what} of {row.id} would be kept back", deliveries=[row])
    did = carry_out(node, order, delivery, Happening.HELD)
    return SafDone(did=f"{row.what} of {row.id} {did}", deliveries=await recorded(node, delivery))
