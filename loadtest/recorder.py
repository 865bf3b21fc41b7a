"""What this process of locust has measured: histograms over time, counts, and a part of the report.

Each process writes its part at the end of a test; `loadtest.merge` puts them together.
"""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.apps.load.figures import DUE, SENT
from switch.native import load

__all__ = ["ENTRIES", "SLICE_MS", "Part", "Recorder", "Tally", "significant", "tallies"]

SLICE_MS: Final = 500
DIGITS: Final = 3
KINDS: Final = ("0200", "0420")
ENTRIES: Final = tuple(kind + end for kind in KINDS for end in ("", DUE, SENT))
"""What thresholds may ask for."""


class Tally(msgspec.Struct):
    """Counts of one kind of request."""

    offered: int = 0
    answered: int = 0
    declined: int = 0
    errors: int = 0
    timeouts: int = 0
    not_sent: int = 0
    late: int = 0
    codes: dict[str, int] = {}

    def add(self, other: "Tally") -> None:
        for name in self.__struct_fields__:
            if name != "codes":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.codes = dict(Counter(self.codes) + Counter(other.codes))


class Part(msgspec.Struct):
    """A process's share of a run; its histograms are in a log beside it."""

    kinds: dict[str, Tally]
    timeline: dict[int, list[int]]
    """Number of the slice to offered, answered, declined, errors, not sent."""
    seconds: float


class Recorder:
    """Of one process and one test."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.kinds: dict[str, Tally] = {}
        self.unsaid: dict[str, Tally] = {}
        """Counts that the master of a distributed run has not been told yet."""
        self.series: dict[str, load.Series] = {}
        self.timeline: dict[int, list[int]] = {}

    def answered(
        self, kind: str, times_ns: tuple[int, int, int], code: str, *, declined: bool
    ) -> None:
        """`times_ns`: due, sent, answered."""
        due_ns, _, end_ns = times_ns
        self._durations(kind, times_ns)
        for tally in self._tallies(kind):
            tally.offered += 1
            tally.answered += 1
            tally.declined += declined
            tally.codes[code] = tally.codes.get(code, 0) + 1
        self._moment(due_ns)[0] += 1
        self._moment(end_ns)[2 if declined else 1] += 1

    def failed(self, kind: str, times_ns: tuple[int, int, int], *, silent: bool) -> None:
        """No usable answer; `silent`: none in time, and the last time is the deadline."""
        due_ns, _, end_ns = times_ns
        self._durations(kind, times_ns)
        for tally in self._tallies(kind):
            tally.offered += 1
            tally.errors += 1
            tally.timeouts += silent
        self._moment(due_ns)[0] += 1
        self._moment(end_ns)[3] += 1

    def not_sent(self, kind: str, due_ns: int) -> None:
        """There was no connection to send it on."""
        for tally in self._tallies(kind):
            tally.offered += 1
            tally.not_sent += 1
        moment = self._moment(due_ns)
        moment[0] += 1
        moment[4] += 1

    def late(self, kind: str, count: int) -> None:
        """Answers that came after their terminal had given up."""
        for tally in self._tallies(kind):
            tally.late += count

    def take_unsaid(self) -> dict[str, Any]:
        """For the master; starts afresh."""
        said = msgspec.to_builtins(self.unsaid)
        self.unsaid = {}
        assert isinstance(said, dict)
        return said

    def write(self, directory: Path, number: int, end_ns: int, start_s: float) -> None:
        """This process's part."""
        part = Part(self.kinds, self.timeline, (end_ns - self.start_ns) / 1e9)
        named = {name.replace(" ", ":"): one for name, one in self.series.items()}
        log = load.write_log(named, start_s, f"part {number}")
        (directory / f"part-{number}.hlog").write_bytes(log)
        # Last: whoever finds it finds the log too.
        (directory / f"part-{number}.json").write_bytes(msgspec.json.encode(part))

    def _durations(self, kind: str, times_ns: tuple[int, int, int]) -> None:
        due_ns, sent_ns, end_ns = times_ns
        at_ns = max(0, due_ns - self.start_ns)
        for name, from_ns in ((kind + DUE, due_ns), (kind + SENT, sent_ns)):
            series = self.series.get(name)
            if series is None:
                series = self.series[name] = load.Series(SLICE_MS)
            series.record(at_ns, max(0, end_ns - from_ns))

    def _tallies(self, kind: str) -> tuple[Tally, Tally]:
        return self.kinds.setdefault(kind, Tally()), self.unsaid.setdefault(kind, Tally())

    def _moment(self, at_ns: int) -> list[int]:
        number = max(0, at_ns - self.start_ns) // (SLICE_MS * 1_000_000)
        return self.timeline.setdefault(number, [0] * 5)


def tallies(said: Mapping[str, Any]) -> dict[str, Tally]:
    """What a worker told its master."""
    return msgspec.convert(said, dict[str, Tally])


def significant(response_time: float) -> float:
    """Three digits. Locust's own rounds to whole milliseconds below 100, to tens below 1,000, and a
    pause of a second looks like nothing at p99."""
    if response_time <= 0:
        return 0
    return round(response_time, DIGITS - 1 - math.floor(math.log10(response_time)))
