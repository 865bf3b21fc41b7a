"""Order `member-echo`: tests every signed-on line of a member with 0800/301 and tells the times.

Source: ISO 8583:1987 network management, field 70: 301 echo test.
"""

import asyncio
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from switch.control.members import OneMember, find
from switch.control.order import Answer, Node
from switch.errors import OrderError
from switch.link.states import LinkState

__all__ = ["Echoes", "LinkEcho", "MemberEcho", "perform"]

_TESTED: Final = (LinkState.SIGNED_ON, LinkState.ECHOING)
_PAUSE_S: Final = 0.05


class MemberEcho(OneMember, frozen=True, kw_only=True, tag="member-echo"):
    """Answered by `Echoes`. It sends messages, and changes nothing."""

    changes = False
    within_s = 200.0
    count: Annotated[int, Meta(ge=1, le=20)] = 1
    """Tests on each line, one after the other."""
    limit_ms: Annotated[int, Meta(ge=10, le=9_000)] = 3_000
    """For each answer."""


class LinkEcho(msgspec.Struct, frozen=True, kw_only=True):
    """What one line said."""

    slot: int
    peer: str
    session: str
    """Its state; only a line that is signed on is tested."""
    took_us: list[int] = []
    """Of the answers that came in time, from the hand-over of ours."""
    missed: int = 0


class Echoes(Answer, frozen=True, kw_only=True, tag="echoes"):
    """All lines of the member."""

    member: str
    links: list[LinkEcho]


async def perform(order: MemberEcho, node: Node) -> Echoes:
    """Raises: OrderError when there is no such member or it has no connection."""
    member = find(node, order.member)
    links: list[Any] = list(member.connections.values())
    if not links:
        raise OrderError(
            f"{member.name} has no connection", help=f"tapswitch member show {member.name}"
        )
    return Echoes(
        member=member.name,
        links=list(await asyncio.gather(*(_test(one, order) for one in links))),
    )


async def _test(link: Any, order: MemberEcho) -> LinkEcho:
    state = link.session.state
    took: list[int] = []
    missed = 0
    for number in range(order.count):
        if link.session.state not in _TESTED:
            break
        if number:
            await asyncio.sleep(_PAUSE_S)
        try:
            # Sessions' timers are a quarter of a second late at most; a loop that is behind, more.
            took_ns = await asyncio.wait_for(link.echo(order.limit_ms), order.limit_ms / 1000 + 2)
        except TimeoutError:
            took_ns = -1
        if took_ns < 0:
            missed += 1
        else:
            took.append(took_ns // 1_000)
    return LinkEcho(
        slot=link.slot,
        peer=link.peer,
        session=state.name.lower(),
        took_us=took,
        missed=missed,
    )
