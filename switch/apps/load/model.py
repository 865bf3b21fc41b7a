"""A load run as `report.json` has it: what was asked, what came of it, what it was judged by.

The tables hold no histograms: those stand beside them in `run.hlog`, by the tags of `tag`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.apps.load.threshold import Verdict
from switch.errors import OperatorError, UsageError
from switch.native import load

__all__ = [
    "SCHEMA",
    "Entry",
    "Kind",
    "Moment",
    "Run",
    "Step",
    "entry",
    "read",
    "tag",
    "write",
]

SCHEMA: Final = "tapswitch.load/1"
REPORT: Final = "report.json"
LOG: Final = "run.hlog"
ENVIRONMENT: Final = "env.json"
SAMPLES: Final = 10
"""A percentile is given when at least so many requests lie beyond it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of one kind of request, counted from one moment. Microseconds."""

    name: str
    """Such as "0200 due" or "0200 sent"."""
    count: int
    mean_us: float
    p50_us: float | None
    p90_us: float | None
    p99_us: float | None
    p999_us: float | None
    p9999_us: float | None
    """None: too few requests to say."""
    max_us: float


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How requests of one kind ended; each in exactly one of answered, errors, not_sent."""

    name: str
    offered: int
    answered: int
    """In time, whatever the code: approved and declined."""
    declined: int
    errors: int
    """No usable answer in time."""
    timeouts: int
    """Among the errors."""
    not_sent: int
    late: int = 0
    """Answers after the deadline, of requests that count as time-outs."""
    codes: dict[str, int] = {}
    """Answers by response code, where it is known."""


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """One slice of time: offered and not sent by due time, the rest by the time of the event."""

    at_s: float
    offered: int
    answered: int
    """Approved and declined."""
    declined: int
    errors: int
    not_sent: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a ladder, tried once."""

    rate: float
    """Offered a second, as planned."""
    attempt: int
    at_s: float
    """Start of what was counted, after the start of the run."""
    seconds: float
    valid: bool
    fault: str = ""
    """Why the generator's figures mean nothing; empty when they do."""
    passed: bool
    offered: int
    achieved: float
    """Answered a second."""
    errors: int
    p50_us: float | None
    p99_us: float | None
    p999_us: float | None
    max_us: float | None
    sent_p99_us: float | None
    """p99 from the time of sending."""
    send_lag_p999_us: float
    generator_cpu: float
    """Share of a core that the generator's thread used."""
    cpu_us_per_request: float | None = None
    """Of the switch; None when its process is not ours."""
    verdicts: list[Verdict]
    conservation: str = ""
    """"agree", what disagrees, or empty when it could not be looked at."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Times on its pictures and logs count from its start."""

    schema: str = SCHEMA
    tool: str
    """ladder or locust."""
    title: str
    at: str
    """UTC."""
    start_s: float
    """Unix seconds of its start."""
    seconds: float
    slice_ms: int
    valid: bool
    faults: list[str] = []
    """Why it is not valid, or what went wrong on the way."""
    interrupted: bool = False
    sustained: float | None = None
    """Ladder: the highest rate that held; None when none did."""
    limited_by: str = ""
    """Ladder: what ended it."""
    shown: tuple[float, float]
    """From when to when the entries and the percentile curve count."""
    kinds: list[Kind]
    entries: list[Entry]
    timeline: list[Moment]
    steps: list[Step] = []
    verdicts: list[Verdict]
    conservation: dict[str, Any] | None = None
    plan: dict[str, Any]
    """What was asked for."""
    environment: dict[str, dict[str, str]]

    @property
    def passed(self) -> bool:
        """Valid, every threshold kept, the ledgers agree."""
        agree = self.conservation is None or bool(self.conservation["ok"])
        reached = self.tool != "ladder" or self.sustained is not None
        return self.valid and reached and agree and all(one.ok for one in self.verdicts)


def tag(name: str) -> str:
    """An entry's name as a log's tag, which holds no spaces."""
    return name.replace(" ", ":")


def entry(name: str, histogram: "load.Histogram") -> Entry:
    """The table row of a histogram."""
    count = len(histogram)

    def us(q: float) -> float | None:
        enough = round(count * (1 - q), 6) >= SAMPLES or (q <= 0.5 and count > 0)
        return round(histogram.quantile(q) / 1e3, 1) if enough else None

    return Entry(
        name=name,
        count=count,
        mean_us=round(histogram.mean() / 1e3, 1),
        p50_us=us(0.5),
        p90_us=us(0.9),
        p99_us=us(0.99),
        p999_us=us(0.999),
        p9999_us=us(0.9999),
        max_us=round(histogram.maximum / 1e3, 1),
    )


def write(directory: Path, run: Run, series: Mapping[str, "load.Series"]) -> None:
    """Makes report.json, env.json and run.hlog in a directory that exists. `series`: by entry."""
    named = {tag(name): one for name, one in series.items()}
    comment = f"tapswitch {run.tool}: nanoseconds by entry, slices of {run.slice_ms} ms"
    (directory / LOG).write_bytes(load.write_log(named, run.start_s, comment))
    text = msgspec.json.format(msgspec.json.encode(run), indent=1)
    (directory / REPORT).write_bytes(text + b"\n")
    environment = msgspec.json.format(msgspec.json.encode(run.environment), indent=1)
    (directory / ENVIRONMENT).write_bytes(environment + b"\n")


def read(directory: Path) -> tuple[Run, dict[str, "load.Series"]]:
    """What `write` wrote. Raises: OperatorError for what is no run of this version."""
    report, log = directory / REPORT, directory / LOG
    try:
        data, lines = report.read_bytes(), log.read_bytes()
    except OSError as error:
        raise OperatorError(
            f"this is no directory of a load run: {error.strerror}",
            file=str(error.filename),
            help="a run's directory holds report.json and run.hlog",
        ) from error
    try:
        run = msgspec.json.decode(data, type=Run)
    except msgspec.DecodeError as error:
        raise OperatorError(f"not the report of a load run: {error}", file=str(report)) from error
    if run.schema != SCHEMA:
        raise OperatorError(f"it has schema {run.schema}, not {SCHEMA}", file=str(report))
    try:
        series = load.read_log(lines)
    except UsageError as error:
        raise OperatorError(str(error), file=str(log)) from error
    return run, {name.replace(":", " "): one for name, one in series.items()}


def names(entries: Sequence[Entry]) -> list[str]:
    """Their names."""
    return [one.name for one in entries]
