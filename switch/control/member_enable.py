"""Order `member-enable`: a drained or signed-off member takes part again."""

from typing import Final

from switch.control.members import MemberDone, OneMember, find, hold, standing, until
from switch.control.order import Node
from switch.link.states import LinkState
from switch.runtime.member import Acquirer, Hold

__all__ = ["MemberEnable", "perform"]

BACK_S: Final = 3.0
"""How long the answer waits for a bank's first link."""


class MemberEnable(OneMember, frozen=True, kw_only=True, tag="member-enable"):
    """Answered by `MemberDone`, at the latest after some seconds, up or not yet."""

    dry_run: bool = False


async def perform(order: MemberEnable, node: Node) -> MemberDone:
    """Raises: OrderError when there is no such member."""
    member = find(node, order.member)
    before = member.hold
    if before is Hold.NONE:
        return MemberDone.of(member, node, "was enabled already")
    if order.dry_run:
        return MemberDone.of(member, node, f"would end the hold ({before})")
    await hold(node, member, Hold.NONE, order)
    if isinstance(member, Acquirer):
        return MemberDone.of(member, node, "enabled: its connections are taken again")
    for link in standing(member):
        if link.session.state in {LinkState.HELD, LinkState.RESTING}:
            link.sign_on()
    up = "it is up" if await until(lambda: bool(member.ready), BACK_S) else "it is not up yet"
    return MemberDone.of(member, node, f"enabled: {up}")
