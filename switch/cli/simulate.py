"""`tapswitch simulate`: the whole switch in seeded worlds, and their replay."""

from collections import Counter
from pathlib import Path

import click

__all__ = ["command"]


@click.command("simulate")
@click.option("--seed", type=click.IntRange(min=0), help="Run one world.")
@click.option("--seeds", metavar="A..B", help="Run all worlds from A to B.")
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
@click.option("--trace", is_flag=True, help="Print what happens (with --seed).")
@click.option("--no-shrink", is_flag=True, help="Report a failing world as it is.")
@click.option(
    "--regressions",
    type=click.Path(path_type=Path),
    help="Add failing worlds to this file.",
)
@click.option(
    "--sometimes", is_flag=True, help="Fail when a fault or state never came up (with --seeds)."
)
@click.option("--mutant", default="", hidden=True)
def command(
    seed: int | None,
    seeds: str | None,
    jobs: int,
    transactions: int,
    without: tuple[str, ...],
    trace: bool,
    no_shrink: bool,
    regressions: Path | None,
    sometimes: bool,
    mutant: str,
) -> int:
    """The whole switch in seeded worlds: rude acquirers and banks, a bad network, power cuts.

    Each seed is one world, and the same seed is the same world wherever it runs: the last line
    names the hash of its journal. Three ledgers are compared at the end; exit code 6 when a rule
    did not hold, with the history of the transaction and the smallest world found that breaks it.
    """
    from switch.simulation import report
    from switch.simulation.mutants import check_mutant
    from switch.simulation.sometimes import missing
    from switch.simulation.swarm import Case, Pool

    if (seed is None) == (seeds is None):
        raise click.UsageError("say either --seed N or --seeds A..B")
    check_mutant(mutant)
    first, last = (seed, seed) if seed is not None else report.span(seeds or "")
    cases = [
        Case(number, transactions, tuple(without), mutant) for number in range(first, last + 1)
    ]
    with Pool(1 if seed is not None else jobs) as pool:
        if seed is not None:
            results = [pool.one(cases[0], trace=trace)]
            report.show_one(results[0])
        else:
            results = report.with_progress(pool.each(cases), len(cases))
        failed = [result for result in results if result.outcome.broken]
        for result in failed[: report.FAILURES_SHOWN]:
            small = result if no_shrink else pool.shrink(result)
            report.show_failure(result, small)
            if regressions is not None and not mutant:
                report.keep(regressions, small)
    if seed is None:
        totals: Counter[str] = Counter()
        for result in results:
            totals.update(result.outcome.counts)
        report.show_swarm(results, totals, len(failed))
        never = missing(totals) if sometimes else []
        for name in never:
            click.echo(f"never happened: {name}")
        if never:
            return 6
    return 6 if failed else 0
