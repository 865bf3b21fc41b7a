"""Takes windows, judges them, and makes rows of medians."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import msgspec

from switch.apps.bench.plan import (
    DURABLE,
    LAG_P99_MAX_US,
    PLAIN,
    PLAIN_SHAPE,
    RELAY,
    SECURED,
    SWITCH,
    Plan,
    Shape,
)
from switch.apps.bench.systems import CARDS, TOKENS, System
from switch.native import load

__all__ = ["Bench", "Row", "Taken", "fault_of", "judge", "rows"]

LATE: Final = "generator late"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """One window of one system. Microseconds, and requests a second."""

    shape: str
    system: str
    fault: str = ""
    """Why it gives no figures; empty when it does."""
    tps: float = 0.0
    p50_us: float = 0.0
    p99_us: float = 0.0
    p999_us: float = 0.0
    cpu_us_per_auth: float = 0.0
    switches_per_auth: float = 0.0
    lag_p99_us: float = 0.0


class Row(msgspec.Struct, kw_only=True):
    """Medians over the valid windows; no figures when there is none or one was void."""

    shape: str
    system: str
    valid: bool
    tps: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    cpu_us_per_auth: float | None = None
    ratio_to_durable_floor: float | None = None
    """CPU, as multiple of the durable floor's in the same shape."""
    ratio_to_relay: float | None = None
    """CPU, as multiple of the plain relay's."""
    ratio_to_plain: float | None = None
    """CPU, as multiple of the same switch's for a plain card."""
    ratio_without_tls: float | None = None
    """CPU of a switch with TLS, as multiple of the one without."""
    p99_added_us: float | None = None
    """p99 minus the relay's p99 of the same run."""
    switches_per_auth: float | None = None
    """Voluntary context switches of the process."""
    lag_p99_us: float | None = None
    """The generator's own; 0 in closed loops."""
    windows: int = 0
    fault: str = ""


FIGURES: Final = (
    "tps", "p50_us", "p99_us", "p999_us", "cpu_us_per_auth", "switches_per_auth", "lag_p99_us",
)  # fmt: skip


def judge(shape: Shape, system: str, outcome: "load.Outcome") -> Taken:
    """Figures of a window, or why it has none."""
    fault = fault_of(outcome)
    lag = outcome["lag"]["p99_ns"] / 1e3
    if not fault and lag > LAG_P99_MAX_US:
        fault = LATE
    if fault:
        return Taken(shape=shape.name, system=system, fault=fault, lag_p99_us=lag)
    latency, counted = outcome["latency"], outcome["counted"]
    return Taken(
        shape=shape.name,
        system=system,
        tps=counted * 1e9 / outcome["elapsed_ns"],
        p50_us=latency["p50_ns"] / 1e3,
        p99_us=latency["p99_ns"] / 1e3,
        p999_us=latency["p999_ns"] / 1e3,
        cpu_us_per_auth=outcome["cpu_ns"] / counted / 1e3,
        switches_per_auth=outcome["switches"] / counted,
        lag_p99_us=lag,
    )


def fault_of(outcome: "load.Outcome") -> str:
    """What went wrong with the requests themselves; empty when each got its right answer."""
    if outcome["clean"]:
        return "" if outcome["counted"] else "nothing answered"
    ends = {
        "answered by another code": outcome["other_code"],
        "wrong": outcome["wrong"],
        "missing": outcome["missing"],
        "closed": outcome["closed"],
        "not sent": outcome["not_sent"],
        "stray": outcome["stray"],
    }
    return ", ".join(f"{count} {end}" for end, count in ends.items() if count)


class Bench:
    """Open generators to all systems, and the clock of the run."""

    def __init__(self, systems: Sequence[System], plan: Plan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.say = say
        self.started = time.monotonic()
        self.systems = systems
        self.taken: list[Taken] = []
        self.generators: dict[str, load.Generator] = {}
        for system in systems:
            generator = load.Generator(
                system.address,
                plan.connections,
                issuer=CARDS if system.taps is None else TOKENS,
                pid=system.pid,
                taps=system.taps,
            )
            if system.sign_on:
                generator.sign_on()
            self.generators[system.name] = generator

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def room_for(self, seconds: float) -> bool:
        """Whether so much more fits into the budget."""
        return self.seconds + seconds <= self.plan.budget_s

    def rounds(self) -> None:
        """All windows: every shape, the systems in turn, another one first in each round."""
        for number in range(self.plan.rounds):
            turn = number % len(self.systems)
            order = [*self.systems[turn:], *self.systems[:turn]]
            for shape in self.plan.shapes:
                for system in order:
                    if system.name != PLAIN or shape.name == PLAIN_SHAPE:
                        self.take(shape, system, number)

    def take(self, shape: Shape, system: System, number: int) -> None:
        """One window; a late generator gets another try, a wrong answer does not."""
        length = (
            self.plan.warm_ms + (self.plan.open_ms if shape.rate else self.plan.closed_ms)
        ) / 1e3
        for attempt in range(self.plan.retries + 1):
            if not self.room_for(length):
                return
            outcome = self.window(shape, system, self.plan.seed + 100 * number + attempt)
            taken = judge(shape, system.name, outcome)
            self.say(_line(taken, self.seconds))
            if taken.fault != LATE:
                break
        self.taken.append(taken)

    def window(self, shape: Shape, system: System, seed: int) -> "load.Outcome":
        generator, plan = self.generators[system.name], self.plan
        if not shape.rate:
            return generator.closed(shape.depth, warm_ms=plan.warm_ms, measure_ms=plan.closed_ms)
        seconds = (plan.warm_ms + plan.open_ms) / 1e3
        schedule = load.Schedule.poisson(shape.rate, seconds, seed)
        return generator.open(schedule, warm_ms=plan.warm_ms)

    def close(self) -> None:
        for generator in self.generators.values():
            generator.close()


def rows(taken: Sequence[Taken]) -> list[Row]:
    """One row a shape and system, in the order they were first taken."""
    groups: dict[tuple[str, str], list[Taken]] = {}
    for window in taken:
        groups.setdefault((window.shape, window.system), []).append(window)
    made = {key: _row(*key, windows) for key, windows in groups.items()}
    for (shape, _), row in made.items():
        relay, durable = made.get((shape, RELAY)), made.get((shape, DURABLE))
        row.ratio_to_relay = _ratio(row, relay)
        row.ratio_to_plain = _ratio(row, made.get((shape, PLAIN)))
        if row.system == SECURED:
            row.ratio_without_tls = _ratio(row, made.get((shape, SWITCH)))
        row.ratio_to_durable_floor = _ratio(row, durable)
        if row.p99_us is not None and relay is not None and relay.p99_us is not None:
            row.p99_added_us = round(row.p99_us - relay.p99_us, 1)
    return list(made.values())


def _row(shape: str, system: str, windows: Sequence[Taken]) -> Row:
    # A wrong or missing answer is the system's fault: the good windows beside it prove nothing.
    void = [w.fault for w in windows if w.fault and w.fault != LATE]
    valid = [w for w in windows if not w.fault]
    if void or not valid:
        return Row(shape=shape, system=system, valid=False, fault=(void or [LATE])[0])
    row = Row(shape=shape, system=system, valid=True, windows=len(valid))
    for figure in FIGURES:
        setattr(row, figure, round(median(getattr(w, figure) for w in valid), 2))
    return row


def _ratio(row: Row, floor: Row | None) -> float | None:
    if floor is None or not row.cpu_us_per_auth or not floor.cpu_us_per_auth:
        return None
    return round(row.cpu_us_per_auth / floor.cpu_us_per_auth, 2)


def _line(taken: Taken, seconds: float) -> str:
    head = f"{seconds:6.1f} s  {taken.shape:<7} {taken.system:<14}"
    if taken.fault:
        return f"{head} VOID: {taken.fault}"
    return (
        f"{head} {taken.tps:>8.0f}/s  cpu {taken.cpu_us_per_auth:6.1f} µs  "
        f"p50 {taken.p50_us:7.0f}  p99 {taken.p99_us:7.0f} µs"
    )
