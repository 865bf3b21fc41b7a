"""`tapswitch simulate`: the whole switch in seeded worlds, and their replay."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from switch.simulation.case import Kept
    from switch.simulation.report import Failure
    from switch.simulation.swarm import Pool, Result
    from switch.simulation.trace import Event

__all__ = ["command"]

FAILURES_DIR = Path("simulate-failures")


@click.command("simulate")
@click.option("--seed", type=click.IntRange(min=0), help="Run one world.")
@click.option("--seeds", metavar="A..B", help="Run all worlds from A to B.")
@click.option(
    "--case",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Run the worlds that are kept in this file.",
)
@click.option("--name", default="", help="Only this one of them.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=2, show_default=True, help="Processes."
)
@click.option(
    "--transactions",
    type=click.IntRange(1, 100_000),
    default=340,
    show_default=True,
    help="Of each world.",
)
@click.option("--without", multiple=True, metavar="FAULT", help="A fault that does not happen.")
@click.option("--trace", is_flag=True, help="Print all that happens in one world.")
@click.option(
    "--of",
    "wanted",
    default="",
    metavar="RRN|STAN",
    help="Of the trace only what concerns this transaction.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the trace of one transaction as SVG into this file (with --of).",
)
@click.option("--no-shrink", is_flag=True, help="Report a failing world as it is.")
@click.option(
    "--shrink-s",
    type=click.IntRange(1, 3_600),
    default=60,
    show_default=True,
    help="Seconds for making one failing world small.",
)
@click.option(
    "--regressions",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep failing worlds in this file (else each in one of its own in simulate-failures).",
)
@click.option(
    "--sometimes", is_flag=True, help="Fail when a fault or state never came up (with --seeds)."
)
@click.option("--mutant", default="", hidden=True)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def command(
    seed: int | None,
    seeds: str | None,
    file: Path | None,
    name: str,
    jobs: int,
    transactions: int,
    without: tuple[str, ...],
    trace: bool,
    wanted: str,
    picture: Path | None,
    no_shrink: bool,
    shrink_s: int,
    regressions: Path | None,
    sometimes: bool,
    mutant: str,
    output: str,
) -> int:
    """The whole switch in seeded worlds: rude acquirers and banks, a bad network, power cuts.

    Each seed is one world, and the same seed is the same world wherever it runs: the last line
    names the hash of its journal. Three ledgers are compared at the end; exit code 6 when a rule
    did not hold, with the history of the transaction and the smallest world found that breaks it,
    which is kept in a file: --case replays it, also after the drawing of seeds has changed.
    """
    from switch.simulation import report
    from switch.simulation.case import Case, kept_in
    from switch.simulation.mutants import check_mutant
    from switch.simulation.sometimes import missing
    from switch.simulation.swarm import Pool

    if sum(one is not None for one in (seed, seeds, file)) != 1:
        raise click.UsageError("say one of --seed N, --seeds A..B and --case FILE")
    if picture is not None and not wanted:
        raise click.UsageError("--picture draws one transaction: say which with --of RRN")
    check_mutant(mutant)
    kept: list[Kept] = []
    if file is not None:
        kept = [one for one in kept_in(file) if name in {"", one.name}]
        if not kept:
            raise click.UsageError(f"{file} has no case {name!r}")
        cases = [one.case(mutant=mutant) for one in kept]
    else:
        first, last = (seed, seed) if seed is not None else report.span(seeds or "")
        cases = [
            Case(number, transactions, tuple(without), mutant) for number in range(first, last + 1)
        ]
    asked = trace or bool(wanted)
    if asked and len(cases) > 1:
        raise click.UsageError("--trace and --of are for one world: --seed N, or --name of a case")
    text = output == "text"
    events: list[Event] = []
    failures: list[Failure] = []
    with Pool(min(jobs, len(cases)) if no_shrink else jobs) as pool:
        if asked:
            results = [pool.one(cases[0], trace=True)]
            events = _followed(results[0], wanted)
            if text and trace:
                report.show_events(events)
            if picture is not None:
                _draw(picture, events, wanted)
        elif seed is not None:
            results = [pool.one(cases[0])]
        elif kept:
            results = [pool.one(case) for case in cases]
        else:
            results = report.with_progress(pool.each(cases), len(cases))
        if text and kept:
            for one, result in zip(kept, results, strict=True):
                report.show_kept(one, result)
        elif text and seed is not None:
            report.show_one(results[0])
        failed = [result for result in results if result.outcome.broken]
        for result in failed[: report.FAILURES_SHOWN]:
            if kept:
                failures.append(_again(result, file, kept[results.index(result)].name))
            else:
                budget_s = 0 if no_shrink else shrink_s
                failures.append(_failure(pool, result, regressions, budget_s))
            if text:
                report.show_failure(failures[-1])
    totals: Counter[str] = Counter()
    for result in results:
        totals.update(result.outcome.counts)
    never = missing(totals) if sometimes and seeds is not None else []
    if not text:
        click.echo(report.structured(results, failures, totals, never, events))
    elif seeds is not None:
        report.show_swarm(results, totals, len(failed))
        for one_name in never:
            click.echo(f"never happened: {one_name}")
    return 6 if failed or never else 0


def _followed(result: "Result", wanted: str) -> "list[Event]":
    from switch.simulation.trace import follow

    if not wanted:
        return result.events
    events = follow(result.events, wanted)
    if not events:
        click.echo(f"no message of this world has the RRN or STAN {wanted!r}", err=True)
    return events


def _failure(pool: "Pool", result: "Result", kept: Path | None, budget_s: int) -> "Failure":
    """Made small, kept, and replayed in another process."""
    import msgspec

    from switch.simulation import report
    from switch.simulation.case import keep, text_of
    from switch.simulation.shrink import shrink

    shrunk = shrink(pool, result, budget_s, report.say) if budget_s else None
    failure = report.failed(result, shrunk, kept or FAILURES_DIR, own=kept is None)
    if failure.small.case.plan is None:
        return failure
    one = report.kept_of(failure)
    file = Path(failure.file)
    if kept is None:
        file.unlink(missing_ok=True)
    keep(file, one)
    return msgspec.structs.replace(failure, text=text_of(one), replayed=report.replays(failure))


def _again(result: "Result", file: Path | None, name: str) -> "Failure":
    """A kept case that fails again: it is small already."""
    from switch.simulation import report

    return report.Failure(result, result, report.commit(), file=str(file), name=name)


def _draw(file: Path, events: "list[Event]", wanted: str) -> None:
    from switch.errors import OperatorError
    from switch.simulation.picture import picture

    try:
        file.write_text(picture(events, wanted), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}", help="name another file") from error
    click.echo(f"drawn into {file}", err=True)
