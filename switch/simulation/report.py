"""What `tapswitch simulate` prints, and the file of worlds that once failed."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from switch.native import __version__, codec
from switch.simulation.swarm import Case, Result

__all__ = [
    "FAILURES_SHOWN",
    "keep",
    "regressions",
    "show_failure",
    "show_one",
    "show_swarm",
    "span",
    "with_progress",
]

FAILURES_SHOWN: Final = 5
BROKEN_SHOWN: Final = 8
EVERY_S: Final = 5.0


def span(text: str) -> tuple[int, int]:
    """``A..B``. Raises click.UsageError."""
    first, dots, last = text.partition("..")
    if not dots or not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
        raise click.UsageError(f"--seeds {text!r} is not A..B")
    return int(first), int(last)


def commit() -> str:
    """The commit that this is, or the version where there is no repository."""
    root = Path(__file__).resolve().parents[2]
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return f"version {__version__}"
    return found.stdout.strip()


def with_progress(results: Iterable[Result], count: int) -> list[Result]:
    """Collects results and says now and then how far it is."""
    begun = said = time.monotonic()
    found: list[Result] = []
    for result in results:
        found.append(result)
        now = time.monotonic()
        if now - said >= EVERY_S:
            said = now
            bad = sum(bool(one.outcome.broken) for one in found)
            done = sum(one.outcome.transactions for one in found)
            click.echo(
                f"{len(found)}/{count} seeds, {done} transactions, {done / (now - begun):.0f}/s,"
                f" {bad} failed",
                err=True,
            )
    return sorted(found, key=lambda result: result.case.seed)


def show_one(result: Result) -> None:
    """One world."""
    outcome = result.outcome
    click.echo(
        f"seed {outcome.seed}: {outcome.transactions} transactions, {outcome.requests} messages,"
        f" {outcome.records} records, {outcome.lives} lives, {outcome.end_ns / 1e9:.3f} s virtual"
    )
    click.echo(f"journal {outcome.journal}")


def show_failure(result: Result, small: Result) -> None:
    """A world in which a rule did not hold."""
    click.echo(f"\nFAILED seed {result.case.seed} at {commit()}")
    for one in small.outcome.broken[:BROKEN_SHOWN]:
        where = f" [{' '.join(one.key)}]" if one.key else ""
        click.echo(f"  {one.rule}: {one.text}{where}")
    more = len(small.outcome.broken) - BROKEN_SHOWN
    if more > 0:
        click.echo(f"  and {more} more")
    for line in small.history:
        click.echo(line)
    click.echo(f"replay: tapswitch simulate {small.case.words()} --trace")


def show_swarm(results: Sequence[Result], totals: Counter[str], failed: int) -> None:
    """A swarm, in numbers."""
    transactions = sum(result.outcome.transactions for result in results)
    requests = sum(result.outcome.requests for result in results)
    lives = sum(result.outcome.lives for result in results)
    click.echo(
        f"{len(results)} seeds, {transactions} transactions, {requests} messages of acquirers,"
        f" {lives} lives, {failed} failed, {commit()}"
    )
    for name, count in sorted(totals.items()):
        click.echo(f"  {count:8d}  {name}")
    sys.stdout.flush()


def regressions(file: Path) -> list[Case]:
    """Worlds that once failed."""
    if not file.exists():
        return []
    rows = codec.parse_toml(file.read_text(encoding="utf-8"))[0].get("world", [])
    return [
        Case(row["seed"], row.get("transactions", 340), tuple(row.get("without", ())))
        for row in rows
    ]


def keep(file: Path, result: Result) -> None:
    """Adds a world to them."""
    case, broken = result.case, result.outcome.broken[0]
    without = ", ".join(f'"{name}"' for name in case.without)
    with file.open("a", encoding="utf-8") as stream:
        stream.write(
            f"\n[[world]]\nseed = {case.seed}\ntransactions = {case.transactions}\n"
            f'without = [{without}]\nrule = "{broken.rule}"\ncommit = "{commit()}"\n'
        )
