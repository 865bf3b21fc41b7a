"""What `tapswitch simulate` prints: worlds, swarms, failures made small and how to replay them."""

import json
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from switch.native import __version__
from switch.simulation.case import Kept
from switch.simulation.mutants import ASK
from switch.simulation.oracles import Broken, chief
from switch.simulation.shrink import Shrinker, size_of
from switch.simulation.swarm import Pool, Result
from switch.simulation.trace import Event, shown

__all__ = [
    "FAILURES_SHOWN",
    "SCHEMA",
    "Failure",
    "commit",
    "failed",
    "kept_of",
    "replays",
    "say",
    "show_events",
    "show_failure",
    "show_kept",
    "show_one",
    "show_swarm",
    "span",
    "structured",
    "with_progress",
]

SCHEMA: Final = "tapswitch.simulate/1"
FAILURES_SHOWN: Final = 5
BROKEN_SHOWN: Final = 8
CASE_LINES_SHOWN: Final = 60
EVERY_S: Final = 5.0


class Failure(msgspec.Struct, frozen=True):
    """A world in which a rule did not hold, and the smallest one found that breaks it too."""

    result: Result
    small: Result
    commit: str
    runs: int = 0
    """Smaller worlds that were tried; 0: it was not made small."""
    took_s: float = 0.0
    file: str = ""
    """Where the case is kept."""
    name: str = ""
    """Of the case, in a file of several."""
    text: str = ""
    """As it stands there."""
    replayed: bool | None = None
    """Another process came to the same rule and journal; None: nobody asked."""

    @property
    def rule(self) -> str:
        """What it is called by."""
        return chief(self.small.outcome.broken).rule

    @property
    def replay(self) -> str:
        """The command that replays it."""
        case = self.small.case
        file = shlex.quote(self.file)
        name = f" --name {self.name}" if self.name else ""
        words = case.words(file + name)
        ask = f"{ASK}=1 " if case.mutant else ""
        return f"{ask}tapswitch simulate {words}"


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


def say(line: str) -> None:
    """What is not data."""
    click.echo(line, err=True)


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
            say(
                f"{len(found)}/{count} seeds, {done} transactions, {done / (now - begun):.0f}/s,"
                f" {bad} failed"
            )
    return sorted(found, key=lambda result: result.case.seed)


def failed(result: Result, shrunk: Shrinker | None, file: Path, *, own: bool) -> Failure:
    """Everything about a failure but where it is kept: in `file`, or in one of its own in that
    directory."""
    at = commit()
    small = shrunk.best if shrunk is not None else result
    if small.case.plan is None:
        if result.plan is None:
            return Failure(result, result, at)
        small = msgspec.structs.replace(
            small, case=msgspec.structs.replace(small.case, plan=result.plan)
        )
    name = _name(small)
    place = file / f"{name}.toml" if own else file
    runs, took_s = (shrunk.runs, shrunk.took_s) if shrunk is not None else (0, 0.0)
    return Failure(result, small, at, runs, took_s, str(place), "" if own else name)


def _name(small: Result) -> str:
    case = small.case
    broken = chief(small.outcome.broken).rule
    return f"seed-{case.seed}-{broken}" + (f"-{case.mutant}" if case.mutant else "")


def kept_of(failure: Failure) -> Kept:
    """What of a failure is kept."""
    small = failure.small
    plan = small.case.plan
    assert plan is not None
    broken = chief(small.outcome.broken)
    return Kept(
        name=_name(small),
        rule=broken.rule,
        text=broken.text.split("\n", maxsplit=1)[0],
        seed=failure.result.case.seed,
        commit=failure.commit,
        journal=small.outcome.journal,
        mutant=small.case.mutant,
        world=plan,
    )


def replays(failure: Failure) -> bool:
    """Whether another process comes to the same rule and the same journal."""
    with Pool(1) as other:
        again = other.one(failure.small.case).outcome
    before = failure.small.outcome
    rules = {one.rule for one in again.broken}
    return failure.rule in rules and again.journal == before.journal


# -- text -----------------------------------------------------------------------------------------


def show_one(result: Result) -> None:
    """One world."""
    outcome = result.outcome
    click.echo(
        f"seed {outcome.seed}: {outcome.transactions} transactions, {outcome.requests} messages,"
        f" {outcome.records} records, {outcome.lives} lives, {outcome.end_ns / 1e9:.3f} s virtual"
    )
    click.echo(f"journal {outcome.journal}")


def show_kept(kept: Kept, result: Result) -> None:
    """A kept case, and what came of it now."""
    outcome = result.outcome
    rules = " ".join(dict.fromkeys(one.rule for one in outcome.broken))
    came = f"breaks {rules}" if rules else "every rule holds"
    like = "as then" if outcome.journal == kept.journal else "not as then"
    click.echo(f"{kept.name}: {came} (it broke {kept.rule} at {kept.commit})")
    click.echo(f"journal {outcome.journal} ({like})")


def show_events(events: Sequence[Event]) -> None:
    """A line each."""
    for event in events:
        click.echo(shown(event))


def _rules(broken: Sequence[Broken]) -> None:
    for one in broken[:BROKEN_SHOWN]:
        where = f" [{' '.join(one.key)}]" if one.key else ""
        click.echo(f"  {one.rule}: {one.text}{where}")
    more = len(broken) - BROKEN_SHOWN
    if more > 0:
        click.echo(f"  and {more} more")


def show_failure(failure: Failure) -> None:
    """A world in which a rule did not hold."""
    small = failure.small
    click.echo(f"\nFAILED seed {failure.result.case.seed} at {failure.commit}: {failure.rule}")
    _rules(small.outcome.broken)
    for line in small.history:
        click.echo(line)
    if failure.runs:
        click.echo(
            f"shrunk from {size_of(failure.result)} to {size_of(small)}"
            f" in {failure.runs} runs, {failure.took_s:.1f} s"
        )
    if failure.text and failure.text.count("\n") <= CASE_LINES_SHOWN:
        click.echo(f"kept in {failure.file}:\n{failure.text.rstrip()}")
    elif failure.file:
        click.echo(f"kept in {failure.file}")
    if failure.replayed is not None:
        came = "the same rule and journal" if failure.replayed else "SOMETHING ELSE"
        click.echo(f"in another process: {came} {small.outcome.journal}")
    click.echo(f"replay: {failure.replay} --trace{_of(small)}")


def _of(small: Result) -> str:
    """The transaction to look at first."""
    script = small.plan.script if small.plan is not None else None
    number = next(iter(small.suspects), None)
    one = next((one for one in script or () if one.number == number), None)
    if one is None:
        return ""
    return f" --of {one.acquirer}{one.number:06d}{one.amount % 100_000:05d}"


def show_swarm(
    results: Sequence[Result], totals: Counter[str], bad: int, never: Sequence[str]
) -> None:
    """A swarm, in numbers."""
    transactions = sum(result.outcome.transactions for result in results)
    requests = sum(result.outcome.requests for result in results)
    lives = sum(result.outcome.lives for result in results)
    click.echo(
        f"{len(results)} seeds, {transactions} transactions, {requests} messages of acquirers,"
        f" {lives} lives, {bad} failed, {commit()}"
    )
    for name, count in sorted(totals.items()):
        click.echo(f"  {count:8d}  {name}")
    for name in never:
        click.echo(f"never happened: {name}")
    sys.stdout.flush()


# -- for machines ---------------------------------------------------------------------------------


def structured(
    results: Sequence[Result],
    failures: Sequence[Failure],
    totals: Counter[str],
    never: Sequence[str],
    events: Sequence[Event],
) -> str:
    """All of it as JSON."""
    said: dict[str, Any] = {
        "schema": SCHEMA,
        "commit": commit(),
        "worlds": [_world(one) for one in results],
        "failures": [
            {
                "seed": one.result.case.seed,
                "rule": one.rule,
                "broken": _broken(one.small),
                "history": one.small.history,
                "from": msgspec.to_builtins(size_of(one.result)) if one.result.plan else None,
                "to": msgspec.to_builtins(size_of(one.small)) if one.small.plan else None,
                "runs": one.runs,
                "journal": one.small.outcome.journal,
                "case": one.file,
                "replay": one.replay,
                "replayed": one.replayed,
            }
            for one in failures
        ],
        "counts": dict(sorted(totals.items())),
        "never_happened": list(never),
    }
    if events:
        said["events"] = [msgspec.to_builtins(one) for one in events]
    return json.dumps(said, ensure_ascii=False, indent=2)


def _world(result: Result) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "seed": outcome.seed,
        "journal": outcome.journal,
        "virtual_s": outcome.end_ns / 1e9,
        "transactions": outcome.transactions,
        "messages": outcome.requests,
        "records": outcome.records,
        "lives": outcome.lives,
        "broken": _broken(result),
    }


def _broken(result: Result) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(one) for one in result.outcome.broken]
