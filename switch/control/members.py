"""What the orders about one member share: finding it, holding it, showing what became of it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from switch.control.holds import Kept
from switch.control.member_list import MemberShown, shown
from switch.control.order import Answer, Node, Order
from switch.errors import OrderError
from switch.runtime.clock import wall_s
from switch.runtime.listener import BankConnection
from switch.runtime.member import Acquirer, Bank, Hold
from switch.settings.nearest import suggest

__all__ = ["MemberDone", "OneMember", "find", "hold", "signs_on", "standing", "until"]

_LOOK_S: Final = 0.02


class OneMember(Order, frozen=True, kw_only=True):
    """Base of the orders about one member."""

    member: str


class MemberDone(Answer, frozen=True, kw_only=True, tag="member"):
    """A member, and what was done to it."""

    member: MemberShown
    did: str = ""
    """One sentence; with `dry_run` what would be done."""
    dry_run: bool = False

    @classmethod
    def of(cls, member: Acquirer | Bank, node: Node, did: str) -> "MemberDone":
        """The member as it is now."""
        return cls(member=shown(member, node), did=did)


def find(node: Node, name: str) -> Acquirer | Bank:
    """The member of that id. Raises: OrderError with the id that was probably meant."""
    members: list[Acquirer | Bank] = [*node.acquirers.values(), *node.banks.values()]
    for member in members:
        if member.name == name:
            return member
    raise OrderError(
        f'this node has no member "{name}"', help=suggest(name, [one.name for one in members])
    )


def signs_on(node: Node, name: str) -> Bank:
    """A bank that we sign on to. Raises: OrderError."""
    member = find(node, name)
    if isinstance(member, Acquirer):
        raise OrderError(
            f"{name} is an acquirer: it signs on and off itself",
            help=f"to take nothing from it: tapswitch member drain {name}",
        )
    if not next(one.sign_on for one in node.settings.issuers if one.id == name):
        raise OrderError(
            f"the links to {name} have no sign-on (sign_on = false)",
            help=f"to send nothing to it: tapswitch member drain {name}",
        )
    return member


def standing(member: Bank) -> list[BankConnection]:
    """Its connections that stand."""
    return [one for one in member.connections.values() if isinstance(one, BankConnection)]


async def until(done: Callable[[], bool], within_s: float) -> bool:
    """Looks at something until it is so, or the time is up: then False."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within_s
    while not done():
        if loop.time() >= give_up:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


async def hold(node: Node, member: Acquirer | Bank, wanted: Hold, order: Order) -> None:
    """Keeps on disk what an operator wants of a member, then puts it in force. Raises: OrderError;
    then nothing changed."""
    entry = Kept(
        hold=wanted,
        since=f"{datetime.fromtimestamp(wall_s(), tz=UTC):%Y-%m-%dT%H:%M:%SZ}",
        by=order.by.actor,
        reason=order.by.reason,
        stand_in=node.holds.of(member.name).stand_in,
    )
    await asyncio.to_thread(node.holds.keep, member.name, entry)
    member.hold = wanted
    for dialer in node.dialers:
        if dialer.name == member.name:
            dialer.hold() if wanted is Hold.DRAINED else dialer.resume()
    if isinstance(member, Bank):
        node.driver.refresh(member)
