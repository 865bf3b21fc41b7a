"""What other ends than an approval cost: the worker's CPU for a message, on the switch alone."""

import time
from collections.abc import Iterator
from typing import Final

import msgspec

from switch.apps.bench.measure import Bench, fault_of
from switch.apps.bench.systems import UNROUTED_PREFIX, System
from switch.errors import UnreachableError
from switch.native import load

__all__ = ["NEEDED_S", "Cost", "costs"]

DEPTH: Final = 16
WARM_MS: Final = 200
MEASURE_MS: Final = 1_000
RATE: Final = 1_000
SILENT_WARM_MS: Final = 2_000
"""Longer than the bank's deadline, so that time-outs flow as fast as requests come."""
SILENT_MEASURE_MS: Final = 2_000
REVERSALS_S: Final = 5.0
NEEDED_S: Final = 16.0
"""The whole table, with what is waited for between its windows."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One way to end, under one load."""

    case: str
    shape: str
    code: str
    """The response code that every answer carried."""
    valid: bool
    cpu_us_per_message: float | None = None
    fault: str = ""


def costs(bench: Bench, system: System, bank: load.Bank) -> list[Cost]:
    """All cases, approvals first. The bank approves again at the end."""
    return list(_costs(bench, system, bank))


def _costs(bench: Bench, system: System, bank: load.Bank) -> Iterator[Cost]:
    generator = bench.generators[system.name]
    shape = f"{bench.plan.connections}x{DEPTH}"
    approved = generator.closed(DEPTH, warm_ms=0, measure_ms=MEASURE_MS)
    yield _cost("approved", shape, "00", approved)
    again = (approved["first_serial"], approved["date_s"], approved["offered"])
    yield _cost(
        "duplicate of an approval",
        shape,
        "00",
        generator.closed(DEPTH, warm_ms=50, measure_ms=10 * MEASURE_MS, again=again),
    )
    bank.set_answer("51")
    try:
        declined = generator.closed(DEPTH, warm_ms=WARM_MS, measure_ms=MEASURE_MS, expect="51")
    finally:
        bank.set_answer("00")
    yield _cost("declined by the bank", shape, "51", declined)
    unrouted = load.Generator(
        system.address, bench.plan.connections, issuer=UNROUTED_PREFIX, pid=system.pid
    )
    unrouted.sign_on()
    refused = unrouted.closed(DEPTH, warm_ms=WARM_MS, measure_ms=MEASURE_MS, expect="92")
    unrouted.close()
    yield _cost("no route", shape, "92", refused)
    yield from _silence(generator, bank)


def _silence(generator: load.Generator, bank: load.Bank) -> Iterator[Cost]:
    shape = f"{RATE}/s"
    schedule = load.Schedule.poisson(RATE, (WARM_MS + SILENT_MEASURE_MS) / 1e3, 77)
    yield _cost("approved", shape, "00", generator.open(schedule, warm_ms=WARM_MS))
    schedule = load.Schedule.poisson(RATE, (SILENT_WARM_MS + SILENT_MEASURE_MS) / 1e3, 78)
    bank.set_answer(None)
    try:
        silent = generator.open(schedule, warm_ms=SILENT_WARM_MS, drain_ms=4_000, expect="91")
    finally:
        bank.set_answer("00")
    yield _cost("time-out and its reversal", shape, "91", silent)
    _settled(bank)


def _cost(case: str, shape: str, code: str, outcome: "load.Outcome") -> Cost:
    fault = fault_of(outcome)
    if fault:
        return Cost(case=case, shape=shape, code=code, valid=False, fault=fault)
    cpu = round(outcome["cpu_ns"] / outcome["counted"] / 1e3, 2)
    return Cost(case=case, shape=shape, code=code, valid=True, cpu_us_per_message=cpu)


def _settled(bank: load.Bank) -> None:
    """Waits until no further reversal comes."""
    deadline = time.monotonic() + REVERSALS_S
    seen = -1
    while (now := bank.seen()["reversals"]) != seen:
        if time.monotonic() > deadline:
            raise UnreachableError("reversals do not end although the bank acknowledges them")
        seen = now
        time.sleep(0.4)
