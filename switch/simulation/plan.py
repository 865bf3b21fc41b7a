"""What a seed draws: the size of its world, its faults and how often, where it is cut off.

Each matter has a stream of chance of its own, so that taking one fault away moves nothing else.
"""

from random import Random
from typing import Any, Final

import msgspec

from switch.simulation.chance import Choice, Steady, stream

__all__ = [
    "ACQUIRER_FAULTS",
    "AIMS",
    "BANK_FAULTS",
    "FAULTS",
    "HALF_GROUP",
    "HANG_UP",
    "MOMENTS_AIMED",
    "ORDERS",
    "Aim",
    "Plan",
    "Script",
    "draw",
    "noise",
    "stream",
]

ACQUIRER_FAULTS: Final = (
    "repeat",
    "repeat_moved",
    "repeat_answered",
    "other_body",
    "overtake",
    "reverse_first",
    "cancel",
    "cancel_twice",
    "lie",
    "give_up",
    "give_up_reversal",
    "disconnect",
    "collide",
    "replay_counter",
    "forge",
    "garble",
)
"""What an acquirer does to one of its transactions."""
BANK_FAULTS: Final = (
    "decline",
    "late",
    "silent",
    "lost",
    "duplicate",
    "wrong_stan",
    "wrong_amount",
    "wrong_echo",
    "garbage_code",
    "partial",
    "crosswise",
    "late_decline",
    "deaf",
    "refuse_reversal",
    "sign_off",
    "flap",
    "garbled_answer",
)
"""What a bank does with one message."""
WORLD_FAULTS: Final = (
    "split",
    "delay",
    "stall",
    "reset",
    "half_open",
    "slow_disk",
    "sync_error",
    "sync_dropped",
    "write_error",
    "no_space",
    "clock_step",
    "kill",
    "power_cut",
    "stop",
    "checkpoint",
    "flip",
    "old_record",
    "gateway_kill",
)
"""What happens to network, disk, clock and process."""
FAULTS: Final = (*ACQUIRER_FAULTS, *BANK_FAULTS, *WORLD_FAULTS)

ORDERS: Final = ("suspend", "resume", "delete", "replace_pan", "issue", "reindex")
"""What operators order of the gateway."""

AIMS: Final = (
    "request_read",
    "request_sent",
    "reply_read",
    "approval_sent",
    "decline_sent",
    "reversal_answered",
    "reversal_sent",
    "reversal_acknowledged",
)
"""Moments that a power cut can be aimed at: what the switch has just read or written."""

STAND_IN_AMOUNT_MAX: Final = 1_000
"""Of one approval in a bank's name, in worlds that have such."""
HANG_UPS: Final = 0.5
"""Share of worlds in which all banks hang up when a request has just been read."""
UPKEEP: Final = 0.15
"""Share of worlds that die within a checkpoint, or while segments are removed behind one."""
UPKEEP_POINTS: Final = (
    "checkpoint.begun",
    "checkpoint.carried",
    "checkpoint.ended",
    "journal.remove.before",
    "journal.remove.after",
)
GATEWAY_CUTS: Final = 0.6
"""Share of worlds with orders in which the gateway ends between two steps of one."""
GATEWAY_POINTS: Final = ("vault.commit.before", "vault.commit.after", "index.write.after")
HALF_GROUP: Final = "half_group"
"""The moment between the two parts of a group that lies in two segments."""
HANG_UP: Final = "hang_up"
"""Not a cut: an acquirer hangs up when a request of its has just been read."""
MOMENTS_AIMED: Final = (*AIMS, HALF_GROUP, HANG_UP)
"""All that an aim may wait for, besides the named points of the product."""
HALVES: Final = 0.4
"""Share of worlds with a cut between the two halves of a group that lies in two segments; a world
has only a few such groups."""

DATES_S: Final = (
    1_795_449_600,  # 2026-11-23 16:00:00 UTC
    1_798_761_597,  # 2026-12-31 23:59:57 UTC
    1_835_481_597,  # 2028-02-28 23:59:57 UTC
    1_793_494_797,  # 2026-11-01 00:59:57 UTC
)
"""When worlds begin: an ordinary day, and seconds before a date that is easily got wrong."""


class Aim(msgspec.Struct, frozen=True):
    """A power cut at the n-th moment of a kind, or a crash at a named point of the product."""

    at: str
    """One of `AIMS`, or ``point:n`` of switch.native.hook."""
    nth: int
    delay_us: int
    power: bool
    """The disk loses what was not synced; else only the process is killed."""


MOMENTS: Final = 12
MIDDLE: Final = (0.5,) * MOMENTS


class Script(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What will be done with one transaction."""

    number: int
    acquirer: int
    at_us: int
    """When it begins, after the faults did."""
    kind: str
    bank: int
    card: int
    amount: int
    link: int = 0
    tap: bool = False
    faults: tuple[str, ...] = ()
    at: tuple[float, ...] = MIDDLE
    """Draws for when what happens, each from 0 to 1."""
    token: int = -1
    """Number of the token of a tap; -1: by the number of the transaction."""


class Plan(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One world. A field that is added has a default under which kept cases are what they were."""

    seed: int
    transactions: int
    acquirers: int
    links: int
    banks: int
    bank_links: int
    accepts: bool
    """The last bank dials the switch."""
    deadline_ms: int
    timeout_ms: int
    retry_ms: int
    gap_us: int
    terminals: int
    stans: int
    grain_s: int
    """Terminals' clocks go in steps of so many seconds."""
    in_flight_max: int
    undeliverable: str
    segment_bytes: int
    here: bool
    disk_us: tuple[int, int, int]
    latency_us: tuple[int, int]
    start_s: int
    taps: float
    faults: dict[str, float]
    """Chance of each fault that this world knows."""
    aims: tuple[Aim, ...]
    mutant: str = ""
    script: tuple[Script, ...] | None = None
    """All transactions; None: they are drawn."""
    choices: tuple[Choice, ...] | None = None
    """All faults that strike; None: they are drawn, each with its chance."""
    span_us: int = 0
    """How long faults strike at least."""
    still: bool = False
    """Latencies, waits and the speed of the disk do not vary."""
    stand_in: int = 0
    """Approvals in a bank's name that a card may have in a day; 0: there is no stand-in."""
    crowd: int = 0
    """Of the second acquirer, so many times what the node can do; 0: work takes no time."""
    hours_off: int = 0
    """The machine is off for so long before its audit, with something owed; 0: it never is."""
    orders: int = 0
    """About tokens, that are given while faults strike. With any there is a gateway beside the
    worker, and the world has a vault of its own."""

    @property
    def stand_in_sum_max(self) -> int:
        """Of a card and day: so much that now the count and now the sum is what ends it."""
        return 700 * self.stand_in

    @property
    def stand_in_bank_max(self) -> int:
        """Of all cards of a bank and day."""
        return 3 * self.stand_in_sum_max

    def knows(self, fault: str) -> bool:
        """Whether it may strike here."""
        told = self.choices or ()
        return fault in self.faults or any(one.what == fault for one in told)

    def without(self, **changes: Any) -> "Plan":
        """The same world, a little less of it."""
        return msgspec.structs.replace(self, **changes)


def noise(plan: Plan, name: str) -> Random:
    """Chance of small times, which a world that was made plain has none of."""
    return Steady() if plan.still else stream(plan.seed, name)


SHARE_OF: Final = {
    "decline": 0.3,
    "flap": 0.01,
    "sign_off": 0.01,
    "reset": 0.002,
    "half_open": 0.001,
    "stall": 0.01,
    "delay": 0.15,
    "split": 0.3,
    "give_up": 0.5,
    "cancel": 0.3,
    "kill": 2.0,
    "power_cut": 2.0,
    "stop": 1.0,
    "clock_step": 2.0,
    "sync_error": 1.0,
    "sync_dropped": 1.0,
    "write_error": 1.0,
    "no_space": 1.0,
    "checkpoint": 6.0,
    "flip": 2.0,
    "old_record": 2.0,
    "gateway_kill": 3.0,
    "garble": 0.5,
    "garbled_answer": 0.08,
    "slow_disk": 1.0,
    "disconnect": 0.05,
}
"""Chance of a fault at full weight: of each occasion, or for the rare ones how often in a world."""
SHARE: Final = 0.15


def draw(seed: int, transactions: int = 340, points: tuple[str, ...] = ()) -> Plan:
    """The plan of a seed. `points`: named crash points that may be aimed at."""
    shape, faults, aim = stream(seed, "topology"), stream(seed, "faults"), stream(seed, "aims")
    chosen: dict[str, float] = {}
    density = faults.choice((0.15, 0.35, 0.6))
    for name in FAULTS:
        on, weight = faults.random() < density, faults.randint(1, 100) / 100
        if on:
            chosen[name] = weight * SHARE_OF.get(name, SHARE)
    aims: list[Aim] = []
    for _ in range(aim.choice((0, 1, 1, 2, 2))):
        named = bool(points) and aim.random() < 0.5
        at = aim.choice(points) if named else aim.choice(AIMS)
        nth = int(aim.choice((1, 3, 10, 40, 100)) * (0.5 + aim.random())) + 1
        delay = aim.choice((0, 0, aim.randint(1, 300), aim.randint(1, 10_000)))
        aims.append(Aim(at, nth, delay, aim.random() < 0.8))
    if aim.random() < HALVES:
        aims.append(Aim(HALF_GROUP, aim.randint(1, 3), aim.randint(1, 10_000), power=True))
    if aim.random() < UPKEEP:
        chosen["checkpoint"] = SHARE_OF["checkpoint"]
        aims.append(Aim(aim.choice(UPKEEP_POINTS), aim.randint(1, 4), 0, aim.random() < 0.8))
    if aim.random() < HANG_UPS:
        aims.append(Aim(HANG_UP, aim.randint(2, 60), aim.choice((0, 100, 1_000)), power=False))
    deadline_ms = shape.choice((150, 300, 600, 1_200))
    taps = shape.choice((0.0, 0.3, 0.6))
    orders = shape.choice((0, 12, 30)) if taps else 0
    if aim.random() < GATEWAY_CUTS and orders:
        nth = aim.randint(1, 2 * orders)
        aims.append(Aim(aim.choice(GATEWAY_POINTS), nth, 0, aim.random() < 0.5))
    return Plan(
        seed=seed,
        transactions=transactions,
        acquirers=shape.choice((1, 2, 2, 3)),
        links=shape.choice((1, 2, 3)),
        banks=shape.choice((1, 2, 3)),
        bank_links=shape.choice((1, 2, 3)),
        accepts=shape.random() < 0.3,
        deadline_ms=deadline_ms,
        timeout_ms=deadline_ms + shape.choice((-100, 100, 400)),
        retry_ms=shape.choice((50, 100, 250)),
        gap_us=shape.choice((300, 1_000, 3_000, 8_000)),
        terminals=shape.choice((1, 3, 8)),
        stans=shape.choice((30, 200, 2_000)),
        grain_s=shape.choice((1, 10, 60)),
        in_flight_max=shape.choice((8, 64, 512)),
        undeliverable=shape.choice(("keep", "keep", "reverse")),
        segment_bytes=shape.choice((16_384, 16_384, 65_536, 262_144)),
        here=shape.random() < 0.5,
        disk_us=shape.choice(((10, 100, 300), (30, 300, 1_000), (100, 3_000, 5_000))),
        latency_us=shape.choice(((30, 80), (50, 400), (500, 5_000))),
        start_s=shape.choice(DATES_S),
        taps=taps,
        stand_in=shape.choice((0, 0, 2, 4, 20)),
        orders=orders,
        hours_off=shape.choice((0, 0, 20, 20, 72, 144)),
        faults=chosen,
        aims=tuple(aims),
    )
