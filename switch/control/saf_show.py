"""Order `saf-show`: all that a bank is owed of one transaction."""

from switch.control.order import Node, Order
from switch.control.saf import SafDone, row_of
from switch.errors import OrderError
from switch.journal.query import parse_id, shown_id

__all__ = ["SafShow", "perform"]


class SafShow(Order, frozen=True, kw_only=True, tag="saf-show"):
    """Answered by `SafDone`."""

    changes = False
    id: str


async def perform(order: SafShow, node: Node) -> SafDone:
    """Raises: OrderError: no id, or nothing is owed."""
    txn = parse_id(order.id)
    if txn is None:
        raise OrderError(f'"{order.id}" is no transaction id', help="for example 1-0-42")
    found = node.driver.engine.deliveries.of(txn)
    if not found:
        raise OrderError(
            f"no bank is owed anything of {shown_id(txn)}",
            help="tapswitch trace tells what became of it",
        )
    return SafDone(did="", deliveries=[row_of(node, delivery) for delivery in found])
