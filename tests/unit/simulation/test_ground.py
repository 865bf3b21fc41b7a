"""The ground of a simulation: clocks and chance are the test's, and never beside a real journal."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.errors import UsageError
from switch.native import clock, journal, simulation
from switch.runtime import clock as runtime_clock
from tests.support.journal import make_keys


@pytest.fixture
def simulated() -> Iterator[None]:
    simulation.begin(7, 1_000, 1_700_000_000_000_000_000)
    yield
    simulation.end()


def test_clocks_are_the_systems_own() -> None:
    before = time.monotonic_ns(), time.time_ns()
    now = clock.monotonic_ns(), clock.wall_ns()
    after = time.monotonic_ns(), time.time_ns()
    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]
    assert runtime_clock.monotonic_ns is clock.monotonic_ns
    assert abs(runtime_clock.wall_ms() - time.time_ns() // 1_000_000) < 1_000


@pytest.mark.usefixtures("simulated")
def test_clocks_stand_where_they_are_set_and_only_the_wall_clock_goes_back() -> None:
    assert (clock.monotonic_ns(), clock.wall_ns()) == (1_000, 1_700_000_000_000_000_000)
    simulation.set_now(5_000, 1_600_000_000_123_000_000)
    assert (runtime_clock.monotonic_ns(), runtime_clock.wall_ms()) == (5_000, 1_600_000_000_123)
    with pytest.raises(UsageError, match="does not go back: it stands at 5000"):
        simulation.set_now(4_999, 1_600_000_000_123_000_000)
    assert simulation.active()


def test_time_runs_again_after_the_end() -> None:
    simulation.begin(1, 1, 1)
    with pytest.raises(UsageError, match="is on in this process already"):
        simulation.begin(1, 1, 1)
    simulation.end()
    simulation.end()
    assert not simulation.active()
    assert abs(clock.wall_ns() - time.time_ns()) < 1_000_000_000
    with pytest.raises(UsageError, match="no simulation is on"):
        simulation.set_now(2, 2)


def test_one_seed_makes_the_same_keys_and_another_seed_others(tmp_path: Path) -> None:
    def drawn(seed: int, name: str) -> bytes:
        simulation.begin(seed, 1, 1)
        try:
            journal.create_sealing_key(str(tmp_path / name))
        finally:
            simulation.end()
        return (tmp_path / name).read_bytes()

    assert drawn(5, "a") == drawn(5, "b")
    assert drawn(5, "c") != drawn(6, "d")
    journal.create_sealing_key(str(tmp_path / "real"))
    assert (tmp_path / "real").read_bytes() != (tmp_path / "a").read_bytes()


def test_a_process_with_a_real_journal_does_not_become_a_simulation(tmp_path: Path) -> None:
    demo_keys = make_keys(tmp_path)
    real = journal.Journal.open(str(tmp_path / "journal"), demo_keys)
    with pytest.raises(UsageError, match="a real journal is open in this process"):
        simulation.begin(1, 1, 1)
    assert not simulation.active()
    real.close()
    simulation.begin(1, 1, 1)
    try:
        with pytest.raises(UsageError, match="no real journal opens"):
            journal.Journal.open(str(tmp_path / "journal"), demo_keys)
    finally:
        simulation.end()
    journal.Journal.open(str(tmp_path / "journal"), demo_keys).close()
