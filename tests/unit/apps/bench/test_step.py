"""A step says how it ended, and whether its generator may be believed."""

import pytest

from switch.apps.bench.ladder import Ladder, LadderPlan
from switch.apps.bench.step import fault_of, loopback, slice_ms
from switch.errors import OperatorError, ThresholdError

MS = 1_000_000


def test_a_generator_that_lagged_is_not_believed() -> None:
    assert fault_of(1 * MS, 2 * MS, 0.2, 0.0) == ""
    assert "sent late: p99.9 1.01 ms, at most 1.00 ms" in fault_of(1.01 * MS, 2 * MS, 0.2, 0.0)
    # A tenth of p99 is allowed, when that is more.
    assert fault_of(9 * MS, 100 * MS, 0.2, 0.0) == ""
    assert "at most 10.00 ms" in fault_of(11 * MS, 100 * MS, 0.2, 0.0)


def test_a_busy_generator_or_a_stolen_machine_is_not_believed() -> None:
    assert "86 % of its core" in fault_of(0, 2 * MS, 0.86, 0.0)
    assert "6 % of the machine's time was stolen" in fault_of(0, 2 * MS, 0.2, 6.0)


def test_slices_are_round_and_about_sixty_to_a_step() -> None:
    assert [slice_ms(seconds) for seconds in (1, 10, 12, 30, 60, 3_600)] == [
        100, 200, 200, 500, 1_000, 1_000,
    ]  # fmt: skip


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:5", "127.7.0.1:99"])
def test_load_goes_to_loopback(address: str) -> None:
    loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1:15830", "example.org:1", "0.0.0.0:5", "127.0.0.1"])
def test_and_nowhere_else(address: str) -> None:
    with pytest.raises(OperatorError, match="is not on loopback"):
        loopback(address)


def test_a_threshold_that_is_not_understood_ends_it_before_anything_starts() -> None:
    with pytest.raises(ThresholdError, match='no entry "0210"'):
        Ladder(LadderPlan(thresholds=("p99(0210)>1ms",)), lambda _: None)
