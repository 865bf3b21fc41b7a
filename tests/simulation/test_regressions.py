"""Worlds that once failed, as data: sound now, and proved to bite by the defect of then.

They run before everything else of the simulation: see the Makefile and scripts/simulate.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.simulation.case import Kept, kept_in
from switch.simulation.mutants import all_mutants
from switch.simulation.swarm import Pool

FILE = Path(__file__).with_name("regressions.toml")
CASES = kept_in(FILE)
BITING = [one for one in CASES if one.mutant]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(1) as made:
        yield made


@pytest.mark.parametrize("kept", CASES, ids=lambda kept: kept.name)
def test_what_once_failed_is_sound(pool: Pool, kept: Kept) -> None:
    result = pool.one(kept.case())
    replay = f"tapswitch simulate --case {FILE} --name {kept.name} --trace"
    assert not result.outcome.broken, "\n".join([replay, *result.history])


@pytest.mark.parametrize("kept", BITING, ids=lambda kept: kept.name)
def test_the_defect_of_then_breaks_the_same_rule_again(pool: Pool, kept: Kept) -> None:
    broken = pool.one(kept.case(mutant=kept.mutant)).outcome.broken
    assert kept.rule in {one.rule for one in broken}, (
        f"{kept.name} proves nothing any more: with {kept.mutant} it breaks {broken}; make it anew"
        f" (TAPSWITCH_MUTANTS=1 tapswitch simulate --seeds 1..60 --mutant {kept.mutant})"
    )


def test_every_case_says_why_it_is_kept_and_names_a_defect_that_there_is() -> None:
    assert len({one.name for one in CASES}) == len(CASES)
    assert all(one.why and one.rule and one.commit for one in CASES)
    assert {one.mutant for one in BITING} <= set(all_mutants())
    assert len(BITING) >= 5


def test_a_case_is_the_same_world_in_another_process(pool: Pool) -> None:
    kept = BITING[0]
    here = pool.one(kept.case(mutant=kept.mutant)).outcome
    with Pool(1) as other:
        there = other.one(kept.case(mutant=kept.mutant)).outcome
    assert here.journal == there.journal
    assert here.broken == there.broken
