"""Order `member-drain`: nothing new to or from a member; what is in flight ends; sign-off; down.

It holds, over a restart too, until `member-enable`. A bank: new requests are declined as for one
that is down, reversals owed to it wait in the journal. An acquirer: its connections are read no
more, then ended; new ones are closed at once.
"""

from switch.control.members import MemberDone, OneMember, find, hold
from switch.control.order import Node
from switch.errors import OrderError
from switch.runtime.drain import drain_member
from switch.runtime.member import Bank, Hold

__all__ = ["MemberDrain", "perform"]


class MemberDrain(OneMember, frozen=True, kw_only=True, tag="member-drain"):
    """Answered by `MemberDone` when the member is down."""

    within_s = 150.0
    """More than any deadline of a bank."""
    dry_run: bool = False


async def perform(order: MemberDrain, node: Node) -> MemberDone:
    """Raises: OrderError: no such member, or it was enabled before it was down."""
    member = find(node, order.member)
    waiting = len(member.matcher.in_flight) if isinstance(member, Bank) else member.in_flight
    links = len(member.connections)
    if order.dry_run:
        return MemberDone.of(
            member,
            node,
            f"would end {links} connections once {waiting} requests in flight have ended",
        )
    before = member.hold
    await hold(node, member, Hold.DRAINED, order)
    if not await drain_member(node.driver, member):
        raise OrderError(f"{member.name} was enabled before it was drained")
    if before is Hold.DRAINED and not links:
        return MemberDone.of(member, node, "was drained already")
    return MemberDone.of(
        member, node, f"drained: {links} connections ended, {waiting} requests came to their end"
    )
