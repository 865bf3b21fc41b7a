"""Percentiles read from a real meter file."""

from pathlib import Path

import pytest

from switch.native import meter
from switch.observe.percentiles import Percentiles

_FAMILY = "tapswitch_internal_duration_seconds"
_NAMES = [f'{_FAMILY}{{class="{name}"}}' for name in ("auth", "financial")]


def _meter(path: Path) -> meter.Meter:
    return meter.Meter(str(path), [], [], [*_NAMES, f'{_FAMILY}_of_another{{x="y"}}'])


def test_series_of_one_family_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    written = _meter(path)
    for value in range(1, 1001):
        written.record(value % 2, value * 10)
    written.record(2, 59_000_000)
    percentiles = Percentiles(_FAMILY)
    percentiles.read(meter.MeterReader.open(str(path)))
    p50, p99 = percentiles.since_start(0.5, 0.99)
    assert p50 == pytest.approx(5_000, rel=0.05)
    assert p99 == pytest.approx(9_900, rel=0.05)


def test_the_last_look_counts_from_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    written = _meter(path)
    written.record(0, 100)
    percentiles = Percentiles(_FAMILY)
    percentiles.read(meter.MeterReader.open(str(path)))
    assert percentiles.since_last(0.5)[0] == pytest.approx(100, rel=0.05)
    assert percentiles.since_last(0.5) == (0,)
    written.record(1, 9_000)
    percentiles.read(meter.MeterReader.open(str(path)))
    assert percentiles.since_last(0.5)[0] == pytest.approx(9_000, rel=0.05)


def test_a_restarted_worker_adds_to_what_its_predecessor_counted(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    percentiles = Percentiles(_FAMILY)
    first = _meter(path)
    for _ in range(3):
        first.record(0, 1_000)
    percentiles.read(meter.MeterReader.open(str(path)))
    second = _meter(path)
    second.record(0, 50_000)
    percentiles.read(meter.MeterReader.open(str(path)))
    p50, p99 = percentiles.since_start(0.5, 0.99)
    assert p50 == pytest.approx(1_000, rel=0.05)
    assert p99 == pytest.approx(50_000, rel=0.05)


def test_nothing_counted_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    _meter(path)
    percentiles = Percentiles(_FAMILY)
    percentiles.read(meter.MeterReader.open(str(path)))
    assert percentiles.since_start(0.5, 0.999) == (0, 0)
