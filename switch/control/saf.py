"""What orders about store and forward have in common: which delivery is meant, and how it is
shown."""

import os
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from switch.control.approvals import Asked
from switch.control.members import until
from switch.control.order import Answer, Node, Order
from switch.engine.deliver import Delivery
from switch.engine.duty import Happening
from switch.errors import OrderError
from switch.journal.query import parse_id, shown_id
from switch.model.state import Duty
from switch.runtime.clock import monotonic_ns
from switch.settings.nearest import suggest

__all__ = [
    "Limit",
    "OneDelivery",
    "SafDone",
    "SafRow",
    "bank_named",
    "carry_out",
    "chosen",
    "recorded",
    "row_of",
    "signature",
]

DUTIES: Final = {duty.name.lower(): duty for duty in Duty}
OPERATOR_BYTES_MAX: Final = 32
"""Of a name that a record takes."""
REMARK_BYTES_MAX: Final = 200
DIGITS_MAX: Final = 8
"""In a row that a reason may have: a date, a ticket, and no card number."""
RECORDED_S: Final = 5.0
"""For the disk to take an operator's word; a caller waits twice as long for the answer."""
_MS: Final = 1_000_000


class SafRow(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery as it stands."""

    id: str
    """Of its transaction, as `tapswitch trace` takes it."""
    what: str
    """reversal, advice, or withdrawal (the reversal of an advice)."""
    member: str
    stage: str
    """owed, sent, parked, held, dead."""
    attempts: int
    """Since it was taken up, or last came back from where it rested."""
    age_s: int
    next_s: float | None
    """Until it is sent again; None: not by the timer, or as soon as its turn comes."""
    why: str = ""
    """Of a dead letter: end code, or the code by which its bank refused it."""
    behind: str = ""
    """What of the same transaction must be over first."""
    stan: str = ""
    time: str = ""
    """Under which the bank gets it."""
    write_off_by: str = ""
    """Who has asked that it be written off, which another operator has to confirm."""


class SafDone(Answer, frozen=True, kw_only=True, tag="saf-done"):
    """What became of deliveries that were named."""

    did: str
    deliveries: Sequence[SafRow] = ()
    """As they stand now; what is over is not among them."""


class OneDelivery(Order, frozen=True, kw_only=True):
    """Base of orders about one delivery."""

    id: str
    what: str = ""
    """reversal, advice or withdrawal; '': the only one of the transaction."""
    dry_run: bool = False


def bank_named(node: Node, name: str) -> int:
    """Index of a bank. Raises: OrderError."""
    names = {bank.name: index for index, bank in node.banks.items()}
    if name not in names:
        raise OrderError(f'this node has no bank "{name}"', help=suggest(name, list(names)))
    return names[name]


def chosen(node: Node, identity: str, what: str) -> Delivery:
    """The delivery that is meant. Raises: OrderError: there is none, or more than one."""
    txn = parse_id(identity)
    if txn is None:
        raise OrderError(f'"{identity}" is no transaction id', help="for example 1-0-42")
    if what and what not in DUTIES:
        raise OrderError(f'nothing is called "{what}" here', help=suggest(what, list(DUTIES)))
    found = [
        delivery
        for delivery in node.driver.engine.deliveries.of(txn)
        if not what or delivery.owed.duty == DUTIES[what]
    ]
    if not found:
        raise OrderError(
            f"no bank is owed {f'the {what}' if what else 'anything'} of {shown_id(txn)}",
            help="tapswitch saf list shows what is owed, tapswitch trace what became of it",
        )
    if len(found) > 1:
        several = ", ".join(Duty(one.owed.duty).name.lower() for one in found)
        raise OrderError(f"of {shown_id(txn)} a bank is owed: {several}", help="say --what")
    return found[0]


def row_of(node: Node, delivery: Delivery) -> SafRow:
    """How it stands."""
    owed, now_ns = delivery.owed, monotonic_ns()
    bank = node.banks.get(owed.issuer)
    first = node.driver.engine.deliveries.of(owed.txn)[0]
    pause = delivery.due_ns - now_ns if delivery.due_ns else None
    asked = node.approvals.of(("saf-write-off", owed.txn, int(owed.duty)), now_ns)
    return SafRow(
        id=shown_id(owed.txn),
        what=Duty(owed.duty).name.lower(),
        member=bank.name if bank is not None else "",
        stage=delivery.stage.name.lower(),
        attempts=delivery.attempts,
        age_s=max(0, (now_ns - delivery.owed_ns) // (1_000 * _MS)),
        next_s=max(0, pause // _MS) / 1_000 if pause is not None else None,
        why=delivery.why,
        behind="" if first is delivery else Duty(first.owed.duty).name.lower(),
        stan=f"{owed.stan:06d}",
        time=owed.time,
        write_off_by=asked.who if asked is not None else "",
    )


def carry_out(
    node: Node, order: Order, delivery: Delivery, happening: Happening, asked: Asked | None = None
) -> str:
    """Does it, and has it recorded under the caller's name; where another operator `asked` for it,
    under both names and for that one's reason. What was done, in a few words. Raises: OrderError:
    it changes nothing, for a reason that is told."""
    who, why = signature(order)
    if asked:
        half = (OPERATOR_BYTES_MAX - 1) // 2
        who, why = f"{_cut(asked.who, half)},{_cut(who, half)}", asked.why
    engine = node.driver.engine
    effects = engine.ordered(delivery.owed, happening, monotonic_ns(), who, why)
    if isinstance(effects, str):
        raise OrderError(effects)
    node.driver.run(effects, monotonic_ns())
    return DID[happening]


async def recorded(node: Node, delivery: Delivery | None = None) -> list[SafRow]:
    """Waits until what was carried out is durable, so that what an operator is told holds whatever
    happens to the worker. How the delivery stands then; nothing when it is over by then. Raises:
    OrderError: it is not durable, and may be forgotten."""
    journal = node.driver.journal
    wanted = journal.appended
    if not await until(lambda: journal.synced >= wanted, RECORDED_S):
        raise OrderError(
            "it is carried out, but its record is not on disk yet: a worker that starts again may"
            " not know of it",
            help="tapswitch saf show says how it stands; see to the journal's disk",
        )
    if delivery is None:
        return []
    owed = delivery.owed
    found = node.driver.engine.deliveries.get(owed.txn, owed.duty)
    return [row_of(node, delivery)] if found is delivery else []


DID: Final = {
    Happening.RETRIED: "is sent again as soon as its bank takes it",
    Happening.HELD: "is kept back until it is released",
    Happening.RELEASED: "is kept back no longer",
    Happening.WRITTEN_OFF: "is written off: the switch does nothing more about it",
}


def signature(order: Order) -> tuple[str, str]:
    """Who, and why, as a record takes it. Raises: OrderError."""
    who = order.by.actor or f"uid {os.getuid()}"
    why = order.by.reason
    if len(why.encode()) > REMARK_BYTES_MAX:
        raise OrderError(f"the reason has more than {REMARK_BYTES_MAX} bytes")
    if not why.isprintable() or _digits_in_a_row(why) > DIGITS_MAX:
        raise OrderError(
            f"the reason has more than {DIGITS_MAX} digits in a row, or signs that are not shown",
            help="it is kept in the journal: no card or account numbers",
        )
    return _cut(who, OPERATOR_BYTES_MAX), why


def _cut(text: str, bytes_max: int) -> str:
    return text.encode()[:bytes_max].decode(errors="ignore")


def _digits_in_a_row(text: str) -> int:
    run = longest = 0
    for sign in text:
        if sign.isdigit():
            run += 1
        elif sign not in " -./":
            run = 0
        longest = max(longest, run)
    return longest


Limit = Annotated[int, Meta(ge=1, le=1_000)]
"""Rows of one answer."""
