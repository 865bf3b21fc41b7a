"""Order `member-sign-on`: 0800/001 on every standing connection of a bank that is not signed on.

Takes back a sign-off by an operator; a drained bank is enabled instead.
"""

from typing import Final

from switch.control.members import MemberDone, OneMember, hold, signs_on, standing, until
from switch.control.order import Node
from switch.errors import OrderError
from switch.link.states import LinkState
from switch.runtime.member import Hold

__all__ = ["MemberSignOn", "perform"]

ANSWER_S: Final = 6.0
"""A bank has five seconds to answer an 0800."""
_DONE: Final = (LinkState.SIGNED_ON, LinkState.ECHOING)


class MemberSignOn(OneMember, frozen=True, kw_only=True, tag="member-sign-on"):
    """Answered by `MemberDone`."""

    dry_run: bool = False


async def perform(order: MemberSignOn, node: Node) -> MemberDone:
    """Raises: OrderError: it has no sign-on, it is drained, or it did not take it."""
    bank = signs_on(node, order.member)
    if bank.hold is Hold.DRAINED:
        raise OrderError(
            f"{bank.name} is drained", help=f"tapswitch member enable {bank.name} --reason …"
        )
    off = [link for link in standing(bank) if link.session.state not in _DONE]
    if order.dry_run:
        return MemberDone.of(bank, node, f"would send 0800 001 on {len(off)} connections")
    await hold(node, bank, Hold.NONE, order)
    for link in off:
        link.sign_on()
    asked = LinkState.SIGNING_ON
    await until(lambda: all(link.session.state is not asked for link in off), ANSWER_S)
    done = sum(link.open for link in off)
    if off and not done:
        raise OrderError(
            f"{bank.name} took the sign-on on none of {len(off)} connections; we go on trying",
            help=f"tapswitch member show {bank.name}; ask the bank why it refuses or is silent",
        )
    return MemberDone.of(
        bank, node, f"signed on, on {done} of {len(off)} connections that were not"
    )
