"""Order `link-errors`: the last frames of a member that could not be decoded, or whose message
code does not hold, masked, with the place of the fault."""

from typing import Annotated

from msgspec import Meta

from switch.control.members import OneMember, find
from switch.control.order import Answer, Node
from switch.runtime.faults import FRAMES_MAX, FrameFault

__all__ = ["FramesShown", "LinkErrors", "perform"]


class LinkErrors(OneMember, frozen=True, kw_only=True, tag="link-errors"):
    """Answered by `FramesShown`."""

    changes = False
    limit: Annotated[int, Meta(ge=1, le=FRAMES_MAX)] = FRAMES_MAX


class FramesShown(Answer, frozen=True, kw_only=True, tag="frames"):
    """The newest last."""

    member: str
    total: int
    """Frames that could not be decoded or proved since the worker's start; the last 64 are kept."""
    frames: list[FrameFault]


async def perform(order: LinkErrors, node: Node) -> FramesShown:
    """Raises: OrderError when there is no such member."""
    faults = find(node, order.member).faults
    return FramesShown(member=order.member, total=faults.total, frames=faults.newest(order.limit))
