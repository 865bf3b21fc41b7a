"""Totals read from a real meter file."""

from pathlib import Path

from switch.native import meter
from switch.observe.totals import Totals

FAMILY = "tapswitch_tap_refusals_total"
NAMES = [f'{FAMILY}{{reason="{reason}"}}' for reason in ("cryptogram", "atc_seen", "atc_old")]
PLAIN = "tapswitch_taps_genuine_total"


def written(path: Path) -> meter.Meter:
    return meter.Meter(str(path), [*NAMES, PLAIN, f'{FAMILY}_other{{reason="x"}}'], [], [])


def test_series_that_counted_something_are_told_by_label(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    file, totals = written(path), Totals()
    assert totals.by(FAMILY, "reason") == {}
    for index, count in ((0, 3), (1, 1), (3, 40), (4, 9)):
        file.count(index, count)
    totals.read(meter.MeterReader.open(str(path)))
    assert totals.by(FAMILY, "reason") == {"cryptogram": 3, "atc_seen": 1}
    assert totals.by(FAMILY, "end") == {}
    assert totals.of(PLAIN) == 40


def test_a_restarted_worker_adds_to_what_its_predecessors_counted(tmp_path: Path) -> None:
    path, totals = tmp_path / "w0.meter", Totals()
    for count in (5, 3, 2):
        file = written(path)
        file.count(0, count)
        totals.read(meter.MeterReader.open(str(path)))
    assert totals.by(FAMILY, "reason") == {"cryptogram": 10}
