"""Delays grow, are jittered, and stay between their limits."""

from hypothesis import given
from hypothesis import strategies as st

from switch.link.backoff import delay_ms


def test_it_doubles_up_to_its_limit() -> None:
    assert [delay_ms(n, 500, 3_000, 0.0) for n in range(5)] == [500, 1_000, 2_000, 3_000, 3_000]


def test_jitter_takes_up_to_a_half_away() -> None:
    assert delay_ms(1, 500, 3_000, 0.5) == 750
    assert delay_ms(1, 500, 3_000, 0.999999) == 501


@given(
    st.integers(-1, 10_000),
    st.integers(1, 60_000),
    st.integers(1, 3_600_000),
    st.floats(0, 1, exclude_max=True),
)
def test_it_stays_between_its_limits(
    attempt: int, low_ms: int, high_ms: int, jitter: float
) -> None:
    wait_ms = delay_ms(attempt, low_ms, high_ms, jitter)
    assert min(low_ms, high_ms) / 2 <= wait_ms <= high_ms
