"""Order `member-list`: every member with its links, as they are at this moment."""

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from switch.control.order import Answer, Node, Order
from switch.model.kind import Kind
from switch.runtime.clock import monotonic_ns
from switch.runtime.member import Hold

if TYPE_CHECKING:
    from switch.runtime.member import Acquirer, Bank
    from switch.runtime.transport import Connection

__all__ = [
    "LinkShown",
    "MemberList",
    "MemberShown",
    "MembersShown",
    "StoodIn",
    "perform",
    "shown",
]

_MANAGEMENT: Final = (Kind.UNKNOWN, Kind.NETWORK, Kind.NETWORK_REPLY)


class MemberList(Order, frozen=True, kw_only=True, tag="member-list"):
    """Answered by `MembersShown`."""

    changes = False


class LinkShown(msgspec.Struct, frozen=True, kw_only=True):
    """One connection."""

    slot: int
    peer: str
    """host:port of the other side."""
    session: str
    """State of the session: switch/link/states.py, small letters."""
    open: bool
    """Financial traffic may pass."""
    writable: bool
    """The peer takes what we write."""
    health: str
    """Of a bank: good, suspect, out, trial (switch/link/health.py)."""
    answered: int
    """Of the requests sent on it."""
    expired: int
    """Of the requests sent on it, those that reached their deadline without an answer."""
    unread_bytes: int
    """Written by us, not taken by the peer's kernel yet."""
    since_ms: int
    """How long it has stood."""
    silent_ms: int
    """Since the last bytes from the peer."""


class StoodIn(msgspec.Struct, frozen=True, kw_only=True):
    """What was approved in a bank's name today, of one currency, over all cards."""

    currency: str
    count: int
    sum_minor: int
    rules: int
    """Rules of that currency."""


class MemberShown(msgspec.Struct, frozen=True, kw_only=True):
    """One member."""

    id: str
    role: str
    """acquirer or issuer."""
    state: str
    """up: financial traffic passes; down: on no link; draining, drained, signed-off: an operator
    wants it so."""
    links: list[LinkShown]
    links_max: int
    """dialled, or accepted at most."""
    signed_on: int
    """Links on which financial traffic may pass."""
    in_flight: int
    in_flight_max: int
    circuit: str = ""
    """Of a bank: closed, half_open, open (switch/link/circuit.py)."""
    circuit_why: str = ""
    """Why it opened last; '' while it is closed."""
    circuit_since_ms: int = 0
    """How long it has been in that state."""
    stand_in: list[StoodIn] = []
    """Of a bank with rules of stand-in: what was approved in its name on this business date."""
    stand_in_suspended: str = ""
    """Since when an operator wants nothing approved in its name; '' not at all."""
    reversals_owed: int
    """Reversals that the bank has not acknowledged; they wait while it is held."""
    hold: str = ""
    """signed-off, drained: what an operator wants; '' nothing."""
    hold_since: str = ""
    hold_by: str = ""
    hold_reason: str = ""
    messages: int
    """Financial messages read from it since the worker's start: requests, or answers to them."""


class MembersShown(Answer, frozen=True, kw_only=True, tag="members"):
    """In the order of the settings, acquirers first."""

    members: list[MemberShown]


async def perform(_: MemberList, node: Node) -> MembersShown:
    """Refuses nothing."""
    members: list[Acquirer | Bank] = [*node.acquirers.values(), *node.banks.values()]
    return MembersShown(members=[shown(member, node) for member in members])


def shown(member: "Acquirer | Bank", node: Node) -> MemberShown:
    """One member as it is now."""
    now_ns = monotonic_ns()
    bank = node.banks.get(member.index)
    if bank is not None:
        in_flight, in_flight_max = len(bank.matcher.in_flight), bank.matcher.in_flight_max
    else:
        acquirer = node.acquirers[member.index]
        in_flight, in_flight_max = acquirer.in_flight, acquirer.in_flight_max
    kept = node.holds.of(member.name)
    circuit = bank.circuit if bank is not None else None
    return MemberShown(
        id=member.name,
        role="acquirer" if bank is None else "issuer",
        state=_state(member),
        links=[_link(one, now_ns) for one in member.connections.values()],
        links_max=member.connections_max,
        signed_on=member.signed_on(),
        in_flight=in_flight,
        in_flight_max=in_flight_max,
        circuit=circuit.state.name.lower() if circuit is not None else "",
        circuit_why=circuit.why if circuit is not None and not circuit.closed else "",
        circuit_since_ms=(now_ns - circuit.since_ns) // 1_000_000 if circuit is not None else 0,
        reversals_owed=node.driver.native.owed_to(bank.index) if bank is not None else 0,
        stand_in=_stand_in(bank, node) if bank is not None else [],
        stand_in_suspended=kept.stand_in.since if kept.stand_in is not None else "",
        hold=kept.hold,
        hold_since=kept.since,
        hold_by=kept.by,
        hold_reason=kept.reason,
        messages=sum(n for kind, n in enumerate(member.messages_in) if kind not in _MANAGEMENT),
    )


def _stand_in(bank: "Bank", node: Node) -> list[StoodIn]:
    rules = next((one.stand_in for one in node.settings.issuers if one.id == bank.name), ())
    by_currency = Counter(rule.currency for rule in rules)
    found = []
    for currency, count in sorted(by_currency.items()):
        approvals, total = node.driver.gate.stood_in_today(bank.index, currency)
        found.append(StoodIn(currency=currency, count=approvals, sum_minor=total, rules=count))
    return found


def _state(member: "Acquirer | Bank") -> str:
    if member.hold is Hold.DRAINED:
        return "draining" if member.connections else "drained"
    if member.hold is Hold.SIGNED_OFF:
        return "signed-off"
    return "up" if member.signed_on() else "down"


def _link(link: "Connection", now_ns: int) -> LinkShown:
    session = getattr(link, "session", None)
    heard_ns = session.heard_ns if session is not None else link.made_ns
    return LinkShown(
        slot=link.slot,
        peer=link.peer,
        session=session.state.name.lower() if session is not None else "",
        open=link.open,
        writable=link.writable,
        health=link.health_state,
        answered=link.tally.answered,
        expired=link.tally.expired,
        unread_bytes=link.unread_bytes,
        since_ms=(now_ns - link.made_ns) // 1_000_000,
        silent_ms=max(0, now_ns - heard_ns) // 1_000_000,
    )
