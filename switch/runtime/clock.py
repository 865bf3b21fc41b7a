"""The only place that reads clocks. Everything below gets plain numbers.

Deadlines count on the monotonic clock; dates, transmission times and journal stamps on the wall
clock. The two never meet: a wall clock that is stepped changes no deadline. They are the cellar's
(native/src/clock.rs), so that records, deadlines and a simulation go by the same.
"""

from datetime import UTC, date, datetime, time, timedelta
from time import process_time_ns
from typing import Final
from zoneinfo import ZoneInfo

from switch.native import clock

__all__ = ["BusinessDay", "cpu_us", "monotonic_ns", "wall_ms", "wall_ns", "wall_s"]

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000

monotonic_ns = clock.monotonic_ns
wall_ns = clock.wall_ns


def wall_ms() -> int:
    """Unix time in milliseconds."""
    return wall_ns() // MS


def wall_s() -> int:
    """Unix time in seconds."""
    return wall_ns() // SECOND


def cpu_us() -> int:
    """Processor time of this process in microseconds, all threads."""
    return process_time_ns() // 1_000


class BusinessDay:
    """The business date of an instant: the local date in `zone`, one day on from `cutover` onwards.

    Where daylight saving repeats the hour of the cut-over its first time counts; where it skips it,
    the hour after. The next change is computed once a day, so that a look-up on the walk is one
    comparison.
    """

    __slots__ = ("_cutover", "_from_ms", "_text", "_until_ms", "_zone")

    def __init__(self, zone: str, cutover: str) -> None:
        """`cutover` is local "HH:MM"; "00:00" makes business and calendar date the same."""
        self._zone = ZoneInfo(zone)
        self._cutover = time.fromisoformat(cutover)
        self._from_ms = 0
        self._until_ms = 0
        self._text = ""

    def at(self, at_ms: int) -> str:
        """ "YYYYMMDD" for Unix milliseconds `at_ms`; clock steps in either direction are
        followed."""
        if self._from_ms <= at_ms < self._until_ms:
            return self._text
        today = datetime.fromtimestamp(at_ms / 1000, tz=self._zone).date()
        # By instants, not by the face of the clock: where a zone's hour comes twice, or not at all,
        # the date changes once and never goes back.
        opened = today if at_ms >= self._change(today) else today - timedelta(days=1)
        if at_ms >= self._change(opened + timedelta(days=1)):
            opened += timedelta(days=1)
        business = opened if self._cutover == time(0, 0) else opened + timedelta(days=1)
        self._from_ms = self._change(opened)
        self._until_ms = self._change(opened + timedelta(days=1))
        self._text = f"{business:%Y%m%d}"
        return self._text

    def offset_s(self, at_ms: int) -> int:
        """Seconds that local time is east of UTC at Unix milliseconds `at_ms`."""
        offset = datetime.fromtimestamp(at_ms / 1000, tz=self._zone).utcoffset()
        assert offset is not None, "a zone has an offset"
        return int(offset.total_seconds())

    def _change(self, day: date) -> int:
        """Unix milliseconds of the cut-over on local `day`."""
        moment = datetime.combine(day, self._cutover, tzinfo=self._zone)
        return int(moment.astimezone(UTC).timestamp()) * 1000
