"""Order `member-show`: one member and its links as they are at this moment."""

from switch.control.members import MemberDone, OneMember, find
from switch.control.order import Node

__all__ = ["MemberShow", "perform"]


class MemberShow(OneMember, frozen=True, kw_only=True, tag="member-show"):
    """Answered by `MemberDone`."""

    changes = False


async def perform(order: MemberShow, node: Node) -> MemberDone:
    """Raises: OrderError when there is no such member."""
    return MemberDone.of(find(node, order.member), node, "")
