"""`tapswitch bench ladder`: the highest rate at which no threshold fails.

The native generator offers each rate by a schedule that was made before, so that no answer can
influence a sending. A step whose generator was itself late says nothing and is tried again. After
each step the ledgers of generator, switch and bank are compared.
"""

import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.apps.bench import ledgers, systems
from switch.apps.bench.plan import Plan
from switch.apps.bench.run import scratch
from switch.apps.bench.search import Climb, Search
from switch.apps.bench.step import (
    KIND,
    fault_of,
    kind_of,
    loopback,
    slice_ms,
    step_line,
    told,
)
from switch.apps.bench.wallet import CARDS, TOKENS, prepare
from switch.apps.conservation import Report
from switch.apps.load import environment as env
from switch.apps.load.figures import DUE, SENT, Measured
from switch.apps.load.model import Kind, Moment, Run, Step, entry
from switch.apps.load.threshold import Threshold, judge, parse_all
from switch.crypto.keyfile import open_keys
from switch.errors import UnreachableError
from switch.native import journal, load

__all__ = ["THRESHOLDS", "Ladder", "LadderPlan"]

LAG: Final = "send_lag"
ENTRIES: Final = (KIND, KIND + DUE, KIND + SENT, LAG)
THRESHOLDS: Final = (f"p99({KIND})>10ms", "error_rate>0.01%", "not_sent>0")
"""When nothing else is said."""

SHOWN_S: Final = 2.0
"""Between two lines of progress."""
INVALID_MAX: Final = 2
"""A step that says nothing is tried so often again."""
ISSUER: Final = "BANK01"


class LadderPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    climb: Climb = Climb()
    step_s: float = 10.0
    warm_s: float = 1.0
    timeout_s: float = 5.0
    retries: int = 1
    """A rate has failed when it failed so many times more."""
    arrivals: str = "poisson"
    """poisson or even."""
    connections: int = 32
    tokens: int = 0
    thresholds: tuple[str, ...] = THRESHOLDS
    connect: str = ""
    """A switch that runs already, on loopback; empty: one of our own."""
    issuer: str = CARDS
    """With `connect`: the six digits that cards begin with."""
    acquirer_code: str = systems.ACQUIRER_CODE
    seed: int = 1


Say = Callable[[str], None]


class Ladder:
    """One run."""

    def __init__(self, plan: LadderPlan, say: Say) -> None:
        self._plan = plan
        self._say = say
        self._thresholds: list[Threshold] = parse_all(plan.thresholds, ENTRIES)
        self._search = Search(plan.climb)
        self._slice_ms = slice_ms(plan.step_s)
        self._began = 0.0
        self._start_s = 0.0
        self._steps: list[Step] = []
        self._kinds: dict[int, Kind] = {}
        self._timeline: list[Moment] = []
        self._due = load.Series(self._slice_ms)
        self._sent = load.Series(self._slice_ms)
        self._compared: list[Report | str] = []
        self._faults: list[str] = []
        self._interrupted = False
        self._progress = load.Progress()
        self._lost = False

    def run(self, data_dir: Path | None) -> tuple[Run, dict[str, "load.Series"]]:
        """Climbs. Ctrl-C ends the step under way and the ladder, and what was measured is told.

        Raises: OperatorError, UnreachableError, ThresholdError.
        """
        with ExitStack() as stack:
            directory = stack.enter_context(scratch(data_dir))
            generator, books, pid, settings = self._start(stack, directory)
            stack.callback(generator.close)
            before = env.steal()
            self._began, self._start_s = time.monotonic(), time.time()
            try:
                self._climb(generator, books, pid)
            except KeyboardInterrupt:
                self._interrupted = True
            except UnreachableError as error:
                # What was measured before is told all the same.
                self._faults.append(f"the switch has gone: {error}")
            facts = env.of_load(directory, env.stolen(before, env.steal()), settings)
            return self._run(facts), {KIND + DUE: self._due, KIND + SENT: self._sent}

    # What is measured.

    def _start(
        self, stack: ExitStack, directory: Path
    ) -> tuple[load.Generator, "ledgers.Ledgers | None", int, str]:
        plan = self._plan
        if plan.connect:
            loopback(plan.connect)
            generator = load.Generator(
                plan.connect, plan.connections, issuer=plan.issuer, acquirer_code=plan.acquirer_code
            )
            generator.sign_on()
            return generator, None, 0, ""
        wallet = prepare(plan.tokens, self._say) if plan.tokens else None
        bank = load.Bank(books=True)
        stack.callback(bank.close)
        timeout_ms = int(1_000 * min(1.5, plan.timeout_s / 2))
        place = directory / "switch"
        place.mkdir()
        bench = Plan(tokens=plan.tokens)
        node = stack.enter_context(systems.node(bank, bench, place, wallet, timeout_ms))
        self._say(f"{node.name}: pid {node.pid}, {node.address}")
        generator = load.Generator(
            node.address,
            plan.connections,
            issuer=TOKENS if wallet else CARDS,
            pid=node.pid,
            taps=wallet.taps() if wallet else None,
        )
        generator.sign_on()
        settings = systems.settings_of(place)
        keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
        log = str(place / "data" / "journal" / systems.ready_of(place)["worker"])
        books = ledgers.Ledgers(bank, journal.Reader.open(log, keys), ISSUER)
        return generator, books, node.pid, systems.settings_text(place, bank)

    def _climb(self, generator: load.Generator, books: "ledgers.Ledgers | None", pid: int) -> None:
        while (rate := self._search.next) is not None:
            held = self._rate(rate, generator, books, pid)
            if held is None:
                return
            self._search.take(rate, held)

    def _rate(
        self, rate: float, generator: load.Generator, books: "ledgers.Ledgers | None", pid: int
    ) -> bool | None:
        """Whether a rate held; None when the ladder cannot go on."""
        failed = invalid = 0
        while True:
            step = self._step(rate, failed + invalid, generator, books, pid)
            if self._interrupted or self._lost:
                return None
            if step.valid and step.passed:
                return True
            if step.valid:
                failed += 1
            else:
                invalid += 1
            if failed > self._plan.retries:
                return False
            if invalid > INVALID_MAX:
                self._faults.append(f"{rate:g}/s cannot be offered from here: {step.fault}")
                return None

    def _step(
        self,
        rate: float,
        attempt: int,
        generator: load.Generator,
        books: "ledgers.Ledgers | None",
        pid: int,
    ) -> Step:
        plan = self._plan
        generator.reconnect()
        seed = plan.seed + 1_000 * len(self._steps)
        seconds = plan.warm_s + plan.step_s
        schedule = (
            load.Schedule.constant(rate, seconds)
            if plan.arrivals == "even"
            else load.Schedule.poisson(rate, seconds, seed)
        )
        before = env.steal()
        # Slices of all steps lie on one axis: a step starts at the edge of one.
        edge = math.ceil((time.monotonic() - self._began) * 1e3 / self._slice_ms)
        outcome = self._window(schedule, rate, generator)
        stolen = env.stolen(before, env.steal())
        shift_ms = (
            edge * self._slice_ms + int(plan.warm_s * 1_000 / self._slice_ms) * self._slice_ms
        )
        self._remember(outcome, shift_ms)
        compared: Report | str | None = None
        if books is not None:
            self._say(f"{'':>10} comparing the ledgers of {outcome['offered']:,} requests")
            compared = books.compare(generator, outcome, plan.acquirer_code)
            self._compared.append(compared)
            self._lost = isinstance(compared, str) or not compared.ok
        step = self._judge(rate, attempt, outcome, stolen, shift_ms / 1e3, compared, pid)
        self._kinds[len(self._steps)] = kind_of(outcome)
        self._steps.append(step)
        self._say(step_line(step))
        return step

    def _window(
        self, schedule: load.Schedule, rate: float, generator: load.Generator
    ) -> "load.Outcome":
        """The window in a thread of its own, so that Ctrl-C is heard and progress is seen."""
        plan = self._plan
        progress = self._progress = load.Progress()
        found: list[load.Outcome] = []
        failed: list[BaseException] = []

        # Not by joining the thread: a join that Ctrl-C breaks takes a running thread for ended.
        done = threading.Event()

        def work() -> None:
            try:
                found.append(
                    generator.open(
                        schedule,
                        warm_ms=int(1_000 * plan.warm_s),
                        timeout_ms=int(1_000 * plan.timeout_s),
                        record_ms=self._slice_ms,
                        progress=progress,
                    )
                )
            except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
                failed.append(error)
            finally:
                done.set()

        threading.Thread(target=work, name="ladder-step").start()
        began = last = time.monotonic()
        while not done.is_set():
            try:
                done.wait(0.2)
                if time.monotonic() - last >= SHOWN_S:
                    last = time.monotonic()
                    offered, answered, errors = progress.seen()
                    self._say(
                        f"{last - began:8.0f} s  {rate:g}/s: {offered:,} offered, "
                        f"{answered:,} answered, {errors:,} errors"
                    )
            except KeyboardInterrupt:
                self._interrupted = True
                self._say("ending: what is in flight ends first")
                progress.stop()
        if failed:
            raise failed[0]
        return found[0]

    def _remember(self, outcome: "load.Outcome", shift_ms: int) -> None:
        recording = outcome["recording"]
        self._due.merge(recording.due, shift_ms * 1_000_000)
        self._sent.merge(recording.sent, shift_ms * 1_000_000)
        for number, moment in enumerate(recording.timeline()):
            at_s = (shift_ms + number * self._slice_ms) / 1e3
            self._timeline.append(Moment(at_s, *moment))

    def _judge(
        self,
        rate: float,
        attempt: int,
        outcome: "load.Outcome",
        stolen: float,
        at_s: float,
        compared: Report | str | None,
        pid: int,
    ) -> Step:
        recording = outcome["recording"]
        due, sent = recording.due.total(), recording.sent.total()
        kind = kind_of(outcome)
        seconds = outcome["elapsed_ns"] / 1e9
        lag = outcome["lag_histogram"]
        figures = Measured({KIND + DUE: due, KIND + SENT: sent, LAG: lag}, [kind], seconds)
        verdicts = [judge(one, figures) for one in self._thresholds]
        cpu = outcome["own_cpu_ns"] / max(1, outcome["own_ns"])
        fault = fault_of(lag.quantile(0.999), due.quantile(0.99), cpu, stolen)
        if self._interrupted:
            fault = "interrupted"
        row, sent_row = entry(KIND, due), entry(KIND, sent)
        counted = outcome["counted"]
        return Step(
            rate=rate,
            attempt=attempt,
            at_s=at_s,
            seconds=round(seconds, 3),
            valid=not fault,
            fault=fault,
            passed=not fault and all(one.ok for one in verdicts),
            offered=kind.offered,
            achieved=round(counted / seconds, 1) if seconds else 0.0,
            errors=kind.errors,
            p50_us=row.p50_us,
            p99_us=row.p99_us,
            p999_us=row.p999_us,
            max_us=row.max_us,
            sent_p99_us=sent_row.p99_us,
            send_lag_p999_us=round(lag.quantile(0.999) / 1e3, 1),
            generator_cpu=round(cpu, 3),
            cpu_us_per_request=(
                round(outcome["cpu_ns"] / counted / 1e3, 1) if pid and counted else None
            ),
            verdicts=verdicts,
            conservation=told(compared),
        )

    # What is told.

    def _run(self, facts: dict[str, dict[str, str]]) -> Run:
        sustained = self._search.good
        shown = self._shown()
        entries, kinds, verdicts = [], [], []
        interval = (0.0, 0.0)
        if shown is not None:
            step = self._steps[shown]
            interval = (step.at_s, step.at_s + step.seconds)
            first = round(step.at_s * 1e3 / self._slice_ms)
            last = first + math.ceil(step.seconds * 1e3 / self._slice_ms) + 1
            for name, series in ((KIND + DUE, self._due), (KIND + SENT, self._sent)):
                entries.append(entry(name, series.total(first, last)))
            kinds, verdicts = [self._kinds[shown]], step.verdicts
        conservation = ledgers.summary(self._compared) if self._compared else None
        faults = list(self._faults)
        if self._interrupted:
            faults.append("interrupted: the ladder did not come to its end")
        plan = msgspec.to_builtins(self._plan)
        assert isinstance(plan, dict)
        return Run(
            tool="ladder",
            title="Ladder of rates",
            at=env.now(),
            start_s=self._start_s,
            seconds=round(time.monotonic() - self._began, 1),
            slice_ms=self._slice_ms,
            valid=bool(self._steps) and not faults,
            faults=faults,
            interrupted=self._interrupted,
            sustained=sustained,
            limited_by="" if faults or self._lost else self._search.ended_by,
            shown=interval,
            kinds=kinds,
            entries=entries,
            timeline=self._timeline,
            steps=self._steps,
            verdicts=list(verdicts),
            conservation=conservation,
            plan=plan,
            environment=facts,
        )

    def _shown(self) -> int | None:
        """The step whose percentiles are shown: the highest that held, else the last one."""
        held = [number for number, step in enumerate(self._steps) if step.passed]
        if held:
            return max(held, key=lambda number: self._steps[number].rate)
        return len(self._steps) - 1 if self._steps else None


def result(run: Run) -> dict[str, Any]:
    """What `-o json` prints: the report without its timeline."""
    told_run = msgspec.to_builtins(run)
    assert isinstance(told_run, dict)
    told_run.pop("timeline")
    return told_run
