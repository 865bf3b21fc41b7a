"""Order `member-sign-off`: 0800/002 on every standing connection of a bank; they stay connected.

It holds, over a restart too, until `member-sign-on`: new connections do not sign on, and a sign-on
of the bank's own is refused. Requests for it are declined as for a bank that is down; answers to
what is in flight are taken.
"""

from typing import Final

from switch.control.members import MemberDone, OneMember, hold, signs_on, standing, until
from switch.control.order import Node
from switch.errors import OrderError
from switch.link.states import LinkState
from switch.runtime.member import Hold

__all__ = ["MemberSignOff", "perform"]

ANSWER_S: Final = 6.0


class MemberSignOff(OneMember, frozen=True, kw_only=True, tag="member-sign-off"):
    """Answered by `MemberDone`."""

    dry_run: bool = False


async def perform(order: MemberSignOff, node: Node) -> MemberDone:
    """Raises: OrderError: it has no sign-on, or it is drained."""
    bank = signs_on(node, order.member)
    if bank.hold is Hold.DRAINED:
        raise OrderError(f"{bank.name} is drained: it has no connection to sign off")
    links = standing(bank)
    if order.dry_run:
        waiting = len(bank.matcher.in_flight)
        return MemberDone.of(
            bank,
            node,
            f"would send 0800 002 on {len(links)} connections; {waiting} requests are in flight",
        )
    await hold(node, bank, Hold.SIGNED_OFF, order)
    for link in links:
        link.rest()
    await until(lambda: all(one.session.state is not LinkState.RESTING for one in links), ANSWER_S)
    return MemberDone.of(bank, node, f"signed off on {len(links)} connections, which stay")
