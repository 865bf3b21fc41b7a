"""`tapswitch bench overload`: what is left of the switch when more comes than it can serve.

Two acquirers at once, on one thread of the native generator, by schedules that were made before: a
noisy one whose rate is a multiple of the knee, and a quiet one that never sends more than a little.
Each step has three phases on one time axis: calm (the noisy one at `CALM` of the knee), overload,
and calm again, so that "normal" is measured on the same switch a few seconds before. In the middle
of the overload a third link of the noisy acquirer reverses approvals of earlier.

A request counts as goodput when it is approved within the terminals' patience; refusals (91) are
counted, and timed, apart. A step whose generator was itself late says nothing.
"""

import math
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from switch.apps.bench import ledgers, systems
from switch.apps.bench.neighbour import beside
from switch.apps.bench.pins import Memory, at_once, pin
from switch.apps.bench.plan import LAG_P99_MAX_US, Plan
from switch.apps.bench.run import scratch
from switch.apps.bench.search import Climb, Search
from switch.apps.load import environment as env
from switch.crypto.keyfile import open_keys
from switch.errors import OperatorError
from switch.native import journal, load

__all__ = ["REVERSALS", "Overload", "OverloadPlan", "OverloadRun", "Phase", "Stage"]

QUIET: Final = """
[[acquirers]]
id = "ACQ02"
institution_code = "{code}"
listen = "127.0.0.1:0"
terminal_timeout_ms = 20000
timeout_ms = 10000
echo_idle_s = 0
"""
QUIET_CODE: Final = "10000002"
ISSUER: Final = "BANK01"
CALM: Final = 0.5
"""Share of the knee at which the noisy acquirer is calm."""
SLICE_MS: Final = 100
NORMAL_MAX: Final = 2.0
"""p99 is normal again when it is no more than so many times what it was before."""
WINDOW_S: Final = 0.5
"""Stretches by which recovery is judged."""
STOLEN_MAX: Final = 5.0
KNEE_P99_NS: Final = 20_000_000
KNEE_SHARE: Final = 0.99
COMPARED_MAX: Final = 60_000
"""Requests of a step up to which all three ledgers are joined record by record; above it approvals
told are joined with what the bank holds."""
REVERSALS: Final = 100

Say = Callable[[str], None]


class OverloadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    knee: float | None = None
    """Requests a second; None: found first."""
    multiples: tuple[float, ...] = (2.0, 5.0, 10.0)
    calm_s: float = 5.0
    step_s: float = 10.0
    after_s: float = 6.0
    timeout_s: float = 3.0
    """Patience of the terminals."""
    quiet_rate: float = 200.0
    connections: int = 32
    rounds: int = 1
    """How often each multiple is measured, in turn; what is required is asked of the medians."""
    knee_step_s: float = 3.0
    pinned: bool = True
    share: float = 1.0
    """What the switch gets of its core, in all phases; less than 1: beside a neighbour."""
    limits: str = ""
    """Further lines of the noisy acquirer's settings."""
    seed: int = 1


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One acquirer in one phase, by the time requests were due."""

    offered: int
    approved: int
    refused: int
    """With any other code."""
    lost: int
    """Without an answer in time."""
    seconds: float
    p50_us: float | None
    p99_us: float | None
    refusal_p99_us: float | None

    @property
    def goodput(self) -> float:
        return self.approved / self.seconds

    @property
    def success(self) -> float:
        return self.approved / self.offered if self.offered else 0.0


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One multiple of the knee."""

    multiple: float
    rate: float
    valid: bool
    fault: str
    goodput_share: float
    """Of what was approved at the knee's rate just before it (`knee_goodput`): a machine that
    became slower meanwhile is no fault of an overload's."""
    knee_goodput: float
    number: int
    """Of this multiple, from 1."""
    noisy: dict[str, Phase]
    """By phase: calm, overload, after."""
    quiet: dict[str, Phase]
    quiet_p99_times: float | None
    """Its p99 in the overload, times its own when calm."""
    recovered_s: float | None
    """After the end of the overload, until p99 was normal and stayed so; None: it did not."""
    reversals: int
    """Acknowledged during the overload, of `REVERSALS`."""
    memory_before: int
    memory_first_half: int
    memory_second_half: int
    lag_p99_us: float
    generator_cpu: float
    stolen_percent: float
    conservation: str
    timeline: list[tuple[float, int, int, int, float]]
    """By slice: seconds, offered, approved, refused, p99 of the quiet acquirer in µs."""


class OverloadRun(msgspec.Struct, frozen=True, kw_only=True):
    """The whole."""

    schema: str = "tapswitch.overload/1"
    at: str
    knee: float
    """Highest rate that held."""
    knee_goodput: float
    knee_found: bool
    pinned: str
    stages: list[Stage]
    faults: list[str]
    plan: OverloadPlan
    environment: dict[str, dict[str, str]]

    @property
    def valid(self) -> bool:
        return bool(self.stages) and all(one.valid for one in self.stages) and not self.faults


class Overload:
    """One run."""

    def __init__(self, plan: OverloadPlan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._pinned = "not pinned"
        self._cores = len(os.sched_getaffinity(0))

    def run(self, data_dir: Path | None) -> OverloadRun:
        """Finds the knee unless it is given, then goes beyond. Raises: OperatorError,
        UnreachableError."""
        plan = self._plan
        before = env.steal()
        with ExitStack() as stack:
            directory = stack.enter_context(scratch(data_dir))
            bench = self._start(stack, directory)
            if plan.knee is None:
                knee, goodput = self._knee(bench)
            else:
                knee, goodput = plan.knee, self._goodput(bench, plan.knee)
            self._say(f"knee {knee:,.0f}/s, goodput there {goodput:,.0f}/s")
            stages: list[Stage] = []
            faults = []
            for number in range(plan.rounds * len(plan.multiples)):
                multiple = plan.multiples[number % len(plan.multiples)]
                if number:
                    goodput = self._goodput(bench, knee)
                stage = self._stage(bench, knee, goodput, multiple, number)
                stages.append(stage)
                self._say(stage_line(stage))
                if not stage.conservation.startswith("agree"):
                    faults.append(f"{multiple:g}x: {stage.conservation}")
            facts = env.of_load(directory, env.stolen(before, env.steal()), bench.settings)
            facts["switch"]["pinned"] = self._pinned
            facts["machine"]["cores"] = str(self._cores)
        return OverloadRun(
            at=env.now(),
            knee=round(knee, 1),
            knee_goodput=stages[0].knee_goodput,
            knee_found=plan.knee is None,
            pinned=self._pinned,
            stages=stages,
            faults=faults,
            plan=plan,
            environment=facts,
        )

    # ------------------------------------------------------------------------------- systems

    def _start(self, stack: ExitStack, directory: Path) -> "_Bench":
        plan = self._plan
        cores = sorted(os.sched_getaffinity(0))
        bank = load.Bank(books=True, joined=True)
        stack.callback(bank.close)
        prompt = at_once("bench-bank")
        place = directory / "switch"
        place.mkdir()
        timeout_ms = int(1_000 * min(1.5, plan.timeout_s / 2))
        quiet_table = QUIET.format(code=QUIET_CODE)
        more = (plan.limits, quiet_table)
        made = systems.node(bank, Plan(tokens=0), place, None, timeout_ms, more=more)
        node = stack.enter_context(made)
        if plan.pinned and len(cores) > 1:
            # First ourselves: the switch is among our descendants.
            pin(os.getpid(), set(cores[1:]))
            threads = pin(node.tree, {cores[0]})
            stack.callback(pin, os.getpid(), set(cores))
            part = ""
            if plan.share < 1:
                part = ", " + stack.enter_context(beside(cores[0], plan.share))
            others = ", ".join(map(str, cores[1:]))
            self._pinned = (
                f"switch ({threads} threads) on core {cores[0]}{part}; generator and bank on "
                f"{others}{', the bank first' if prompt else ''}"
            )
        elif plan.share < 1:
            raise OperatorError("a share needs a core of the switch's own, and another one")
        self._say(f"{node.name}: pid {node.pid}; {self._pinned}")
        told = systems.ready_of(place)
        addresses = told["acquirers"]
        noisy = load.Generator(addresses["ACQ01"], plan.connections, pid=node.pid)
        undoer = load.Generator(addresses["ACQ01"], 1, pid=node.pid)
        quiet = load.Generator(addresses["ACQ02"], 2, acquirer_code=QUIET_CODE, pid=node.pid)
        for one in (noisy, quiet, undoer):
            stack.callback(one.close)
            one.sign_on()
        settings = systems.settings_of(place)
        keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
        log = str(place / "data" / "journal" / told["worker"])
        books = ledgers.Ledgers(bank, journal.Reader.open(log, keys), ISSUER)
        text = systems.settings_text(place, bank)
        return _Bench(noisy, quiet, undoer, bank, books, node.pid, text)

    # ---------------------------------------------------------------------------------- knee

    def _knee(self, bench: "_Bench") -> tuple[float, float]:
        """The highest rate of the noisy acquirer at which nothing is refused to speak of and p99 is
        short, and its goodput. Raises: OperatorError when there is none."""
        search = Search(Climb(start=2_000, factor=1.5, rate_max=200_000, precision=0.06))
        goodput: dict[float, float] = {}
        failed: dict[float, int] = {}
        while (rate := search.next) is not None:
            phase, fault = self._steady(bench, rate, len(goodput))
            p99 = phase.p99_us
            held = phase.success >= KNEE_SHARE and p99 is not None and p99 * 1e3 <= KNEE_P99_NS
            said = "held" if held else "did not hold"
            self._say(
                f"  {rate:>9,.0f}/s {said}: approved {phase.goodput:,.0f}/s, "
                f"p99 {(p99 or 0) / 1e3:.1f} ms{'  (' + fault + ')' if fault else ''}"
            )
            if not held and failed.setdefault(rate, 0) < 1:
                # A busy moment of the machine is no knee.
                failed[rate] += 1
                continue
            if held:
                goodput[rate] = phase.goodput
            search.take(rate, held)
        if search.good is None:
            raise OperatorError(f"there is no knee: {search.ended_by}")
        return search.good, goodput[search.good]

    def _goodput(self, bench: "_Bench", rate: float) -> float:
        """Approvals a second at a rate."""
        phase, _ = self._steady(bench, rate, 0)
        return phase.goodput

    def _steady(self, bench: "_Bench", rate: float, seed: int) -> tuple[Phase, str]:
        warm = 0.5
        seconds = warm + self._plan.knee_step_s
        schedule = load.Schedule.poisson(rate, seconds, self._plan.seed + seed)
        outcome = bench.noisy.open(
            schedule,
            warm_ms=0,
            timeout_ms=int(1_000 * self._plan.timeout_s),
            record_ms=SLICE_MS,
            joined=True,
        )
        bench.rest(bench.noisy, outcome)
        phase = phase_of(outcome, warm, seconds)
        return phase, late(outcome)

    # --------------------------------------------------------------------------------- steps

    def _stage(
        self, bench: "_Bench", knee: float, goodput: float, multiple: float, number: int
    ) -> Stage:
        plan = self._plan
        rate = knee * multiple
        seed = plan.seed + 100 * (number + 1)
        phases = [(knee * CALM, plan.calm_s), (rate, plan.step_s), (knee * CALM, plan.after_s)]
        length = sum(seconds for _, seconds in phases)
        noisy = load.Schedule.phases(phases, seed)
        quiet = load.Schedule.poisson(plan.quiet_rate, length, seed + 50)
        known = bench.approve(REVERSALS)
        serials = list(range(known["first_serial"], known["first_serial"] + known["answered"]))
        undone: list[tuple[int, str]] = []
        begin = plan.calm_s + plan.step_s / 3
        patience_ms = int(1_000 * (plan.step_s * 2 / 3))
        undo = threading.Timer(
            begin,
            lambda: undone.extend(bench.undoer.reverse(serials, known["date_s"], patience_ms)),
        )
        before, memory = env.steal(), Memory(bench.pid)
        undo.start()
        first, second = bench.noisy.open_both(
            bench.quiet,
            (noisy, quiet),
            warm_ms=0,
            timeout_ms=int(1_000 * plan.timeout_s),
            record_ms=SLICE_MS,
            joined=True,
        )
        undo.join()
        memory.stop()
        stolen = env.stolen(before, env.steal())
        several: list[ledgers.Lived] = [
            (bench.noisy, first, systems.ACQUIRER_CODE, ()),
            (bench.quiet, second, QUIET_CODE, ()),
            (bench.undoer, known, systems.ACQUIRER_CODE, undone),
        ]
        stage = self._judged(multiple, rate, goodput, (first, second), memory, stolen)
        turn = 1 + number // len(plan.multiples)
        reversals = sum(code == "00" for _, code in undone)
        return msgspec.structs.replace(
            stage, number=turn, reversals=reversals, conservation=bench.compared(several)
        )

    def _judged(
        self,
        multiple: float,
        rate: float,
        goodput: float,
        outcomes: tuple["load.Outcome", "load.Outcome"],
        memory: Memory,
        stolen: float,
    ) -> Stage:
        """A step as its two generators saw it; ledgers and reversals are not looked at yet."""
        plan, (first, second) = self._plan, outcomes
        begin, end = plan.calm_s, plan.calm_s + plan.step_s
        # The first second of calm is warm-up; that of an overload counts.
        spans = {
            "calm": (min(1.0, plan.calm_s / 2), begin),
            "overload": (begin, end),
            "after": (end, end + plan.after_s),
        }
        at_first = {name: phase_of(first, *span) for name, span in spans.items()}
        at_second = {name: phase_of(second, *span) for name, span in spans.items()}
        calm, busy = at_second["calm"].p99_us, at_second["overload"].p99_us
        middle = begin + plan.step_s / 2
        fault = late(first) or late(second)
        if not fault and stolen > STOLEN_MAX:
            fault = f"{stolen:.0f} % of the machine's time was stolen"
        return Stage(
            multiple=multiple,
            rate=round(rate, 1),
            valid=not fault,
            fault=fault,
            goodput_share=round(at_first["overload"].goodput / goodput, 4),
            knee_goodput=round(goodput, 1),
            number=1,
            noisy=at_first,
            quiet=at_second,
            quiet_p99_times=round(busy / calm, 2) if calm and busy else None,
            recovered_s=recovered(first, spans["calm"], end, end + plan.after_s),
            reversals=0,
            memory_before=memory.most(0, begin),
            memory_first_half=memory.most(begin, middle),
            memory_second_half=memory.most(middle, end + 0.5),
            lag_p99_us=round(first["lag"]["p99_ns"] / 1e3, 1),
            generator_cpu=round(first["own_cpu_ns"] / max(1, first["own_ns"]), 3),
            stolen_percent=round(stolen, 2),
            conservation="",
            timeline=timeline(first, second),
        )


class _Bench:
    """What stands on either side of the switch."""

    def __init__(
        self,
        noisy: load.Generator,
        quiet: load.Generator,
        undoer: load.Generator,
        bank: load.Bank,
        books: ledgers.Ledgers,
        pid: int,
        settings: str,
    ) -> None:
        self.noisy, self.quiet, self.undoer = noisy, quiet, undoer
        self.bank = bank
        self.pid = pid
        self.settings = settings
        self._books = books

    def approve(self, count: int) -> "load.Outcome":
        """So many approvals on the third link."""
        schedule = load.Schedule.constant(count * 4.0, 0.25)
        return self.undoer.open(schedule, warm_ms=0, record_ms=SLICE_MS)

    def rest(self, generator: load.Generator, outcome: "load.Outcome") -> None:
        """Takes back what a terminal does not know, and forgets what the bank has written."""
        unknown = outcome["recording"].unknown()
        if unknown:
            generator.reconnect()
            generator.reverse(unknown, outcome["date_s"])
        self._books.skip()

    def compared(self, several: "list[ledgers.Lived]") -> str:
        """ "agree" and how much was compared, or the first thing that does not."""
        total = sum(outcome["offered"] for _, outcome, _, _ in several)
        books = self._books
        return books.together(several) if total <= COMPARED_MAX else books.held(several)


def phase_of(outcome: "load.Outcome", first_s: float, last_s: float) -> Phase:
    """What became of the requests that were due between two times."""
    recording = outcome["recording"]
    first, last = (round(at * 1e3 / SLICE_MS) for at in (first_s, last_s))
    good = recording.expected.total(first, last)
    other = recording.otherwise.total(first, last)
    offered = sum(moment[0] for moment in recording.timeline()[first:last])
    return Phase(
        offered=offered,
        approved=len(good),
        refused=len(other),
        lost=offered - len(good) - len(other),
        seconds=last_s - first_s,
        p50_us=us(good, 0.5),
        p99_us=us(good, 0.99),
        refusal_p99_us=us(other, 0.99),
    )


def us(histogram: "load.Histogram", q: float) -> float | None:
    return round(histogram.quantile(q) / 1e3, 1) if len(histogram) else None


def late(outcome: "load.Outcome") -> str:
    """Why the generator did not offer what it says, '' when it did."""
    lag_us = outcome["lag"]["p99_ns"] / 1e3
    if lag_us > LAG_P99_MAX_US:
        return f"the generator sent late: p99 {lag_us / 1e3:.2f} ms, at most 1 ms"
    if outcome["not_sent"] > 0.001 * outcome["offered"]:
        return f"{outcome['not_sent']} requests were not sent"
    return ""


def recovered(
    outcome: "load.Outcome", calm: tuple[float, float], end_s: float, last_s: float
) -> float | None:
    """Seconds after the end of the overload from which on p99 of approvals is normal for all the
    rest of the phase, which has some in every stretch; None: there is no such moment."""
    recording = outcome["recording"]
    first, last = (round(at * 1e3 / SLICE_MS) for at in calm)
    normal_ns = recording.expected.total(first, last).quantile(0.99) * NORMAL_MAX
    width = round(WINDOW_S * 1e3 / SLICE_MS)
    begin, end = round(end_s * 1e3 / SLICE_MS), math.floor(last_s * 1e3 / SLICE_MS)
    found = None
    for at in range(begin + (end - begin) // width * width - width, begin - 1, -width):
        if not len(recording.expected.total(at, at + width)):
            break
        if recording.expected.total(at, end).quantile(0.99) <= normal_ns:
            found = (at - begin) * SLICE_MS / 1e3
    return found


def timeline(
    noisy: "load.Outcome", quiet: "load.Outcome"
) -> list[tuple[float, int, int, int, float]]:
    """By slice of due time."""
    first, second = noisy["recording"], quiet["recording"]
    good, other, calm = first.expected, first.otherwise, second.expected
    found = []
    for number, moment in enumerate(first.timeline()):
        if not moment[0]:
            continue
        span = (number, number + 1)
        p99 = us(calm.total(*span), 0.99) or 0.0
        row = (number * SLICE_MS / 1e3, moment[0], len(good.total(*span)), len(other.total(*span)))
        found.append((*row, p99))
    return found


def stage_line(stage: Stage) -> str:
    """One step on one line."""
    busy, quiet = stage.noisy["overload"], stage.quiet["overload"]
    mark = "" if stage.valid else f"  VOID: {stage.fault}"
    return (
        f"{stage.multiple:>5g}x {stage.rate:>9,.0f}/s  goodput {busy.goodput:>8,.0f}/s "
        f"({100 * stage.goodput_share:.0f} %)  refused {busy.refused:,} lost {busy.lost:,}  "
        f"quiet {100 * quiet.success:.2f} %  p99 x {stage.quiet_p99_times}{mark}"
    )
