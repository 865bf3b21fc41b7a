"""What locust loads: users by the mix, honest percentiles, thresholds, the day's curve.

Run it by `make load`, or `locust -f loadtest/locustfile.py --host 127.0.0.1:PORT`. Nothing here may
import asyncio: locust's process runs on gevent.
"""

import logging
import signal
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import gevent
import locust.stats
from locust import LoadTestShape, events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.merge import kinds_of
from loadtest.mix import Curve, find, share_at
from loadtest.recorder import ENTRIES, Recorder, Tally, significant, tallies
from loadtest.users import GateUser, Hands, TerminalUser
from loadtest.work import Work, stage
from switch.apps.load.figures import DUE, SENT, Counted
from switch.apps.load.model import Kind
from switch.apps.load.threshold import Threshold, judge, parse_all
from switch.cli.report import print_error
from switch.errors import TapswitchError

__all__: list[str] = []

log = logging.getLogger("loadtest")

EXIT_THRESHOLD: Final = 6
COUNTED: Final = "tapswitch"
"""Key of our counts in what a worker tells its master."""


def percentile_fields(
    writer: locust.stats.StatsCSV, entry: locust.stats.StatsEntry, use_current: bool = False
) -> list[str] | Sequence[float]:
    """Percentiles in files of --csv, which locust cuts to whole milliseconds."""
    if not entry.num_requests:
        return writer.percentiles_na
    if use_current and entry.use_response_times_cache:
        percentile = entry.get_current_response_time_percentile
    else:
        percentile = entry.get_response_time_percentile
    return [percentile(share) or 0 for share in writer.percentiles_to_report]


locust.stats.bucket_response_time = significant  # type: ignore[assignment]
locust.stats.StatsCSV._percentile_fields = percentile_fields  # type: ignore[assignment]

MIX: Final = find()


class Shop(TerminalUser):
    """The mix's [terminal]."""

    abstract = MIX.terminal is None or not MIX.terminal.weight
    weight = MIX.terminal.weight if MIX.terminal else 1
    mix = MIX
    if MIX.terminal is not None:
        kind = MIX.terminal


class Gate(GateUser):
    """The mix's [gate]."""

    abstract = MIX.gate is None or not MIX.gate.weight
    weight = MIX.gate.weight if MIX.gate else 1
    mix = MIX
    if MIX.gate is not None:
        kind = MIX.gate


if MIX.curve is not None:
    CURVE: Final[Curve] = MIX.curve

    class Day(LoadTestShape):
        """As many users as the day's curve has at its hour."""

        use_common_options = True

        def tick(self) -> tuple[int, float] | None:
            """Users now, and how fast they come and go; None at the end of the day."""
            options = self.runner.environment.parsed_options if self.runner else None
            asked = getattr(options, "run_time", None)
            if asked and self.get_run_time() >= asked:
                return None
            share = share_at(CURVE, self.get_run_time())
            if share is None:
                return None
            return max(1, round(share * CURVE.users)), max(1.0, CURVE.users / 4)


class State:
    """Of this process."""

    thresholds: Sequence[Threshold] = ()
    heard: ClassVar[dict[str, Tally]] = {}
    """Of a master: what its workers have told."""
    started_s: float = 0.0
    ended_s: float = 0.0
    start_unix_s: float = 0.0


class LocustFigures(Counted):
    """Locust's own statistics, as thresholds ask."""

    def __init__(self, environment: Environment, kinds: Sequence[Kind], seconds: float) -> None:
        super().__init__(kinds, seconds)
        self._stats = environment.stats

    @property
    def entries(self) -> Sequence[str]:
        return sorted(name for name, _ in self._stats.entries)

    def duration_ns(self, entry: str, figure: str) -> float | None:
        name = entry if entry.endswith((DUE, SENT)) else entry + DUE
        found = self._stats.entries.get((name, "TCP"))
        if found is None or not found.num_requests:
            return None
        match figure:
            case "max":
                return found.max_response_time * 1e6
            case "mean":
                return found.avg_response_time * 1e6
            case _:
                return found.get_response_time_percentile(float(figure) / 100) * 1e6


@events.init_command_line_parser.add_listener
def options(parser: ArgumentParser) -> None:
    """Our own options."""
    add: Callable[..., Any] = parser.add_argument
    add(
        "--fail-if",
        action="append",
        default=[],
        metavar="THRESHOLD",
        include_in_web_ui=False,
        help="When the run has failed, such as 'p99(0200)>10ms'; may be repeated.",
    )


@events.init.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Understands the thresholds before anything starts."""
    given = environment.parsed_options.fail_if if environment.parsed_options else []
    try:
        State.thresholds = parse_all(given, ENTRIES)
    except TapswitchError as error:
        print_error(error)
        raise SystemExit(error.exit_code) from error
    # By itself Python raises Ctrl-C in whichever greenlet runs, which may be a sale.
    gevent.signal_handler(signal.SIGINT, interrupt)


def interrupt() -> None:
    """Ctrl-C is for locust's main greenlet."""
    gevent.get_hub().parent.throw(KeyboardInterrupt)


@events.test_start.add_listener
def start(environment: Environment, **_: Any) -> None:
    """Hands for the users of this process, and clean sheets."""
    State.started_s, State.start_unix_s = time.monotonic(), time.time()
    State.ended_s, State.heard = 0.0, {}
    Hands.recorder = Recorder(time.monotonic_ns())
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        return
    number = runner.worker_index if isinstance(runner, WorkerRunner) else 0
    if not hasattr(Hands, "work"):
        Hands.work = Work(stage(environment.host or ""), MIX, number)
    # Reading the tokens took time that gevent's clock has not seen: its timers would end early.
    gevent.get_hub().loop.update_now()
    State.started_s, State.start_unix_s = time.monotonic(), time.time()
    Hands.recorder.start_ns = time.monotonic_ns()


@events.test_stopping.add_listener
def stopping(environment: Environment, **_: Any) -> None:
    """From now on nothing new is offered; what is under way ends."""
    State.ended_s = time.monotonic()


@events.test_stop.add_listener
def stop(environment: Environment, **_: Any) -> None:
    """Leaves this process's part of the report."""
    State.ended_s = State.ended_s or time.monotonic()
    if isinstance(environment.runner, MasterRunner) or not hasattr(Hands, "work"):
        return
    directory = Hands.work.stage.directory
    if directory:
        Hands.recorder.write(
            Path(directory), Hands.work.number, int(State.ended_s * 1e9), State.start_unix_s
        )


@events.report_to_master.add_listener
def tell(client_id: str, data: dict[str, Any], **_: Any) -> None:
    """A worker's counts since the last time."""
    if hasattr(Hands, "recorder"):
        data[COUNTED] = Hands.recorder.take_unsaid()


@events.worker_report.add_listener
def hear(client_id: str, data: dict[str, Any], **_: Any) -> None:
    """A master adds them up."""
    for name, tally in tallies(data.get(COUNTED, {})).items():
        State.heard.setdefault(name, Tally()).add(tally)


@events.quitting.add_listener
def judged(environment: Environment, **_: Any) -> None:
    """Thresholds decide the exit code; a worker leaves that to its master."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner) or not State.started_s:
        return
    counted = State.heard
    if not isinstance(runner, MasterRunner) and hasattr(Hands, "recorder"):
        counted = Hands.recorder.kinds
    seconds = (State.ended_s or time.monotonic()) - State.started_s
    figures = LocustFigures(environment, kinds_of(counted), seconds)
    verdicts = [judge(one, figures) for one in State.thresholds]
    for one in verdicts:
        log.info("%s", one.text)
    if verdicts:
        failed = not all(one.ok for one in verdicts)
        environment.process_exit_code = EXIT_THRESHOLD if failed else 0


# The imports above took time that gevent's clock has not seen.
gevent.get_hub().loop.update_now()
