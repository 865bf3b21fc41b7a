"""A worker's metrics: one meter, and what the Python rooms count in it.

The native gate counts transactions, times and frames itself. What is left here is rare (links,
notes) or read off once a second (`Gauges` of the journal and the table), so names are looked up by
dictionary and nothing is fast.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from switch.native import meter
from switch.observe.catalogue import NOTES, OTHER, PREFIX, Members, Series, series_of
from switch.observe.place import Hold

__all__ = ["Draft", "Metrics"]

_CLASS: Final = {"1": "auth", "2": "financial", "4": "reversal", "8": "network"}


class Metrics:
    """Counts and gauges by name and labels; an unknown series is our bug: KeyError."""

    __slots__ = ("_counters", "_gauges", "_histograms", "_hold", "_published", "meter", "path")

    def __init__(self, path: Path, members: Members, process: str = "worker") -> None:
        """Makes the meter file at `path` anew; of the one that lay there, `KEPT` goes on."""
        series = series_of(members, process)
        self._hold = Hold(path.parent)
        kept = _kept(path)
        self.path = path
        self.meter = meter.Meter(str(path), series.counters, series.gauges, series.histograms)
        self._counters, self._gauges, self._histograms = _numbered(series)
        self._published: dict[str, int] = {}
        for name, total in kept.items():
            if name in self._counters:
                self.meter.count(self._counters[name], total)

    def draft(self, members: Members) -> "Draft":
        """A meter for other members, made but not in use. Raises: OSError."""
        series = series_of(members)
        return Draft(
            series,
            meter.Meter.draft(str(self.path), series.counters, series.gauges, series.histograms),
        )

    def succeed(self, draft: "Draft") -> None:
        """From now on counts go into it; it begins with what was counted so far. Who counts
        natively must be told (`Gate.remeter`). Raises: OSError; nothing has changed then."""
        draft.meter.succeed(self.meter)
        self.meter = draft.meter
        self._counters, self._gauges, self._histograms = _numbered(draft.series)

    def close(self) -> None:
        """A clean end: the file goes, so that nobody takes its last values for live ones."""
        self.path.unlink(missing_ok=True)
        self._hold.release()

    # -- by name ----------------------------------------------------------------------------------

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Adds to a counter; `name` without prefix, labels in the order of the catalogue."""
        self.meter.count(self._counters[_whole(name, labels)], by)

    def counter(self, name: str, **labels: str) -> Callable[[], None]:
        """A function that adds one, its series looked up once: for what happens per message."""
        index, count = self._counters[_whole(name, labels)], self.meter.count
        return lambda: count(index)

    def set(self, name: str, value: int, **labels: str) -> None:
        """Sets a gauge."""
        self.meter.set(self._gauges[_whole(name, labels)], value)

    def record(self, name: str, value_us: int, **labels: str) -> None:
        """Counts a time in µs."""
        self.meter.record(self._histograms[_whole(name, labels)], value_us)

    # -- totals kept elsewhere --------------------------------------------------------------------

    def publish(self, name: str, total: int, **labels: str) -> None:
        """Brings a counter to a total that somebody else keeps and that only grows."""
        whole = _whole(name, labels)
        before = self._published.get(whole, 0)
        if total > before:
            self.meter.count(self._counters[whole], total - before)
            self._published[whole] = total

    def publish_notes(self, totals: Mapping[str, int]) -> None:
        """Totals of `notes_total` by name; a name that the catalogue does not list counts as
        `_other`."""
        other = 0
        for what, total in totals.items():
            if what in _KNOWN_NOTES:
                self.publish("notes_total", total, what=what)
            else:
                other += total
        self.publish("notes_total", other, what=OTHER)

    def publish_journal(self, stats: Mapping[str, int]) -> None:
        """What the journal says of itself (`Journal.stats`), less what it had at its opening."""
        self.publish("journal_records_total", stats["appended"] - stats["last_boot_lsn"])
        self.publish("journal_writes_total", stats["groups"])
        self.publish("journal_write_bytes_total", stats["bytes"])
        self.set("journal_pending_entries", stats["appended"] - stats["synced"])

    def publish_evictions(self, evictions: Mapping[str, int]) -> None:
        """What the duplicates table forgot (`Duplicates.evictions`)."""
        for kind in ("all", "early", "in_flight"):
            self.publish("duplicates_evictions_total", evictions[kind], kind=kind)

    def received(self, member: str) -> Callable[[str, int], None]:
        """A function of (MTI, bytes) that counts a message read from `member`."""
        count = self.meter.count
        size = self._counters[_whole("message_bytes_total", {"member": member, "direction": "in"})]
        classes = {
            digit: self._counters[
                _whole("messages_total", {"member": member, "direction": "in", "class": name})
            ]
            for digit, name in _CLASS.items()
        }

        def message(mti: str, length: int) -> None:
            index = classes.get(mti[1])
            if index is not None:
                count(index)
            count(size, length)

        return message


class Draft(NamedTuple):
    """A meter that is not in use yet."""

    series: Series
    meter: meter.Meter


def _numbered(series: Series) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    counters, gauges, histograms = (
        {name: index for index, name in enumerate(names)}
        for names in (series.counters, series.gauges, series.histograms)
    )
    return counters, gauges, histograms


KEPT: Final = (f"{PREFIX}journal_write_errors_total",)
"""Counters that outlive their process: what they count ends it, and nobody would see them."""


def _kept(path: Path) -> dict[str, int]:
    """What a worker that ended badly left of `KEPT`."""
    try:
        counters = meter.MeterReader.open(str(path)).counters()
    except OSError:
        return {}
    return {name: counters[name] for name in KEPT if counters.get(name)}


_KNOWN_NOTES: Final = frozenset(NOTES)


def _whole(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return PREFIX + name
    pairs = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{PREFIX}{name}{{{pairs}}}"
