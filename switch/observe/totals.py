"""Totals of a node's counters, read from its meter file while it runs."""

import re
from collections.abc import Iterable
from itertools import chain

from switch.native import meter

__all__ = ["Totals"]


class Totals:
    """All counters since the start. A restarted worker begins a new file: what its predecessors
    counted is kept."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._now: dict[str, int] = {}

    def read(self, reader: meter.MeterReader) -> None:
        """Takes in what the file says now."""
        now = reader.counters()
        if any(now.get(name, 0) < count for name, count in self._now.items()):
            self._before = {name: self.of(name) for name in self._names()}
        self._now = now

    def of(self, name: str) -> int:
        """A series by its whole name, labels included."""
        return self._before.get(name, 0) + self._now.get(name, 0)

    def by(self, family: str, label: str) -> dict[str, int]:
        """The series of a family that have counted something, by the value of their label."""
        series = re.compile(re.escape(family) + r"\{" + re.escape(label) + r'="([^"]*)"\}')
        found = {
            match[1]: self.of(name) for name in self._names() if (match := series.fullmatch(name))
        }
        return {value: count for value, count in found.items() if count}

    def _names(self) -> Iterable[str]:
        return dict.fromkeys(chain(self._before, self._now))
