"""The ladder finds the rate that holds, and ends."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.apps.bench.search import Climb, Search, rounded


def climb(search: Search, limit: float) -> list[float]:
    """Every rate that is tried when exactly those up to `limit` hold."""
    tried: list[float] = []
    while (rate := search.next) is not None:
        tried.append(rate)
        search.take(rate, rate <= limit)
        assert len(tried) < 250
    return tried


@given(
    st.floats(2, 100_000),
    st.floats(1, 10_000),
    st.floats(1.05, 4),
    st.sampled_from([0.01, 0.02, 0.1]),
)
def test_it_ends_within_its_precision_of_the_limit(
    limit: float, start: float, factor: float, precision: float
) -> None:
    search = Search(Climb(start=start, factor=factor, rate_max=50_000, precision=precision))
    tried = climb(search, limit)
    assert search.good is not None
    assert search.good <= limit
    if limit < rounded(50_000):
        # Rates have four digits.
        assert search.good >= limit / (1 + precision) * 0.999
    else:
        assert search.good == 50_000
    assert all(rate == rounded(rate) for rate in tried)
    assert len(set(tried)) == len(tried)


def test_it_goes_up_by_its_factor_then_halves_what_is_left() -> None:
    search = Search(Climb(start=100, factor=2, rate_max=10_000, precision=0.05))
    tried = climb(search, 500)
    assert tried[:4] == [100, 200, 400, 800]
    assert tried[4] == pytest.approx(math.sqrt(400 * 800), rel=1e-3)
    assert search.ended_by.endswith("did not hold")


def test_the_highest_that_was_asked_for_ends_it() -> None:
    search = Search(Climb(start=100, factor=2, rate_max=300))
    assert climb(search, 1e9) == [100, 200, 300]
    assert search.ended_by == "300/s is the highest rate that was asked for"
    one = Search(Climb(start=200, rate_max=200))
    assert climb(one, 1e9) == [200]


def test_when_nothing_holds_it_goes_down_and_gives_up() -> None:
    search = Search(Climb(start=100))
    tried = climb(search, 0.5)
    assert tried[:3] == [100, 50, 25]
    assert search.good is None
    assert search.ended_by.startswith("nothing held down to 1")
    down = Search(Climb(start=100, precision=0.02))
    climb(down, 30)
    assert down.good == pytest.approx(30, rel=0.03)
