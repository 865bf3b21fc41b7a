"""A run's files: what is written is read back, and another library reads the log alike."""

import base64
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from switch.apps.load import model
from switch.errors import OperatorError, UsageError
from switch.native import load
from tests.support.load import RATE, SECONDS, made_run

MAX_NS = (1 << 40) - 1


def oracle(log: Path) -> tuple[dict[str, HdrHistogram], list[HdrHistogram]]:
    """By tag and in order, as the Python library of the HdrHistogram project reads it."""
    by_tag: dict[str, HdrHistogram] = {}
    several = []
    reader = HistogramLogReader(str(log), HdrHistogram(1, MAX_NS, 3))
    with reader.input_file:
        while (interval := reader.get_next_interval_histogram()) is not None:
            several.append(interval)
            total = by_tag.setdefault(interval.get_tag(), HdrHistogram(1, MAX_NS, 3))
            total.add(interval)
    return by_tag, several


def test_another_library_reads_the_same_from_the_log(tmp_path: Path) -> None:
    run, series = made_run()
    model.write(tmp_path, run, series)
    by_tag, several = oracle(tmp_path / "run.hlog")
    assert set(by_tag) == {"0200:due", "0200:sent"}
    for name, one in series.items():
        total, ours = by_tag[model.tag(name)], one.total()
        assert total.get_total_count() == len(ours) == RATE * SECONDS
        for percent in (1, 50, 90, 99, 99.9, 99.99, 100):
            theirs = total.get_value_at_percentile(percent)
            assert theirs == pytest.approx(ours.quantile(percent / 100), rel=0.001), percent
    first = several[0]
    assert first.get_start_time_stamp() == pytest.approx(run.start_s * 1e3, abs=1)
    assert first.get_end_time_stamp() - first.get_start_time_stamp() == pytest.approx(500, abs=1)


@given(
    st.lists(
        st.tuples(st.integers(0, 20_000_000_000), st.integers(1, MAX_NS)), min_size=1, max_size=300
    )
)
def test_every_count_survives_the_log(values: list[tuple[int, int]]) -> None:
    series = load.Series(250)
    for at, value in values:
        series.record(at, value)
    log = load.write_log({"0200:due": series}, 0.0)
    total = HdrHistogram(1, MAX_NS, 3)
    for line in log.decode().splitlines():
        if line.startswith("Tag="):
            total.add(HdrHistogram.decode(line.rsplit(",", 1)[1]))
    expected = HdrHistogram(1, MAX_NS, 3)
    for _, value in values:
        expected.record_value(value)
    assert total.get_total_count() == len(values)
    for percent in (10, 50, 90, 99, 100):
        assert total.get_value_at_percentile(percent) == pytest.approx(
            expected.get_value_at_percentile(percent), rel=0.001
        )
    back = load.read_log(log)["0200:due"]
    assert [back.buckets(n) for n in range(len(back))] == [
        series.buckets(n) for n in range(len(series))
    ]


def test_what_another_library_writes_is_read(tmp_path: Path) -> None:
    histogram = HdrHistogram(1, MAX_NS, 3)
    for value in (1_000, 2_000_000, 3_000_000_000):
        histogram.record_value(value)
    encoded = histogram.encode().decode()
    assert base64.b64decode(encoded)
    log = f"#[StartTime: 1.0 (seconds since epoch)]\nTag=a,0.500,0.500,3000.0,{encoded}\n"
    series = load.read_log(log.encode())["a"]
    assert len(series) == 2
    assert series.buckets(0) == []
    assert [count for _, count in series.buckets(1)] == [1, 1, 1]
    assert series.total().quantile(0.5) == pytest.approx(2_000_000, rel=0.001)


def test_a_run_is_read_back_whole(tmp_path: Path) -> None:
    run, series = made_run()
    model.write(tmp_path, run, series)
    back, logged = model.read(tmp_path)
    assert back == run
    assert set(logged) == set(series)
    assert logged["0200 due"].total().quantile(0.99) == series["0200 due"].total().quantile(0.99)
    assert (tmp_path / "env.json").exists()


def test_what_is_no_run_is_refused_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no directory of a load run"):
        model.read(tmp_path)
    run, series = made_run()
    model.write(tmp_path, run, series)
    report, log = tmp_path / "report.json", tmp_path / "run.hlog"
    whole = report.read_bytes()
    report.write_bytes(whole.replace(b'"tapswitch.load/1"', b'"tapswitch.load/9"'))
    with pytest.raises(OperatorError, match=r"schema tapswitch\.load/9"):
        model.read(tmp_path)
    report.write_bytes(whole[:-40])
    with pytest.raises(OperatorError, match="not the report of a load run"):
        model.read(tmp_path)
    report.write_bytes(whole)
    log.write_text("Tag=x,0.0,0.1,1.0,AAAA\n")
    with pytest.raises(OperatorError, match="not an interval log"):
        model.read(tmp_path)


def test_a_percentile_needs_ten_requests_beyond_it() -> None:
    histogram = load.Histogram()
    for value in range(1, 1_001):
        histogram.record(value * 1_000)
    row = model.entry("0200 due", histogram)
    assert row.p99_us == pytest.approx(990, rel=0.002)
    assert row.p999_us is None
    assert row.max_us == pytest.approx(1_000, rel=0.002)
    assert model.entry("0200 due", load.Histogram()).p50_us is None


def test_a_tag_holds_no_space() -> None:
    assert model.tag("0200 due") == "0200:due"
    with pytest.raises(UsageError):
        load.write_log({"a b": made_run()[1]["0200 due"]}, 0.0)
