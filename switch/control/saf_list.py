"""Order `saf-list`: what banks are owed and how far it got; dead letters and held ones first.

An answer is a page. However long a queue is, the worker's loop is held up by no more than a copy of
its keys (4 ms for 100,000) and a look at some hundred of them at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from switch.control.order import Answer, Node, Order
from switch.control.saf import Limit, SafRow, bank_named, row_of
from switch.engine.deliver import Delivery
from switch.engine.duty import Stage
from switch.errors import OrderError

__all__ = ["SafList", "SafQueue", "SafShown", "perform"]

LOOKS_AT_ONCE: Final = 500
"""Deliveries looked at until the loop goes on with its work."""
PLACES: Final = ("dead", "held", "moving")
"""In the order in which an operator wants to see them; what is parked stands with what moves."""


class SafList(Order, frozen=True, kw_only=True, tag="saf-list"):
    """Answered by `SafShown`."""

    changes = False
    member: str = ""
    stage: str = ""
    """owed, sent, parked, held, dead; '': all."""
    limit: Limit = 100
    after: Annotated[str, Meta(max_length=100)] = ""
    """`SafShown.next` of the page before; '': from the beginning."""


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
    next: str = ""
    """`after` of the next page; '' behind the last. Good as long as the worker runs."""


async def perform(order: SafList, node: Node) -> SafShown:
    """What comes or ends while pages are read may be missing; nothing is shown twice unless it was
    moved in between. Raises: OrderError: no such bank, or no such page."""
    deliveries = node.driver.engine.deliveries
    indexes = [bank_named(node, order.member)] if order.member else list(node.banks)
    queues: list[SafQueue] = []
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
    rows: list[SafRow] = []
    last, more = "", False
    async for place, delivery in _behind(order, indexes, node):
        if order.stage not in {"", delivery.stage.name.lower()}:
            continue
        if len(rows) >= order.limit:
            more = True
            break
        rows.append(row_of(node, delivery))
        last = f"{place}:{delivery.number}"
    return SafShown(queues=queues, deliveries=rows, more=more, next=last if more else "")


async def _behind(
    order: SafList, indexes: Sequence[int], node: Node
) -> AsyncIterator[tuple[str, Delivery]]:
    """What may be shown, behind the page before, with its place. The loop goes on in between."""
    deliveries = node.driver.engine.deliveries
    places = [
        (index, name, f"{node.banks[index].name}:{name}")
        for index in indexes
        for name in PLACES
        if order.stage in {"", name} or (name == "moving" and order.stage not in PLACES)
    ]
    beyond = -1
    if order.after:
        began, _, number = order.after.rpartition(":")
        while places and places[0][2] != began:
            places.pop(0)
        if not places or not number.isascii() or not number.isdecimal():
            raise OrderError(
                f'there is no page behind "{order.after}"', help="begin without --after"
            )
        beyond = int(number)
    for index, name, place in places:
        keys = deliveries.keys(index, name)
        for at in range(0, len(keys), LOOKS_AT_ONCE):
            for key in keys[at : at + LOOKS_AT_ONCE]:
                delivery = deliveries.get(*key)
                if delivery is not None and delivery.number > beyond:
                    yield place, delivery
            await asyncio.sleep(0)
        beyond = -1
