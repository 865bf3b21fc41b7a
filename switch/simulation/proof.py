"""The oracles are proved: each defect is made on purpose, and worlds are run until one notices it.

``python -m switch.simulation.proof`` prints a table (defect, seeds needed, the rule that caught it)
and ends with 1 when a defect outlives its budget. `make mutants` runs it.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

import switch
from switch.simulation.case import kept_in
from switch.simulation.mutants import ASK, all_mutants
from switch.simulation.swarm import Case, Pool

__all__ = ["BUDGET", "Caught", "hunt", "rotation"]

BUDGET: Final = 60
"""Seeds within which a defect must be noticed."""
TRANSACTIONS: Final = 150
KEPT: Final = Path(switch.__file__).resolve().parents[1] / "tests/simulation/regressions.toml"
"""Small worlds that once failed, each with the defect of then."""


class Caught(msgspec.Struct, frozen=True):
    """What became of a defect."""

    mutant: str
    seeds: int
    """Worlds until it was noticed; 0: it was not."""
    rules: tuple[str, ...] = ()
    text: str = ""


def hunt(pool: Pool, mutant: str, budget: int = BUDGET) -> Caught:
    """Runs worlds with a defect until one notices it: those that are kept for it, then by seed."""
    kept = kept_in(KEPT) if KEPT.exists() else []
    cases = [one.case(mutant=mutant) for one in kept if one.mutant == mutant]
    cases += [Case(seed, TRANSACTIONS, (), mutant) for seed in range(1, budget + 1)]
    for seed, case in enumerate(cases[:budget], 1):
        broken = pool.one(case).outcome.broken
        if broken:
            rules = tuple(dict.fromkeys(one.rule for one in broken))
            return Caught(mutant, seed, rules, broken[0].text)
    return Caught(mutant, 0)


def rotation(day: int, count: int) -> Sequence[str]:
    """A few defects for a day, so that all have their turn."""
    names = all_mutants()
    first = day * count % len(names)
    return (names + names)[first : first + count]


def _all(pool: Pool, names: Sequence[str], budget: int) -> Iterator[Caught]:
    for name in names:
        found = hunt(pool, name, budget)
        what = f"seed {found.seeds:3d}  {' '.join(found.rules)}" if found.seeds else "SURVIVES"
        text = found.text.split("\n", maxsplit=1)[0][:60]
        print(f"{name:38s} {what:32s} {text}", flush=True)  # noqa: T201 - it is a table
        yield found


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mutants", nargs="*", help="only these")
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--few", type=int, default=0, help="so many, by the day")
    options = parser.parse_args(arguments)
    os.environ[ASK] = "1"
    names = options.mutants or all_mutants()
    if options.few:
        names = rotation(int(time.time()) // 86_400, options.few)
    with Pool(1) as pool:
        found = list(_all(pool, names, options.budget))
    alive = [one.mutant for one in found if not one.seeds]
    print(f"{len(found) - len(alive)} of {len(found)} defects noticed")  # noqa: T201
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
