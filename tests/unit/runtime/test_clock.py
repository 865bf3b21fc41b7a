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


ZONES = (
    "Asia/Shanghai", "Asia/Kathmandu", "Australia/Eucla", "Australia/Lord_Howe", "America/St_Johns",
    "America/Santiago", "America/Havana", "Africa/Cairo", "Europe/Berlin", "Asia/Beirut",
    "Pacific/Chatham", "Pacific/Apia",
)  # fmt: skip
"""Offsets of quarters of an hour, daylight saving by half an hour, changes at midnight."""


@pytest.mark.parametrize("cutover", ["00:00", "00:15", "01:59", "02:30", "03:00", "23:00", "23:45"])
@pytest.mark.parametrize("zone", ZONES)
def test_date_changes_once_a_day_and_never_goes_back(zone: str, cutover: str) -> None:
    """Every ten minutes of the leap year 2028: also where an hour comes twice, or not at all."""
    start = int(datetime(2027, 12, 30, tzinfo=UTC).timestamp()) * 1000
    kept = BusinessDay(zone, cutover)
    dates = [kept.at(start + at * 600_000) for at in range(368 * 144)]
    assert dates == sorted(dates)
    days = sorted(set(dates))
    first = datetime.strptime(days[0], "%Y%m%d").replace(tzinfo=UTC)
    assert days == [f"{first + timedelta(days=n):%Y%m%d}" for n in range(len(days))]
    assert "20280229" in days
    # A look from anywhere else says the same.
    for at in range(0, len(dates), 1_009):
        assert BusinessDay(zone, cutover).at(start + at * 600_000) == dates[at]


def test_cut_over_in_the_hour_that_comes_twice_counts_once() -> None:
    """25 October 2026 in Berlin, 02:30 comes at 00:30 and at 01:30 UTC."""
    day = BusinessDay("Europe/Berlin", "02:30")
    instants = ["00:29:59", "00:30:00", "01:00:00", "01:15:00", "01:30:00"]
    found = [BusinessDay("Europe/Berlin", "02:30").at(ms(f"2026-10-25T{at}")) for at in instants]
    assert found == ["20261025", *["20261026"] * 4]
    assert [day.at(ms(f"2026-10-25T{at}")) for at in instants] == found


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
