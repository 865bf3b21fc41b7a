"""Dates and times as terminals write them, made once a second instead of once a message."""

import time
from typing import Final

import msgspec

__all__ = ["Calendar", "Moment", "next_stan"]

_STAN_MAX: Final = 999_999


class Moment(msgspec.Struct, frozen=True, gc=False):
    """One second in the formats of fields 7, 12 and 13."""

    second: int
    transmission: str
    """MMDDhhmmss, UTC."""
    local_time: str
    """hhmmss of this machine's zone."""
    local_date: str
    """MMDD of this machine's zone."""


class Calendar:
    """The present second; field formats are cached until it passes."""

    def __init__(self) -> None:
        self._moment = self._make(int(time.time()))

    def now(self) -> Moment:
        second = int(time.time())
        if second != self._moment.second:
            self._moment = self._make(second)
        return self._moment

    @staticmethod
    def _make(second: int) -> Moment:
        local = time.localtime(second)
        return Moment(
            second,
            time.strftime("%m%d%H%M%S", time.gmtime(second)),
            time.strftime("%H%M%S", local),
            time.strftime("%m%d", local),
        )


def next_stan(stan: int) -> int:
    """The trace number after `stan`: 1 to 999999, then 1 again."""
    return stan % _STAN_MAX + 1
