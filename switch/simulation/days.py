"""D8: a machine that was off for hours or days, with keys to remember and something owed.

Time passes while nothing runs: a world ticks twenty times a second, so that a day of it would take
minutes. What ages by dates ages all the same: keys, which a checkpoint leaves out when neither a
bank nor an acquirer can come back to them (`switch.apps.rules.remembered_s`), those of what was
taken back, tombstones and what is owed, which it never leaves out.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from switch.simulation.plan import Script
from switch.simulation.rest import restless
from switch.simulation.script import AMOUNTS, CARDS, MOMENTS

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["DAY_H", "REMEMBERED_H", "pass_days"]

DAY_H: Final = 24
HORIZON_H: Final = 96
"""In the settings of a world: what is owed for longer is a dead letter."""
REMEMBERED_H: Final = 24 + HORIZON_H
"""And so long every request is known: the default of `limits.repeats_h` more."""
HOUR_S: Final = 3_600
UP_S: Final = 8.0
REST_S: Final = 60.0


async def pass_days(world: "World") -> bool:
    """Banks fall silent, so that something is owed, unless it would be for too long; the machine
    is off; a checkpoint is made of the next day, and everything is recovered from that. False when
    it did not come to rest again."""
    plan = world.plan
    for bank in world.banks.values():
        bank.mute = plan.hours_off < HORIZON_H
    for place in range(len(world.banks) * CARDS):
        number, draws = world.audited, (0.5,) * MOMENTS
        world.audited += 1
        bank_of, card_of = divmod(place, CARDS)
        amount = AMOUNTS[place % len(AMOUNTS)]
        world.acquirers[0].begin(
            Script(number, 0, 0, "purchase", bank_of, card_of, amount, 0, False, (), draws)
        )
    await asyncio.sleep((plan.deadline_ms + plan.timeout_ms) * 1e-3 + 0.3)
    worker = world.node.worker
    if worker is not None and worker.driver.engine.owed_count:
        world.counts["owed over days"] += 1
    for off in (True, False):
        world.node.kill(power=True)
        if off:
            world.step_s += plan.hours_off * HOUR_S
            world.note(f"off for {plan.hours_off} h")
        if not await world.until(world.warm, UP_S):
            world.breaks("J4", f"it does not come up after {plan.hours_off} h")
            return False
        if off and not await world.ordeals.checkpoint_at_rest():
            world.breaks("J4", "a checkpoint of the next day does not come to its end")
            return False
    for bank in world.banks.values():
        bank.mute = False
    if not await world.until(world.at_rest, REST_S):
        world.breaks("L2", f"not settled after {plan.hours_off} h: {restless(world)}")
        return False
    world.counts["off within a day" if plan.hours_off < DAY_H else "off for days"] += 1
    return True
