"""From meter files to what Prometheus reads: a collector for prometheus-client.

Files are opened anew for each scrape, because a restarted worker makes a new one. Counters and
histograms of several workers are added up; gauges too, but for timestamps, of which the latest is
shown.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from switch.native import meter
from switch.observe.catalogue import FAMILIES, OTHER, OVERFLOWING, PREFIX, SAID, Family
from switch.observe.place import GATEWAY

__all__ = ["MeterCollector"]

WORKERS_CONFIGURED: Final = 1
"""One worker decides per node (docs/ARCHITECTURE.md)."""

_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')

Labels = tuple[str, ...]


class MeterCollector(Collector):
    """Reads every meter file that `files` lists; a file that cannot be read is left out and
    counted."""

    def __init__(
        self,
        files: Callable[[], Iterable[Path]],
        info: dict[str, str],
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        """`info`: labels of `build_info`. `free_bytes`: room on the journal's file system."""
        self._files = files
        self._info = info
        self._free_bytes = free_bytes

    def describe(self) -> list[Metric]:
        """Nothing ahead of the first scrape: names come from the files."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One pass over all files."""
        readers, workers, unreadable = self._open()
        said: dict[str, float] = {
            "workers": workers,
            "workers_configured": WORKERS_CONFIGURED,
            "meter_files_unreadable": unreadable,
        }
        if self._free_bytes is not None:
            with contextlib.suppress(OSError):
                said["journal_free_bytes"] = self._free_bytes()
        metrics = [_metric(family, readers) for family in FAMILIES]
        count = len(said) + 2
        for metric in metrics:
            count += len(metric.samples)
            yield metric
        overflow = _overflow(metrics)
        yield overflow
        said["series"] = count + len(overflow.samples)
        for family in SAID:
            if family.name in said:
                name = PREFIX + family.name
                yield GaugeMetricFamily(name, family.help, value=said[family.name])
        build = GaugeMetricFamily(
            f"{PREFIX}build_info", "1 for what runs.", labels=list(self._info)
        )
        build.add_metric(list(self._info.values()), 1)
        yield build

    def _open(self) -> tuple[list[meter.MeterReader], int, int]:
        """Readers, how many of them are workers', and how many files could not be read."""
        readers, workers, unreadable = [], 0, 0
        for path in self._files():
            try:
                readers.append(meter.MeterReader.open(str(path)))
            except OSError:
                unreadable += 1
            else:
                workers += path.stem != GATEWAY
        return readers, workers, unreadable


def _overflow(metrics: Iterable[Metric]) -> Metric:
    """How often `_other` was counted, by family."""
    name = f"{PREFIX}label_overflow_total"
    text = next(family.help for family in SAID if family.name == "label_overflow_total")
    counter = CounterMetricFamily(name, text, labels=["family"])
    by_name = {metric.name: metric for metric in metrics}
    for family, label in OVERFLOWING.items():
        samples = by_name[PREFIX + family.removesuffix("_total")].samples
        other = sum(s.value for s in samples if s.labels[label] == OTHER)
        counter.add_metric([family], other)
    return counter


def _metric(family: Family, readers: Sequence[meter.MeterReader]) -> Metric:
    name, labels = PREFIX + family.name, list(family.labels)
    if family.kind == "counter":
        counter = CounterMetricFamily(name, family.help, labels=labels)
        totals = _merged(family, (reader.counters() for reader in readers))
        for values, total in totals.items():
            counter.add_metric(values, total * family.scale)
        return counter
    if family.kind == "gauge":
        gauge = GaugeMetricFamily(name, family.help, labels=labels)
        latest = family.name.endswith("_timestamp_seconds")
        current = _merged(family, (reader.gauges() for reader in readers), latest=latest)
        for values, value in current.items():
            gauge.add_metric(values, value)
        return gauge
    return _histogram(family, name, labels, readers)


def _merged(
    family: Family, sources: Iterable[dict[str, int]], *, latest: bool = False
) -> dict[Labels, int]:
    merged: dict[Labels, int] = {}
    for source in sources:
        for values, series in _series(family, source):
            value, before = source[series], merged.get(values)
            if before is None:
                merged[values] = value
            else:
                merged[values] = max(before, value) if latest else before + value
    return merged


def _series(family: Family, names: Iterable[str]) -> Iterator[tuple[Labels, str]]:
    """Series of a family among whole names, with the values of their labels."""
    bare = PREFIX + family.name
    for series in names:
        name, _, labels = series.partition("{")
        if name == bare:
            yield tuple(value for _, value in _LABEL.findall(labels)), series


def _histogram(
    family: Family, name: str, labels: list[str], readers: Sequence[meter.MeterReader]
) -> Metric:
    metric = HistogramMetricFamily(name, family.help, labels=labels)
    merged: dict[Labels, tuple[list[int], int, int]] = {}
    for reader in readers:
        for values, series in _series(family, reader.histograms()):
            counts, total, sum_us = reader.buckets(series, family.bounds_us)
            if values in merged:
                other, other_total, other_sum = merged[values]
                counts = [a + b for a, b in zip(counts, other, strict=True)]
                total, sum_us = total + other_total, sum_us + other_sum
            merged[values] = counts, total, sum_us
    edges = [repr(bound / 1_000_000) for bound in family.bounds_us]
    for values, (counts, total, sum_us) in merged.items():
        buckets = [*zip(edges, counts, strict=True), ("+Inf", total)]
        metric.add_metric(values, buckets, sum_us * family.scale)
    return metric
