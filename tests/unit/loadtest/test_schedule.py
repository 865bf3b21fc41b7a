"""Due times are known beforehand and nothing is forgotten."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.schedule import Due, phase


@given(st.integers(1, 300))
def test_phases_are_even_at_any_number_of_terminals(count: int) -> None:
    places = sorted(phase(number) for number in range(count))
    assert places[0] == 0
    assert places[-1] < 1
    gaps = [b - a for a, b in zip(places, [*places[1:], 1.0], strict=True)]
    assert max(gaps) <= 2 / count + 1e-9


@given(st.floats(0.1, 50), st.integers(0, 500), st.floats(0, 100), st.floats(0, 100))
def test_even_ones_keep_their_phase_from_the_start_of_the_run(
    rate: float, number: int, start_s: float, later_s: float
) -> None:
    due = Due(rate, "even", number, (start_s, start_s + later_s), Random(1))
    first, second = due.take(), due.take()
    assert start_s + later_s - 1e-6 <= first <= start_s + later_s + 1 / rate + 1e-6
    assert second - first == pytest.approx(1 / rate)
    offset = ((first - start_s) * rate - phase(number)) % 1
    assert min(offset, 1 - offset) < 1e-4


def test_poisson_has_its_rate_and_no_memory() -> None:
    due = Due(5.0, "poisson", 0, (0.0, 10.0), Random(3))
    times = [due.take() for _ in range(20_000)]
    assert times[0] > 10
    gaps = [b - a for a, b in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.2, rel=0.03)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert spread == pytest.approx(mean, rel=0.05)


def test_what_was_missed_stays_due() -> None:
    """A terminal that was busy for a second has a second's requests to catch up with."""
    due = Due(10.0, "even", 0, (0.0, 0.0), Random(1))
    busy_until_s = 1.0
    overdue = 0
    while due.next_s < busy_until_s - 1e-9:
        due.take()
        overdue += 1
    assert overdue == 10


@pytest.mark.parametrize(("rate", "arrivals"), [(0, "even"), (-1, "poisson"), (1, "evn")])
def test_nonsense_is_refused(rate: float, arrivals: str) -> None:
    with pytest.raises(ValueError, match="a second"):
        Due(rate, arrivals, 0, (0.0, 0.0), Random(1))
