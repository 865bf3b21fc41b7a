"""Appending to the journal: what the loop pays, and what a durable group costs in all."""

import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.floor.durable import open_log
from switch.native import load

GROUP = 16


@pytest.fixture
def log(tmp_path: Path) -> Iterator[load.Recorder]:
    with open_log(str(tmp_path)) as log:
        yield log


def wait(log: load.Recorder, lsn: int) -> int:
    """Until `lsn` is durable."""
    synced = log.commit()
    while synced < lsn:
        assert select.select([log.fileno], [], [], 10)[0], "the journal stands still"
        synced = log.acknowledge()
    return synced


def test_append(benchmark: BenchmarkFixture, log: load.Recorder) -> None:
    """The loop's part of a hundred ACCEPTED records; now and then the writer may catch up."""
    rounds = iter(range(1_000_000))

    def settle() -> None:
        if next(rounds) % 8 == 7:
            wait(log, log.accepted())

    def append() -> int:
        for _ in range(100):
            lsn = log.accepted()
        return lsn

    last = benchmark.pedantic(  # type: ignore[no-untyped-call]
        append, setup=settle, rounds=200, warmup_rounds=8
    )
    assert last >= 100
    assert wait(log, last) >= last


def test_durable_group(benchmark: BenchmarkFixture, log: load.Recorder) -> None:
    """Sixteen records from append to the wake of the loop; the disk is most of it."""

    def group() -> int:
        for _ in range(GROUP):
            lsn = log.accepted()
        return wait(log, lsn)

    assert benchmark(group) >= GROUP
