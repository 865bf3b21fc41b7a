"""The swarm: every world comes to rest with ledgers that agree, and replays to the same hash."""

from collections import Counter
from collections.abc import Iterator

import pytest

from switch.simulation.swarm import Case, Pool, Result

SEEDS = range(1, 61)
TWICE = range(1, 21)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as made:
        yield made


@pytest.fixture(scope="module")
def results(pool: Pool) -> list[Result]:
    return list(pool.each(Case(seed, 150) for seed in SEEDS))


def told(failed: list[Result]) -> str:
    """What a failing run is to be mended by."""
    lines = []
    for result in failed[:3]:
        lines.append(f"tapswitch simulate {result.case.words()} --trace")
        lines += [f"  {one.rule}: {one.text} {one.key}" for one in result.outcome.broken[:5]]
        lines += result.history
    return "\n".join(lines)


def test_no_rule_is_broken_in_any_world(results: list[Result]) -> None:
    failed = [result for result in results if result.outcome.broken]
    assert not failed, told(failed)


def test_worlds_were_broken_in_many_ways(results: list[Result]) -> None:
    totals: Counter[str] = Counter()
    for result in results:
        totals.update(result.outcome.counts)
    wanted = (
        "power_cut",
        "kill",
        "power_cut while in flight",
        "kill while reversals owed",
        "late",
        "silent",
    )
    assert not [name for name in wanted if not totals[name]]


def test_a_seed_is_the_same_world_in_another_process(results: list[Result]) -> None:
    first = {one.case.seed: one.outcome for one in results if one.case.seed in TWICE}
    with Pool(1) as other:
        second = {one.case.seed: one.outcome for one in other.each(Case(s, 150) for s in TWICE)}
    assert {seed: one.journal for seed, one in first.items()} == {
        seed: one.journal for seed, one in second.items()
    }
    assert {seed: one.end_ns for seed, one in first.items()} == {
        seed: one.end_ns for seed, one in second.items()
    }
