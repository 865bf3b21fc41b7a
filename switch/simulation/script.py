"""What acquirers will do, one transaction after another; drawn before a world begins, or told."""

from collections.abc import Iterator
from typing import Final

import msgspec

from switch.simulation.chance import rounded, stream
from switch.simulation.crowd import COST_US, NOISY_TIMES, QUIET_US
from switch.simulation.plan import ACQUIRER_FAULTS, MOMENTS, Plan, Script

__all__ = ["AMOUNTS", "CARDS", "KINDS", "MOMENTS", "Kind", "scripts"]


class Kind(msgspec.Struct, frozen=True):
    """A kind of transaction, as it is written in a message."""

    mti: str
    processing_code: str
    condition_code: str
    weight: int
    """How often, beside the others."""


KINDS: Final = {
    "purchase": Kind("0200", "000000", "00", 60),
    "authorisation": Kind("0100", "000000", "00", 10),
    "preauthorisation": Kind("0100", "030000", "06", 8),
    "completion": Kind("0200", "000000", "06", 8),
    "balance": Kind("0200", "310000", "00", 6),
    "advice": Kind("0220", "000000", "06", 8),
}
AMOUNTS: Final = (100, 250, 999, 1_000, 5_000)
"""Few, so that colliding requests are sometimes the same one."""
CARDS: Final = 4
"""Of each bank, for the same reason."""


def scripts(plan: Plan) -> Iterator[Script]:
    """All transactions of a world, in the order of time."""
    if plan.script is not None:
        yield from plan.script
        return
    if plan.crowd:
        yield from _crowd(plan)
        return
    workload = stream(plan.seed, "workload")
    at_us = 0
    for number in range(plan.transactions):
        yield _drawn(plan, number, workload.randrange(plan.acquirers), at_us)
        at_us += int(2 * plan.gap_us * workload.random())


def _crowd(plan: Plan) -> Iterator[Script]:
    """A quiet acquirer beside a noisy one, who offers a multiple of what the node can do."""
    gap_us = COST_US / plan.crowd
    noisy = plan.transactions * NOISY_TIMES
    times = [(round(place * gap_us), 1) for place in range(noisy)]
    times += [(at_us, 0) for at_us in range(QUIET_US // 2, round(noisy * gap_us), QUIET_US)]
    for number, (at_us, acquirer) in enumerate(sorted(times)):
        card, link = number % CARDS, number % plan.links
        amount = AMOUNTS[number % len(AMOUNTS)]
        yield Script(number, acquirer, at_us, "purchase", 0, card, amount, link)


def _drawn(plan: Plan, number: int, acquirer: int, at_us: int) -> Script:
    """Each from a stream of its own, so that leaving one out moves no other."""
    rng = stream(plan.seed, f"transaction/{number}")
    drawn = [rng.random() for _ in ACQUIRER_FAULTS]
    faults = tuple(
        name
        for name, chance in zip(ACQUIRER_FAULTS, drawn, strict=True)
        if chance < plan.faults.get(name, 0.0)
    )
    return Script(
        number,
        acquirer,
        at_us,
        rng.choices(list(KINDS), [kind.weight for kind in KINDS.values()])[0],
        rng.randrange(plan.banks),
        rng.randrange(CARDS),
        rng.choice(AMOUNTS),
        rng.randrange(plan.links),
        rng.random() < plan.taps,
        faults,
        tuple(rounded(rng.random()) for _ in range(MOMENTS)),
    )
