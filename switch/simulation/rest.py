"""What is looked at while a world runs: whether it is at rest, and that nothing happened that
cannot."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from switch.simulation.caps import overgrown
from switch.simulation.garble import SWALLOWS

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["impossible", "restless", "sound", "standing"]

IMPOSSIBLE: Final = ("impossible", "still_in_doubt")
"""Counts of the engine that stay 0."""


def restless(world: "World") -> str:
    """What is not at rest."""
    worker = world.node.worker
    if worker is None or not world.node.up:
        return "the node is not up"
    for acquirer in world.acquirers:
        if not acquirer.at_rest:
            return f"acquirer {acquirer.index}: {len(acquirer.open)} open"
        if acquirer.pick(0) is None:
            return f"acquirer {acquirer.index} is not signed on"
    if world.operator is not None and world.operator.open:
        return f"{world.operator.open} orders are open"
    if not sound(world):
        return "vault and index are not equal"
    engine = worker.driver.engine
    if engine.in_flight:
        return f"{engine.in_flight} in flight"
    if engine.owed_count:
        return f"{engine.owed_count} reversals owed"
    if worker.native.held:
        return f"{worker.native.held} frames held"
    for member in worker.banks.values():
        if not member.ready:
            return f"{member.name} is not reachable"
        for link in member.connections.values():
            end: Any = link.transport
            if end is not None and not end.quiet:
                return f"bytes are under way to or from {member.name}"
    for acquirer in world.acquirers:
        for one in acquirer.links:
            if one is not None and one.transport is not None and not one.transport.quiet:
                return f"bytes are under way to or from acquirer {acquirer.index}"
    return ""


def sound(world: "World") -> bool:
    """Vault and index are equal, as far as their gateway knows."""
    return world.gateway is None or world.gateway.sound


def impossible(world: "World") -> Iterator[tuple[str, str]]:
    """Rules that do not hold now, and why."""
    worker = world.node.worker
    if worker is None or not world.node.up:
        return
    for text in overgrown(worker):
        yield "L3", text
    if world.disk_failed():
        return
    for what in IMPOSSIBLE:
        if worker.driver.counts[what]:
            yield "assert", f"{what}: {worker.driver.counts[what]}"
    if worker.driver.failed.done():
        yield "halt", worker.driver.failed.result()


def standing(world: "World") -> frozenset[int]:
    """Connections of acquirers over which nothing can have been lost."""
    swallowed = {one.link for one in world.asked.garbled if one.kind in SWALLOWS}
    return frozenset(
        link.number
        for acquirer in world.acquirers
        for link in acquirer.links
        if link is not None and link.ready and not link.transport.out.dark
        if link.number not in swallowed
    )
