"""Order `saf-write-off`: the final word about a delivery is an operator's, or that of two.

The journal keeps it with the names and the reason; the bank is told nothing more. What was held or
not booked there is settled by hand. With `node.four_eyes` the order only asks; the same with
`confirm`, by another operator, carries it out."""

import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from switch.control.approvals import VALID_S
from switch.control.chain import Record
from switch.control.order import By, Caller, Node, signed
from switch.control.saf import OneDelivery, SafDone, carry_out, chosen, recorded, row_of, signature
from switch.engine.duty import Happening
from switch.errors import OrderError
from switch.runtime.clock import SECOND, monotonic_ns, wall_ms

__all__ = ["SafWriteOff", "perform", "recall"]

ACTION: Final = "saf-write-off"


class SafWriteOff(OneDelivery, frozen=True, kw_only=True, tag=ACTION):
    """Answered by `SafDone`."""

    confirm: bool = False
    """Another operator has asked for it, and this one agrees."""


async def perform(order: SafWriteOff, node: Node) -> SafDone:
    """Raises: OrderError: no such delivery, or it changes nothing, or no reason was given, or
    nobody else has asked for what is confirmed."""
    delivery = chosen(node, order.id, order.what)
    if not order.by.reason.strip():
        raise OrderError("a write-off wants a reason", help="--reason")
    who, why = signature(order)
    row = row_of(node, delivery)
    key, now_ns = (ACTION, delivery.owed.txn, int(delivery.owed.duty)), monotonic_ns()
    approvals, what = node.approvals, f"{row.what} of {row.id}"
    if not node.settings.node.four_eyes:
        if order.confirm:
            raise OrderError(
                "a write-off needs no second operator here",
                key="node.four_eyes",
                help="leave --confirm out",
            )
    elif order.confirm:
        asked = approvals.confirmed(key, who, now_ns)
        if order.dry_run:
            return SafDone(did=f"{what} would be written off", deliveries=[row])
        did = carry_out(node, order, delivery, Happening.WRITTEN_OFF, asked)
        await recorded(node)
        approvals.done(key)
        return SafDone(did=f"{what} {did}; {asked.who} asked for it: {asked.why}")
    else:
        if order.dry_run:
            did = f"{what} would be written off once another operator confirms it"
            return SafDone(did=did, deliveries=[row])
        asked = approvals.ask(key, who, why, now_ns)
        minutes = (asked.until_ns - now_ns) // (60 * SECOND)
        return SafDone(
            did=f"{what} is written off once another operator confirms it, within {minutes} min",
            deliveries=[row_of(node, delivery)],
        )
    if order.dry_run:
        return SafDone(did=f"{what} would be written off", deliveries=[row])
    did = carry_out(node, order, delivery, Happening.WRITTEN_OFF)
    await recorded(node)
    return SafDone(did=f"{what} {did}")


def recall(node: Node, records: Iterable[Record]) -> None:
    """What was asked of a worker before this one, by the audit, is asked of this one, for what is
    left of its time. What is owed no more, or not told clearly enough, is left out: it may be
    asked for again."""
    orders: dict[int, Record] = {}
    for record in records:
        if record.kind == "order" and record.order.get("order") == ACTION:
            orders[record.n] = record
        elif record.kind == "result" and record.outcome == "done" and record.of in orders:
            with contextlib.suppress(OrderError, msgspec.ValidationError, ValueError):
                _recall(node, orders[record.of])


def _recall(node: Node, record: Record) -> None:
    told = msgspec.convert(record.order, SafWriteOff)
    by = By(actor=record.actor, reason=record.reason)
    caller = Caller(record.pid, record.uid, record.user)
    order = signed(msgspec.structs.replace(told, by=by), caller)
    owed = chosen(node, order.id, order.what).owed
    key, now_ns = (ACTION, owed.txn, int(owed.duty)), monotonic_ns()
    if order.confirm:
        node.approvals.done(key)
        return
    age_ms = wall_ms() - round(datetime.fromisoformat(record.at).timestamp() * 1_000)
    left_ns = VALID_S * SECOND - age_ms * (SECOND // 1_000)
    if left_ns > 0:
        who, why = signature(order)
        node.approvals.ask(key, who, why, now_ns, left_ns)
