"""`tapswitch bench`: floors, and the switch beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from switch.apps.bench import Report

__all__ = ["command"]

EXIT_THRESHOLD = 6


def _options(function: Any) -> Any:
    for option in (
        click.option("-o", "output", type=click.Choice(["text", "json"]), default="text"),
        click.option(
            "--data-dir",
            type=click.Path(path_type=Path, file_okay=False),
            help="Where journals are made and left; default: a temporary directory on a disk.",
        ),
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
@click.option("--require", is_flag=True, help="Exit code 6 when a required figure is not reached.")
@_options
def run(no_costs: bool, require: bool, **options: Any) -> int:
    """The switch, its journal durable, beside both floors in one run."""
    import msgspec

    from switch.apps.bench import run_switch

    output, data_dir, plan = _asked(**options)
    plan = msgspec.structs.replace(plan, costs=not no_costs)
    report = run_switch(plan, data_dir, _say)
    code = _print(report, output)
    return EXIT_THRESHOLD if require and not report.reached else code


@command.command("tokens")
@click.option("--require", is_flag=True, help="Exit code 6 when a limit is not kept.")
@click.option("--tokens", type=click.IntRange(1, 10_000_000), default=1_000_000)
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
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
