"""Order `saf-write-off`: the final word about a delivery is an operator's

The journal keeps it with the name and the reason; the bank is told nothing more. What was held or
not booked there is settled by hand."""

from switch.control.order import Node
from switch.control.saf import OneDelivery, SafDone, carry_out, chosen, row_of
from switch.engine.duty import Happening
from switch.errors import OrderError

__all__ = ["SafWriteOff", "perform"]


class SafWriteOff(OneDelivery, frozen=True, kw_only=True, tag="saf-write-off"):
    """Answered by `SafDone`."""


async def perform(order: SafWriteOff, node: Node) -> SafDone:
    """Raises: OrderError: no such delivery, or it changes nothing, or no reason was given."""
    delivery = chosen(node, order.id, order.what)
    if not order.by.reason.strip():
        raise OrderError("a write-off wants a reason", help="--reason")
    row = row_of(node, delivery)
    if order.dry_run:
        return SafDone(did=f"{row.what} of {row.id} would be written off", deliveries=[row])
    did = carry_out(node, order, delivery, Happening.WRITTEN_OFF)
    return SafDone(did=f"{row.what} of {row.id} {did}")
