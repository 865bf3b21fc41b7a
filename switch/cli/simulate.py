"""`tapswitch simulate`: the whole switch in seeded worlds, and their replay."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from switch.simulation.case import Case, Kept
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

    The same seed is the same world wherever it runs: the last line names its journal's hash. Three
    ledgers are compared at the end; exit code 6 when a rule did not hold, with that transaction's
    history and a smaller world that breaks it, kept in a file that --case replays for ever.
    """
    from switch.simulation import report
    from switch.simulation.mutants import check_mutant
    from switch.simulation.swarm import Pool

    if sum(one is not None for one in (seed, seeds, file)) != 1:
        raise click.UsageError("say one of --seed N, --seeds A..B and --case FILE")
    check_mutant(mutant)
    kept = _kept(file, name) if file is not None else []
    first, last = (seed, seed) if seed is not None else report.span(seeds or "0..0")
    cases = _cases(kept, range(first, last + 1), transactions, tuple(without), mutant)
    asked = trace or bool(wanted)
    _check_trace(asked, picture, wanted, len(cases))
    text, shrink_s = output == "text", 0 if no_shrink else shrink_s
    with Pool(min(jobs, len(cases)) if no_shrink else jobs) as pool:
        if seeds and not asked:
            results = report.with_progress(pool.each(cases), len(cases))
        else:
            results = [pool.one(case, trace=asked) for case in cases]
        events = _followed(results[0], wanted)
        _show(kept, [] if seeds else results, events if trace else [], text)
        if picture is not None:
            _draw(picture, events, wanted)
        failed = [result for result in results if result.outcome.broken]
        names = {id(result): one.name for one, result in zip(kept, results, strict=False)}
        failures = [
            _failure(pool, one, regressions, shrink_s, file, names.get(id(one), ""))
            for one in failed[: report.FAILURES_SHOWN]
        ]
        for failure in failures if text else ():
            report.show_failure(failure)
    never = _never(results) if sometimes and seeds else []
    if not text:
        click.echo(report.structured(results, failures, _totals(results), never, events))
    elif seeds:
        report.show_swarm(results, _totals(results), len(failed), never)
    return 6 if failed or never else 0


def _totals(results: "list[Result]") -> Counter[str]:
    return sum((Counter(result.outcome.counts) for result in results), Counter[str]())


def _never(results: "list[Result]") -> list[str]:
    """What should have happened sometimes and did not."""
    from switch.simulation.sometimes import missing

    return missing(_totals(results))


def _check_trace(asked: bool, picture: Path | None, wanted: str, worlds: int) -> None:
    if picture is not None and not wanted:
        raise click.UsageError("--picture draws one transaction: say which with --of RRN")
    if asked and worlds > 1:
        raise click.UsageError("--trace and --of are for one world: --seed N, or --name of a case")


def _cases(
    kept: "list[Kept]", seeds: range, transactions: int, without: tuple[str, ...], mutant: str
) -> "list[Case]":
    """What is to be run: what is kept, else the seeds."""
    from switch.simulation.case import Case

    if kept:
        return [one.case(mutant=mutant) for one in kept]
    return [Case(seed, transactions, without, mutant) for seed in seeds]


def _kept(file: Path, name: str) -> "list[Kept]":
    """Of the cases in the file the one of that name, or all."""
    from switch.simulation.case import kept_in

    kept = [one for one in kept_in(file) if name in {"", one.name}]
    if not kept:
        raise click.UsageError(f"{file} has no case {name!r}")
    return kept


def _show(kept: "list[Kept]", results: "list[Result]", events: "list[Event]", text: bool) -> None:
    """What happened, and how each of them went."""
    from switch.simulation import report

    if not text:
        return
    if events:
        report.show_events(events)
    for place, result in enumerate(results):
        if kept:
            report.show_kept(kept[place], result)
        else:
            report.show_one(result)


def _followed(result: "Result", wanted: str) -> "list[Event]":
    from switch.simulation.trace import follow

    if not wanted:
        return result.events
    events = follow(result.events, wanted)
    if not events:
        click.echo(f"no message of this world has the RRN or STAN {wanted!r}", err=True)
    return events


def _failure(
    pool: "Pool", result: "Result", kept: Path | None, budget_s: int, file: Path | None, name: str
) -> "Failure":
    """Made small, kept, and replayed in another process; a case of `file` is small already."""
    import msgspec

    from switch.simulation import report
    from switch.simulation.case import keep, text_of
    from switch.simulation.shrink import shrink

    if name:
        return report.Failure(result, result, report.commit(), file=str(file), name=name)
    shrunk = shrink(pool, result, budget_s, report.say) if budget_s else None
    failure = report.failed(result, shrunk, kept or FAILURES_DIR, own=kept is None)
    if failure.small.case.plan is None:
        return failure
    one = report.kept_of(failure)
    into = Path(failure.file)
    if kept is None:
        into.unlink(missing_ok=True)
    keep(into, one)
    return msgspec.structs.replace(failure, text=text_of(one), replayed=report.replays(failure))


def _draw(file: Path, events: "list[Event]", wanted: str) -> None:
    from switch.errors import OperatorError
    from switch.simulation.picture import picture

    try:
        file.write_text(picture(events, wanted), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}", help="name another file") from error
    click.echo(f"drawn into {file}", err=True)
