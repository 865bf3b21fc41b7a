"""What a worker counts, another process reads from the file alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from switch.errors import UsageError
from switch.native import meter

READ = """
import sys
from switch.native import meter
reader = meter.MeterReader.open(sys.argv[1])
print(reader.counters(), reader.gauges(), reader.buckets("ours", [1000, 2000]))
"""


def make(path: Path) -> meter.Meter:
    return meter.Meter(str(path), ["sent", "received"], ["links"], ["ours", "bank"])


def test_another_process_reads_what_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    writer = make(path)
    writer.count(0)
    writer.count(1, 5)
    writer.set(0, -1)
    writer.record(0, 1500)
    seen = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == "{'sent': 1, 'received': 5} {'links': -1} ([0, 1], 1, 1500)"


def test_names_lead_to_indexes(tmp_path: Path) -> None:
    writer = make(tmp_path / "w0.meter")
    assert (writer.counter("received"), writer.gauge("links"), writer.histogram("bank")) == (
        1,
        0,
        1,
    )
    assert writer.counter("links") is None


@pytest.mark.parametrize("act", ["count", "set", "record"])
def test_an_index_that_does_not_exist_is_our_bug(tmp_path: Path, act: str) -> None:
    with pytest.raises(UsageError, match=r"no \w+ 2$"):
        getattr(make(tmp_path / "w0.meter"), act)(2, 1)


def test_a_restarted_writer_starts_anew_and_the_old_reader_keeps_the_old_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w0.meter"
    first = make(path)
    first.count(0)
    old = meter.MeterReader.open(str(path))
    second = make(path)
    second.count(0, 7)
    assert (old.counters()["sent"], meter.MeterReader.open(str(path)).counters()["sent"]) == (1, 7)


def test_quantiles_are_within_two_percent(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    writer = make(path)
    for value in range(1, 10_001):
        writer.record(1, value)
    found = meter.MeterReader.open(str(path)).quantiles("bank", [0.5, 0.99, 0.999])
    for value, exact in zip(found, [5000, 9900, 9990], strict=True):
        assert exact <= value <= exact * 1.02


def test_what_is_no_meter_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    path.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(OSError, match="not a meter file"):
        meter.MeterReader.open(str(path))
    with pytest.raises(FileNotFoundError):
        meter.MeterReader.open(str(tmp_path / "absent.meter"))


def test_a_successor_goes_on_with_what_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    first = make(path)
    first.count(1, 5)
    first.set(0, -7)
    first.record(1, 1500)
    names = (["new", "received"], ["links", "more"], ["more", "bank"])
    second = meter.Meter.draft(str(path), *names)
    assert meter.MeterReader.open(str(path)).counters() == {"sent": 0, "received": 5}
    second.succeed(first)
    second.count(0)
    second.count(1)
    reader = meter.MeterReader.open(str(path))
    assert reader.counters() == {"new": 1, "received": 6}
    assert reader.gauges() == {"links": -7, "more": 0}
    assert reader.buckets("bank", [1000, 2000]) == ([0, 1], 1, 1500)
    assert reader.buckets("more", [1000, 2000]) == ([0, 0], 0, 0)


def test_a_successor_that_cannot_take_the_place_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    first = make(path)
    second = meter.Meter.draft(str(path), ["sent"], [], [])
    (tmp_path / "w0.draft").unlink()
    with pytest.raises(OSError, match="No such file"):
        second.succeed(first)
    assert meter.MeterReader.open(str(path)).counters() == {"sent": 0, "received": 0}
