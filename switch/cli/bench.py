"""`tapswitch bench`: floors, the switch beside them, the ladder of rates, and what lies beyond."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from switch.apps.bench import Report

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])

EXIT_THRESHOLD = 6
EXIT_INTERRUPTED = 130


_output = click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
_directory = click.Path(path_type=Path, file_okay=False)
_data_dir = click.option(
    "--data-dir",
    type=_directory,
    help="Where journals are made and left; default: a temporary directory on a disk.",
)
_seed = click.option("--seed", type=int, default=1, show_default=True)


def _require(missed: str) -> Callable[[F], F]:
    return click.option("--require", is_flag=True, help=f"Exit code 6 when {missed}.")


def _whole(
    name: str, low: int, high: int, default: int, text: str | None = None
) -> Callable[[F], F]:
    """A whole number within bounds."""
    bounded = click.IntRange(low, high)
    return click.option(name, type=bounded, default=default, show_default=True, help=text)


def _number(
    name: str, low: float, high: float, default: float, text: str | None = None, unit: str = ""
) -> Callable[[F], F]:
    """Any number within bounds, in `unit`; what is in SECONDS is called so behind its name."""
    to = f"{name.removeprefix('--')}_s" if unit == "SECONDS" else name.removeprefix("--")
    return click.option(
        name,
        to,
        type=click.FloatRange(low, high),
        default=default,
        show_default=True,
        metavar=unit or None,
        help=text,
    )


def _options(function: Any) -> Any:
    for option in (
        _output,
        _data_dir,
        click.option(
            "--shape",
            "names",
            multiple=True,
            metavar="NAME",
            help="Only this shape (32x1, 32x16, 1000/s, 5000/s); may be repeated.",
        ),
        click.option(
            "--tokens",
            type=click.IntRange(0, 10_000_000),
            help="Taps of so many tokens (made once, kept in .cache), default 1,000,000; "
            "0: plain cards.",
        ),
        click.option("--rounds", type=click.IntRange(1, 20), help="Windows of each shape."),
        click.option(
            "--window", type=click.IntRange(100, 60_000), metavar="MS", help="Length of a window."
        ),
    ):
        function = option(function)
    return function


@click.group("bench")
def command() -> None:
    """Measure the switch beside its floors: throughput, latency, CPU per authorisation.

    Nothing else should run on the machine meanwhile. Exit code 6: a window gave no figures.
    """


@command.command("floor")
@_options
def floor(**options: Any) -> int:
    """The relay, and the relay with two durable records a request."""
    from switch.apps.bench import run_floor

    output, data_dir, plan = _asked(**options)
    return _print(run_floor(plan, data_dir, _say), output)


@command.command("run")
@click.option("--no-costs", is_flag=True, help="Without declines, duplicates and time-outs.")
@_require("a required figure is not reached")
@click.option("--tls", is_flag=True, help="Beside it one with TLS on both legs; plain cards.")
@_options
def run(no_costs: bool, require: bool, tls: bool, **options: Any) -> int:
    """The switch, its journal durable, beside both floors in one run."""
    import msgspec

    from switch.apps.bench import run_switch

    output, data_dir, plan = _asked(**options)
    plan = msgspec.structs.replace(plan, costs=not no_costs, tls=tls)
    if tls:
        if options["tokens"]:
            raise click.UsageError("--tls measures plain cards: one vault has one switch")
        plan = msgspec.structs.replace(plan, tokens=0)
    report = run_switch(plan, data_dir, _say)
    code = _print(report, output)
    return EXIT_THRESHOLD if require and not report.reached else code


@command.command("tokens")
@_require("a limit is not kept")
@_whole("--tokens", 1, 10_000_000, 1_000_000)
@_data_dir
@_output
def tokens(require: bool, tokens: int, data_dir: Path | None, output: str) -> int:
    """What many tokens cost a node: private memory and time to start."""
    import msgspec

    from switch.apps.bench import run_tokens
    from switch.apps.bench.memory import ADDED_MB_MAX, START_S_MAX
    from switch.apps.bench.plan import Plan

    cost = run_tokens(Plan(tokens=tokens), data_dir, _say)
    if output == "json":
        click.echo(msgspec.json.encode(cost).decode())
    else:
        click.echo(
            f"{cost.tokens:,} tokens add {cost.added_mb:.0f} MB of private memory "
            f"(at most {ADDED_MB_MAX}): {cost.without_mb:.0f} without, {cost.with_mb:.0f} with, "
            f"after {cost.taps:,} taps\n"
            f"ready after {cost.with_ready_s:.2f} s (at most {START_S_MAX:g}), "
            f"without tokens {cost.without_ready_s:.2f} s"
        )
    return EXIT_THRESHOLD if require and not cost.ok else 0


@command.command("restart")
@_require("the limit is not kept")
@_whole("--records", 1_000, 100_000_000, 1_000_000)
@_whole("--starts", 1, 20, 3)
@_data_dir
@_output
def restart(require: bool, records: int, starts: int, data_dir: Path | None, output: str) -> int:
    """How long a node is away that was killed with a day's records in its journal."""
    import msgspec

    from switch.apps.bench import run_restart

    found = run_restart(records, starts, data_dir, _say)
    if output == "json":
        click.echo(msgspec.json.encode(found).decode())
    else:
        replay = max(one.replay_s for one in found.starts)
        click.echo(
            f"{found.records:,} records ({found.journal_mib} MiB): first answer at most "
            f"{found.worst_s:.2f} s after `tapswitch run` (limit {found.limit_s:g}), of that "
            f"{replay:.2f} s replay; with an empty journal {found.empty.answered_s:.2f} s"
        )
    return EXIT_THRESHOLD if require and not found.ok else 0


@command.command("ladder")
@_number("--start", 1, 1_000_000, 500, "First rate.")
@_number("--factor", 1.01, 10, 1.5, "Each step is so much faster, until one fails.")
@_number("--max", 1, 1_000_000, 50_000, "No faster than this.")
@_number(
    "--precision",
    0.1,
    50,
    2,
    "Between the last good rate and the first bad one it halves down to this.",
    "PERCENT",
)
@_number("--step", 1, 3_600, 10, "Length of a step, without its warm-up.", "SECONDS")
@_number("--warm", 0, 600, 1, unit="SECONDS")
@_number(
    "--timeout",
    0.1,
    120,
    5,
    "Without an answer so long after sending a request has failed.",
    "SECONDS",
)
@_whole(
    "--retries", 0, 10, 1, "A rate that fails is tried so often again before it counts as failed."
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "even"]),
    default="poisson",
    show_default=True,
    help="poisson: as from many terminals that know nothing of each other.",
)
@_whole("--connections", 1, 4_096, 32)
@_whole(
    "--tokens",
    0,
    10_000_000,
    0,
    "Taps of so many tokens (made once, kept in .cache); 0: plain cards.",
)
@click.option(
    "--fail-if",
    "thresholds",
    multiple=True,
    metavar="THRESHOLD",
    help="When a step has failed, such as 'p99(0200)>10ms'; may be repeated. Default: "
    "p99(0200)>10ms, error_rate>0.01%, not_sent>0.",
)
@click.option(
    "--connect",
    default="",
    metavar="HOST:PORT",
    help="A switch that runs already, on loopback; its ledgers are not compared.",
)
@click.option("--issuer", metavar="DIGITS", help="With --connect: six digits of the cards.")
@click.option("--acquirer-code", metavar="CODE", help="With --connect: field 32.")
@_seed
@click.option(
    "--out",
    type=_directory,
    help="Where the report is made: a new directory; default: out/ladder-TIME.",
)
@_data_dir
@_output
def ladder(out: Path | None, data_dir: Path | None, output: str, **options: Any) -> int:
    """The highest rate that the switch holds: steps up until a threshold fails, then halves.

    Requests leave when they are due, whatever the answers do, and latency counts from then. A step
    in which the generator itself was late says nothing. After each step the ledgers of terminals,
    journal and bank are compared. Ctrl-C ends in a report. Exit code 6: no rate held, nothing valid
    was measured, or the ledgers disagree.
    """
    import msgspec

    from switch.apps.bench.ladder import Ladder, result
    from switch.apps.load.report import make_directory, save, text

    ladder = Ladder(_ladder_plan(**options), _say)
    directory = make_directory(out, "ladder")
    run, series = ladder.run(data_dir)
    save(directory, run, series)
    if output == "json":
        click.echo(msgspec.json.encode(result(run)).decode())
    else:
        click.echo(text(run))
    _say(f"report: {directory / 'report.html'}")
    if run.interrupted:
        return EXIT_INTERRUPTED
    return 0 if run.passed else EXIT_THRESHOLD


def _ladder_plan(
    start: float,
    factor: float,
    max: float,  # noqa: A002 - the option's name
    precision: float,
    issuer: str | None,
    acquirer_code: str | None,
    thresholds: tuple[str, ...],
    **rest: Any,
) -> Any:
    from switch.apps.bench.ladder import THRESHOLDS, LadderPlan
    from switch.apps.bench.search import Climb

    if not rest["connect"] and (issuer or acquirer_code):
        raise click.UsageError("--issuer and --acquirer-code go with --connect")
    if rest["connect"] and rest["tokens"]:
        raise click.UsageError("--tokens needs the ladder's own switch, which knows the tokens")
    if issuer is not None and not (len(issuer) == 6 and issuer.isdecimal()):
        raise click.UsageError("--issuer is six digits")
    named: dict[str, Any] = {"issuer": issuer, "acquirer_code": acquirer_code}
    return LadderPlan(
        climb=Climb(start=start, factor=factor, rate_max=max, precision=precision / 100),
        thresholds=thresholds or THRESHOLDS,
        **{name: value for name, value in named.items() if value},
        **rest,
    )


@command.command("overload")
@click.option(
    "--knee",
    type=click.FloatRange(1, 1_000_000),
    help="Requests a second that the switch just holds; default: found first.",
)
@click.option(
    "--times",
    "multiples",
    multiple=True,
    type=click.FloatRange(1.01, 100),
    help="Overload as a multiple of the knee; may be repeated. Default: 2, 5, 10.",
)
@click.option(
    "--step",
    "step_s",
    type=click.FloatRange(1, 3_600),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="Length of each overload.",
)
@click.option(
    "--quiet-rate",
    type=click.FloatRange(1, 10_000),
    default=200,
    show_default=True,
    help="Requests a second of the acquirer beside the noisy one.",
)
@click.option("--connections", type=click.IntRange(1, 1_024), default=32, show_default=True)
@click.option("--short", is_flag=True, help="Two seconds a step: shows that it works, no figures.")
@click.option(
    "--share",
    type=click.FloatRange(0.1, 1),
    default=1.0,
    show_default=True,
    help="Of its core that the switch gets, in all phases, beside a process that has the rest: "
    "where ten times the knee is more than the generator can send.",
)
@_whole("--rounds", 1, 9, 1, "Of all multiples in turn; the medians must reach what is required.")
@click.option("--no-pin", is_flag=True, help="Processes run on whatever core is free.")
@click.option("--require", is_flag=True, help="Exit code 6 when a required figure is not reached.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the report is made: a new directory; default: out/overload-TIME.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the journal is made and left; default: a temporary directory on a disk.",
)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def overload(
    out: Path | None, data_dir: Path | None, output: str, require: bool, **options: Any
) -> int:
    """Goodput beyond the knee, beside a quiet acquirer that must not feel it.

    Each step is calm, overload, calm again. Requests leave when they are due; a step whose
    generator was late is void. The switch runs on one core, generator and bank on the others.
    Exit code 6: the ledgers disagree, or with --require a figure was missed.
    """
    import msgspec

    from switch.apps.bench.overload import Overload, OverloadPlan
    from switch.apps.bench.overload_report import save, text
    from switch.apps.bench.required import result
    from switch.apps.load.report import make_directory

    plan = OverloadPlan(
        knee=options["knee"],
        step_s=options["step_s"],
        quiet_rate=options["quiet_rate"],
        connections=options["connections"],
        pinned=not options["no_pin"],
        share=options["share"],
        rounds=options["rounds"],
        seed=options["seed"],
    )
    if options["multiples"]:
        plan = msgspec.structs.replace(plan, multiples=options["multiples"])
    if options["short"]:
        plan = msgspec.structs.replace(plan, calm_s=2.0, step_s=2.0, after_s=2.0, knee_step_s=1.0)
    directory = make_directory(out, "overload")
    run = Overload(plan, _say).run(data_dir)
    save(directory, run)
    click.echo(msgspec.json.encode(run).decode() if output == "json" else text(run))
    _say(f"report: {directory / 'summary.md'}")
    reached = all(ok for ok, _ in result(run)) if require else not run.faults
    return 0 if reached else EXIT_THRESHOLD


@command.command("report")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
def report(directory: Path) -> int:
    """Draw a run's pictures, page and summary again from report.json and run.hlog."""
    from switch.apps.load.report import again, text

    click.echo(text(again(directory)))
    _say(f"report: {directory / 'report.html'}")
    return 0


@command.command("compare")
@click.argument("before", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("after", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--force", is_flag=True, help="Also when machine or conditions differ.")
@_output
def compare(before: Path, after: Path, force: bool, output: str) -> int:
    """Two runs beside each other; refused when machine, build or conditions differ."""
    import msgspec

    from switch.apps.load.compare import compare, text

    comparison = compare(before, after, force=force)
    click.echo(msgspec.json.encode(comparison).decode() if output == "json" else text(comparison))
    return 0


def _asked(
    output: str,
    data_dir: Path | None,
    names: tuple[str, ...],
    rounds: int | None,
    window: int | None,
    tokens: int | None,
) -> tuple[str, Path | None, Any]:
    from msgspec.structs import replace

    from switch.apps.bench.plan import SHAPES, Plan

    plan = Plan()
    unknown = set(names) - {shape.name for shape in SHAPES}
    if unknown:
        known = ", ".join(shape.name for shape in SHAPES)
        raise click.UsageError(f"no shape {min(unknown)!r}; there are {known}")
    if names:
        plan = replace(plan, shapes=tuple(shape for shape in SHAPES if shape.name in names))
    if tokens is not None:
        plan = replace(plan, tokens=tokens)
    if rounds:
        plan = replace(plan, rounds=rounds)
    if window:
        plan = replace(plan, closed_ms=window, open_ms=window)
    return output, data_dir, plan


def _print(report: "Report", output: str) -> int:
    if output == "json":
        import msgspec

        click.echo(msgspec.json.encode(report).decode())
    else:
        from switch.apps.bench.report import text

        click.echo(text(report))
    return 0 if report.valid else EXIT_THRESHOLD


def _say(line: str) -> None:
    click.echo(line, err=True)
