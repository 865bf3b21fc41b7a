"""The business date follows zone, cut-over, daylight saving and clock steps."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.runtime.clock import BusinessDay


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "cutover", "instant", "expected"),
    [
        ("UTC", "00:00", "2026-11-23T00:00:00", "20261123"),
        ("UTC", "00:00", "2026-11-23T23:59:59", "20261123"),
        ("Asia/Shanghai", "00:00", "2026-11-23T15:59:59", "20261123"),
        ("Asia/Shanghai", "00:00", "2026-11-23T16:00:00", "20261124"),
        ("Asia/Shanghai", "23:00", "2026-11-23T14:59:59", "20261123"),
        ("Asia/Shanghai", "23:00", "2026-11-23T15:00:00", "20261124"),
        ("Asia/Shanghai", "23:00", "2026-11-23T16:30:00", "20261124"),
        ("Europe/Berlin", "23:30", "2026-12-31T22:30:00", "20270101"),
    ],
)
def test_date_by_zone_and_cutover(zone: str, cutover: str, instant: str, expected: str) -> None:
    assert BusinessDay(zone, cutover).at(ms(instant)) == expected


def test_day_of_a_daylight_saving_change_has_25_hours() -> None:
    day = BusinessDay("Europe/Berlin", "00:00")
    assert day.at(ms("2026-10-24T22:00:00")) == "20261025"
    assert day.at(ms("2026-10-25T22:59:59")) == "20261025"
    assert day.at(ms("2026-10-25T23:00:00")) == "20261026"


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 400 * 24 * 3600), min_size=1, max_size=20),
    st.sampled_from(["00:00", "23:00", "06:30"]),
)
def test_cached_answer_equals_fresh_answer_whatever_the_steps(
    seconds: list[int], cutover: str
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    kept = BusinessDay("Europe/Berlin", cutover)
    for offset in seconds:
        at = int((start + timedelta(seconds=offset)).timestamp()) * 1000
        assert kept.at(at) == BusinessDay("Europe/Berlin", cutover).at(at)
