"""Dates and times of messages, computed from Unix seconds that are passed in; nothing here reads a
clock."""

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = [
    "business_date",
    "infer_year",
    "local_date",
    "local_time",
    "transmission_time",
    "unix_s",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _utc(now_s: int) -> datetime:
    return _EPOCH + timedelta(seconds=now_s)


def transmission_time(now_s: int) -> str:
    """Field 7: MMDDhhmmss in UTC."""
    return _utc(now_s).strftime("%m%d%H%M%S")


def local_time(now_s: int, zone_offset_s: int) -> str:
    """Field 12: hhmmss in the zone `zone_offset_s` east of UTC."""
    return _utc(now_s + zone_offset_s).strftime("%H%M%S")


def local_date(now_s: int, zone_offset_s: int) -> str:
    """Field 13: MMDD in the zone `zone_offset_s` east of UTC."""
    return _utc(now_s + zone_offset_s).strftime("%m%d")


def business_date(now_s: int, zone_offset_s: int, cutover_s: int) -> str:
    """YYYYMMDD of the business day: the local date, and the next one from `cutover_s` after
    midnight on.

    `cutover_s` 0 means that the business day is the calendar day.
    """
    shift = 86_400 - cutover_s if cutover_s else 0
    return _utc(now_s + zone_offset_s + shift).strftime("%Y%m%d")


def infer_year(month_day: str, now_s: int) -> int | None:
    """The year that puts MMDD nearest to now, or None when it is no date in any year near.

    29 February is a date in leap years only; the nearest of those within two years either way is
    taken.
    """
    if len(month_day) != 4 or not (month_day.isascii() and month_day.isdigit()):
        return None
    month, day = int(month_day[:2]), int(month_day[2:])
    now = _utc(now_s)
    best: tuple[float, int] | None = None
    for year in range(now.year - 2, now.year + 3):
        try:
            candidate = datetime(year, month, day, 12, tzinfo=UTC)
        except ValueError:
            continue
        distance = abs((candidate - now).total_seconds())
        if best is None or distance < best[0]:
            best = (distance, year)
    return best[1] if best else None


def unix_s(text: str, now_s: int) -> int | None:
    """Unix seconds of a transmission time (MMDDhhmmss, UTC) in the year that puts it nearest to
    now; None when it is no time."""
    year = infer_year(text[:4], now_s)
    if year is None or len(text) != 10 or not (text.isascii() and text.isdigit()):
        return None
    try:
        found = datetime.strptime(f"{year}{text}+0000", "%Y%m%d%H%M%S%z")
    except ValueError:
        return None
    return int((found - _EPOCH).total_seconds())
