"""Orders `stand-in-suspend` and `stand-in-resume`: nothing is approved in a bank's name any more,
whatever its rules say, or again as they say. Kept beside the holds of members, over a restart too.

What was approved stays approved, and its advice is delivered.
"""

import asyncio
from datetime import UTC, datetime

import msgspec

from switch.control.holds import Suspended
from switch.control.members import MemberDone, OneMember, find
from switch.control.order import Node
from switch.errors import OrderError
from switch.runtime.clock import wall_s
from switch.runtime.member import Acquirer, Bank

__all__ = ["StandInResume", "StandInSuspend", "resume", "suspend"]


class StandInSuspend(OneMember, frozen=True, kw_only=True, tag="stand-in-suspend"):
    """Answered by `MemberDone`."""

    dry_run: bool = False


class StandInResume(OneMember, frozen=True, kw_only=True, tag="stand-in-resume"):
    """Answered by `MemberDone`."""

    dry_run: bool = False


async def suspend(order: StandInSuspend, node: Node) -> MemberDone:
    """Raises: OrderError: it is no bank, or this cannot be kept on disk."""
    bank = _bank(node, order.member)
    rules = _rules(node, bank)
    if order.dry_run:
        return MemberDone.of(bank, node, f"would approve nothing in its name ({rules} rules)")
    since = f"{datetime.fromtimestamp(wall_s(), tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
    entry = Suspended(since=since, by=order.by.actor, reason=order.by.reason)
    await _keep(node, bank, entry)
    return MemberDone.of(bank, node, "nothing is approved in its name from now on")


async def resume(order: StandInResume, node: Node) -> MemberDone:
    """Raises: OrderError: it is no bank, or this cannot be kept on disk."""
    bank = _bank(node, order.member)
    rules = _rules(node, bank)
    if order.dry_run:
        return MemberDone.of(bank, node, f"would approve in its name by {rules} rules")
    await _keep(node, bank, None)
    return MemberDone.of(bank, node, f"approves in its name by {rules} rules")


def _bank(node: Node, name: str) -> Bank:
    member = find(node, name)
    if isinstance(member, Acquirer):
        raise OrderError(f"{name} is an acquirer: nothing is approved in its name")
    return member


def _rules(node: Node, bank: Bank) -> int:
    return next(len(one.stand_in) for one in node.settings.issuers if one.id == bank.name)


async def _keep(node: Node, bank: Bank, entry: Suspended | None) -> None:
    kept = msgspec.structs.replace(node.holds.of(bank.name), stand_in=entry)
    await asyncio.to_thread(node.holds.keep, bank.name, kept)
    bank.stand_in_suspended = entry is not None
