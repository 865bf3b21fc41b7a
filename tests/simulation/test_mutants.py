"""Defects made on purpose are noticed; nobody makes one by accident."""

import time
from collections.abc import Iterator

import pytest

from switch.errors import OperatorError
from switch.simulation.mutants import ASK, all_mutants, check_mutant
from switch.simulation.proof import hunt, rotation
from switch.simulation.swarm import Pool

ALWAYS = ("answer_before_sync", "no-reversal-after-restart")
"""The canaries: a harness that misses one of these sees nothing."""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(1) as made:
        yield made


@pytest.mark.parametrize("mutant", ALWAYS)
def test_a_canary_is_noticed(pool: Pool, mutant: str) -> None:
    assert hunt(pool, mutant).seeds


def test_the_mutants_of_the_day_are_noticed(pool: Pool) -> None:
    today = rotation(int(time.time()) // 86_400, 2)
    assert [found for name in today if not (found := hunt(pool, name)).seeds] == []


def test_there_are_many_and_every_one_has_its_day() -> None:
    names = all_mutants()
    assert len(names) >= 60
    assert len(set(names)) == len(names)
    days = {name for day in range(len(names)) for name in rotation(day, 2)}
    assert days == set(names)


def test_a_defect_that_nobody_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ASK, raising=False)
    with pytest.raises(OperatorError, match="for tests"):
        check_mutant("answer_before_sync")
    monkeypatch.setenv(ASK, "1")
    check_mutant("answer_before_sync")
    with pytest.raises(OperatorError, match="no mutant"):
        check_mutant("answer_before_breakfast")
