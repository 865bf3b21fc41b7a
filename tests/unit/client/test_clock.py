"""Trace numbers wrap; field formats follow the second."""

import time

import pytest
import time_machine

from switch.client.clock import Calendar, next_stan


@pytest.mark.parametrize(("stan", "following"), [(0, 1), (1, 2), (999_998, 999_999), (999_999, 1)])
def test_trace_numbers_go_from_1_to_999999(stan: int, following: int) -> None:
    assert next_stan(stan) == following


def test_the_moment_is_in_field_formats() -> None:
    with time_machine.travel(1_795_395_259, tick=False) as traveller:
        calendar = Calendar()
        moment = calendar.now()
        assert moment.transmission == "1123005419"
        assert moment.local_date + moment.local_time == time.strftime("%m%d%H%M%S")
        assert calendar.now() is moment
        traveller.shift(1)
        assert calendar.now().transmission == "1123005420"
