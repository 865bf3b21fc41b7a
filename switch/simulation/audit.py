"""The end of a run: a world at rest is killed and recovered, and must tell what it told before."""

import asyncio
from typing import TYPE_CHECKING, Final

from switch.simulation.plan import stream

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["WARM_S", "audit"]

WARM_S: Final = 8.0
"""Within so much virtual time a world must be up."""
DRAINED_S: Final = 30.0
ASKED_AGAIN: Final = 40
"""Requests of before that are repeated, at most."""


async def audit(world: "World") -> None:
    """J4, D1 and E1 over restarts: killed and recovered twice, the node knows what it owes, tells
    the same again, and takes no counter twice; then it drains."""
    for power in (True, False):
        before = _remembered(world)
        world.node.kill(power=power)
        if not await world.until(world.warm, WARM_S):
            world.breaks("J4", "it does not come up again")
            return
        after = _remembered(world)
        if before != after:
            world.breaks("J4", f"recovered {after} from {before}")
    _ask_again(world)
    await asyncio.sleep(0.2 + 4 * world.plan.latency_us[1] * 1e-6)
    world.node.retired = True
    world.node.stop()
    if not await world.until(lambda: world.node.life is None, DRAINED_S):
        world.breaks("L1", "it does not come to its end when it is stopped")


def _ask_again(world: "World") -> None:
    """Requests once more, and counters once more under new keys."""
    rng = stream(world.plan.seed, "audit")
    settled = [
        (slot, body, acquirer)
        for acquirer in world.acquirers
        for slot in world.asked.slots.values()
        if slot.acquirer == acquirer.code
        for body in slot.bodies.values()
        if body.told and body.sent
    ]
    for slot, body, acquirer in rng.sample(settled, min(len(settled), ASKED_AGAIN)):
        acquirer.send(body, slot, 0)
    used = world.wallet.used() if world.wallet is not None else []
    twice = [place for place in used for _ in range(2)]
    first = 1 + max((script.number for script in world.scripts), default=0)
    for number, (bank, card) in enumerate(twice, first):
        world.acquirers[0].replay(number, bank, card)


def _remembered(world: "World") -> tuple[int, ...]:
    worker = world.node.worker
    assert worker is not None
    engine = worker.driver.engine
    return engine.in_flight, engine.owed_count
