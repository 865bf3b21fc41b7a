"""A (STAN, transmission time) pair never comes twice."""

from hypothesis import given
from hypothesis import strategies as st

from switch.constants import STAN_MAX
from switch.link.window import Window
from switch.model.time import transmission_time

_NOW_S = 1_795_456_800


def test_numbers_count_up_and_the_time_is_field_7() -> None:
    window = Window()
    assert [window.next(_NOW_S) for _ in range(3)] == [1, 2, 3]
    assert window.time == transmission_time(_NOW_S)
    assert window.number(_NOW_S + 1) == (4, transmission_time(_NOW_S + 1))


def test_a_wrap_inside_a_second_moves_the_time_on() -> None:
    window = Window(_NOW_S, STAN_MAX - 1)
    assert window.number(_NOW_S) == (STAN_MAX, transmission_time(_NOW_S))
    assert window.number(_NOW_S) == (1, transmission_time(_NOW_S + 1))
    assert window.number(_NOW_S) == (2, transmission_time(_NOW_S + 1))


def test_a_wrap_with_the_clock_keeps_the_clock() -> None:
    window = Window(_NOW_S, STAN_MAX)
    assert window.number(_NOW_S + 5) == (1, transmission_time(_NOW_S + 5))


def test_a_clock_that_steps_back_does_not_take_the_time_back() -> None:
    window = Window()
    first = window.number(_NOW_S)
    second = window.number(_NOW_S - 3_600)
    assert second == (first[0] + 1, first[1])


def test_a_restart_goes_on_above_its_mark_even_with_the_clock_behind() -> None:
    window = Window(_NOW_S, 500)
    assert window.number(_NOW_S - 86_400) == (501, transmission_time(_NOW_S))


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.booleans()),
        min_size=1,
        max_size=300,
    ),
    st.integers(STAN_MAX - 150, STAN_MAX),
)
def test_pairs_only_grow_whatever_the_clock_does(steps: list[tuple[int, bool]], start: int) -> None:
    """Clock steps both ways and restarts from the last pair, near the wrap."""
    window, now_s = Window(_NOW_S, start), _NOW_S
    last = (_NOW_S, start)
    for step_s, restart in steps:
        now_s += step_s
        if restart:
            window = Window(*last)
        stan = window.next(now_s)
        pair = (window.time_s, stan)
        assert 1 <= stan <= STAN_MAX
        assert pair > last
        assert window.time == transmission_time(window.time_s)
        last = pair
