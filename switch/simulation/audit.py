"""The end of a run: a world at rest is killed and recovered, and must tell what it told before."""

import asyncio
from typing import TYPE_CHECKING, Final

from switch.simulation.days import DAY_H, REMEMBERED_H, pass_days
from switch.simulation.ledgers import Body, Slot
from switch.simulation.plan import Script, stream
from switch.simulation.rest import restless, sound
from switch.simulation.script import AMOUNTS, CARDS, MOMENTS
from switch.simulation.wallet import ISSUED

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["REST_S", "WARM_S", "audit"]

WARM_S: Final = 8.0
"""Within so much virtual time a world must be up."""
DRAINED_S: Final = 30.0
REST_S: Final = 60.0
"""Within so much virtual time after healing a world must be at rest."""
TAP_S: Final = 0.004
AWAY_S: Final = 0.05
SPENT_MAX: Final = 2
"""Approvals in a bank's name that are wanted of each card, and one more."""
ASKED_AGAIN: Final = 40
"""Requests of before that are repeated, at most."""


async def audit(world: "World") -> None:
    """J4, D1 and E1 over restarts: killed and recovered twice, the node knows what it owes, tells
    the same again, and takes no counter twice; then it drains."""
    world.audited = 1 + max((script.number for script in world.scripts), default=0)
    if world.plan.stand_in:
        await _spend(world)
    if world.plan.seed % 2 and not await world.ordeals.checkpoint_at_rest():
        world.breaks("J4", "a checkpoint at rest does not come to its end")
    for power in (True, False):
        before = _remembered(world)
        if power and world.gateway is not None:
            world.gateway.kill()
        world.node.kill(power=power)
        if not await world.until(world.warm, WARM_S):
            world.breaks("J4", "it does not come up again")
            return
        after = _remembered(world)
        if before != after:
            world.breaks("J4", f"recovered {after} from {before}")
    if world.plan.hours_off and not await pass_days(world):
        return
    await _tap_all(world)
    _ask_again(world)
    await asyncio.sleep(0.2 + 4 * world.plan.latency_us[1] * 1e-6)
    if world.plan.stand_in:
        await _spend(world)
    world.node.retired = True
    world.node.stop()
    if not await world.until(lambda: world.node.life is None, DRAINED_S):
        world.breaks("L1", "it does not come to its end when it is stopped")


async def _tap_all(world: "World") -> None:
    """E4, E5, E7 at rest: a genuine tap with every token, when nothing can be in doubt about it."""
    if world.wallet is None:
        return
    if world.gateway is not None and not await world.until(lambda: sound(world), WARM_S):
        world.breaks("J3", "vault and index do not become equal")
        return
    for bank in range(len(world.banks)):
        for token in range(ISSUED + 1 if world.plan.orders else ISSUED):
            number = world.audited
            world.audited += 1
            amount, draws = AMOUNTS[token % len(AMOUNTS)], (0.5,) * MOMENTS
            world.acquirers[0].begin(
                Script(number, 0, 0, "purchase", bank, 0, amount, 0, True, (), draws, token)
            )
            await asyncio.sleep(TAP_S)


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
    if world.plan.hours_off > REMEMBERED_H:
        # Only what was taken back is known for good.
        settled = [one for one in settled if _taken_back(*one[:2])]
    for slot, body, acquirer in rng.sample(settled, min(len(settled), ASKED_AGAIN)):
        acquirer.send(body, slot, 0)
        if world.plan.hours_off:
            late = world.plan.hours_off >= DAY_H
            world.counts["asked after days" if late else "asked after hours"] += 1
            if late and _taken_back(slot, body):
                world.counts["reversed, asked again after days"] += 1
    used = world.wallet.used() if world.wallet is not None else []
    twice = [place for place in used for _ in range(2)]
    for bank, card in twice:
        world.acquirers[0].replay(world.audited, bank, card)
        world.audited += 1


def _taken_back(slot: Slot, body: Body) -> bool:
    """It was approved and then reversed, or reversed before it came."""
    return any(
        told.code == "00" and (body.approved or told.at_ns < body.sent[0][0])
        for one in slot.undoings
        if one.body is body and not one.lie
        for told in one.told
    )


async def _spend(world: "World") -> None:
    """M8 over restarts and checkpoints: banks go, and every card spends more than it has left."""
    for bank in world.banks.values():
        bank.leave()
    await asyncio.sleep(AWAY_S)
    faults, draws = (), (0.5,) * MOMENTS
    for _ in range(min(world.plan.stand_in, SPENT_MAX) + 1):
        for place in range(len(world.banks) * CARDS):
            number = world.audited
            world.audited += 1
            of, number_of = divmod(place, CARDS)
            amount = AMOUNTS[number % len(AMOUNTS)]
            world.acquirers[0].begin(
                Script(number, 0, 0, "purchase", of, number_of, amount, 0, False, faults, draws)
            )
        await asyncio.sleep(AWAY_S)
    for bank in world.banks.values():
        bank.come_back()
    if not await world.until(world.at_rest, REST_S):
        world.breaks("rest", f"not at rest after its banks were away: {restless(world)}")


def _remembered(world: "World") -> tuple[int, ...]:
    worker = world.node.worker
    assert worker is not None
    engine = worker.driver.engine
    return engine.in_flight, engine.owed_count
