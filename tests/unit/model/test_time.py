"""Dates and times of messages."""

import pytest

from switch.model.time import (
    business_date,
    infer_year,
    local_date,
    local_time,
    transmission_time,
    unix_s,
)

_NEW_YEAR_S = 1_798_761_600
"""2027-01-01 00:00:00 UTC."""
_SHANGHAI_S = 8 * 3_600


def test_fields_7_12_and_13() -> None:
    assert transmission_time(_NEW_YEAR_S - 1) == "1231235959"
    assert transmission_time(_NEW_YEAR_S) == "0101000000"
    assert local_time(_NEW_YEAR_S, _SHANGHAI_S) == "080000"
    assert local_date(_NEW_YEAR_S - 6 * 3_600, _SHANGHAI_S) == "0101"


def test_the_business_day_changes_at_the_cut_over() -> None:
    evening_s = _NEW_YEAR_S - _SHANGHAI_S - 3_600
    assert local_time(evening_s, _SHANGHAI_S) == "230000"
    assert business_date(evening_s - 1, _SHANGHAI_S, 23 * 3_600) == "20261231"
    assert business_date(evening_s, _SHANGHAI_S, 23 * 3_600) == "20270101"
    assert business_date(evening_s, _SHANGHAI_S, 0) == "20261231"


@pytest.mark.parametrize(
    ("month_day", "now_s", "year"),
    [
        ("1231", _NEW_YEAR_S + 60, 2026),
        ("0101", _NEW_YEAR_S - 60, 2027),
        ("0615", _NEW_YEAR_S, 2027),
        ("0801", _NEW_YEAR_S, 2026),
        ("0229", _NEW_YEAR_S, 2028),
        ("0229", 1_709_251_200, 2024),
        ("0231", _NEW_YEAR_S, None),
        ("1301", _NEW_YEAR_S, None),
        ("12a1", _NEW_YEAR_S, None),
        ("", _NEW_YEAR_S, None),
    ],
)
def test_a_date_without_a_year_means_the_nearest(
    month_day: str, now_s: int, year: int | None
) -> None:
    assert infer_year(month_day, now_s) == year


def test_a_transmission_time_back_to_unix_seconds() -> None:
    for at_s in (_NEW_YEAR_S - 1, _NEW_YEAR_S, _NEW_YEAR_S + 12_345_678):
        assert unix_s(transmission_time(at_s), _NEW_YEAR_S) == at_s
    for text in ("", "0101", "0230000000", "0101250000", "01010000xx", "01010000001"):
        assert unix_s(text, _NEW_YEAR_S) is None
