"""The floors, run for a moment: the harness must see what it is there to see."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import msgspec
import pytest

from switch.apps.bench import measure, report, systems
from switch.apps.bench.plan import SHAPES, Plan
from switch.apps.bench.run import run_floor, run_switch
from switch.apps.load import environment
from switch.cli import run as tapswitch
from switch.errors import OperatorError
from switch.native import load

TOKENS = 10_000
"""A hundredth of the default, which takes a minute to make the first time: what is said here is
not about their number."""
TINY = Plan(
    shapes=(SHAPES[0], SHAPES[2]),
    rounds=1,
    warm_ms=50,
    closed_ms=100,
    open_ms=200,
    tokens=TOKENS,
)
FLOOR = (
    "bench",
    "floor",
    "-o",
    "json",
    "--rounds",
    "1",
    "--window",
    "100",
    "--tokens",
    str(TOKENS),
)


@pytest.mark.system
def test_a_system_that_stands_still_shows_in_the_tail() -> None:
    """Stopped for 1 s of 4: a quarter of what was planned waited, so p99 must be most of a second.
    A generator that waits for answers before it sends would report one slow request."""
    bank = load.Bank()
    with systems.relay(bank, TINY) as relay:
        generator = load.Generator(relay.address, 8, pid=relay.pid)

        def stop() -> None:
            time.sleep(1.5)
            os.kill(relay.pid, signal.SIGSTOP)
            time.sleep(1.0)
            os.kill(relay.pid, signal.SIGCONT)

        stopper = threading.Thread(target=stop)
        stopper.start()
        out = generator.open(load.Schedule.poisson(500, 4.0, seed=3), warm_ms=200)
        stopper.join()
    bank.close()
    assert out["clean"]
    assert 700_000_000 < out["latency"]["p99_ns"] < 1_300_000_000
    assert out["latency"]["p50_ns"] < 200_000_000


@pytest.mark.system
def test_both_floors_answer_everything_right(tmp_path: Path) -> None:
    said: list[str] = []
    found = run_floor(TINY, tmp_path, said.append)
    assert {(row.shape, row.system) for row in found.shapes} == {
        (shape, system) for shape in ("32x1", "1000/s") for system in ("relay", "durable_relay")
    }
    # A busy machine may make the generator late; a wrong or missing answer is never its fault.
    assert {row.fault for row in found.shapes} <= {"", "generator late"}
    closed = {row.system: row for row in found.shapes if row.shape == "32x1"}
    assert all(row.valid for row in closed.values())
    assert closed["relay"].ratio_to_relay == 1.0
    # Which of them costs more is a measurement, not a test: on a busy machine either may.
    assert all((row.cpu_us_per_auth or 0) > 0 for row in closed.values())
    assert len(said) >= 6


@pytest.mark.system
@pytest.mark.slow
def test_the_switch_answers_everything_right_however_it_ends(tmp_path: Path) -> None:
    """One closed shape beside the floors, then every row of the table of costs: approvals, repeats,
    declines, no route, time-outs with their reversals."""
    plan = msgspec.structs.replace(TINY, shapes=SHAPES[1:2], closed_ms=400, open_ms=600)
    found = run_switch(plan, tmp_path, lambda _: None)
    assert {(row.system, row.fault) for row in found.shapes} == {
        ("relay", ""),
        ("durable_relay", ""),
        ("switch", ""),
    }
    by = {row.system: row for row in found.shapes}
    assert (by["switch"].ratio_to_relay or 0) > 1.0
    assert [(cost.case, cost.code, cost.fault) for cost in found.costs] == [
        ("approved", "00", ""),
        ("duplicate of an approval", "00", ""),
        ("declined by the bank", "51", ""),
        ("no route", "92", ""),
        ("approved", "00", ""),
        ("time-out and its reversal", "91", ""),
    ]
    assert [one.name for one in found.required] == ["CPU at 32x16"]
    assert "CPU at 32x16" in report.text(found)


@pytest.mark.system
def test_the_command_prints_one_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = tapswitch([*FLOOR, "--shape", "32x16", "--data-dir", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert set(told) >= {"bench", "interpreter", "machine", "journal", "build", "shapes", "valid"}
    wanted = {
        "shape", "system", "valid", "tps", "p50_us", "p99_us", "p999_us", "cpu_us_per_auth",
        "ratio_to_durable_floor",
    }  # fmt: skip
    assert all(set(row) >= wanted for row in told["shapes"])
    relay, durable = told["shapes"]
    assert durable["ratio_to_durable_floor"] == 1.0
    assert relay["tps"] > 0
    assert relay["p50_us"] <= relay["p99_us"] <= relay["p999_us"]


@pytest.mark.system
def test_a_late_generator_is_tried_three_times_more_and_then_gives_no_figures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "LAG_P99_MAX_US", 0)
    code = tapswitch([*FLOOR, "--shape", "1000/s", "--data-dir", str(tmp_path)])
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert code == 6
    assert not told["valid"]
    for row in told["shapes"]:
        assert (row["valid"], row["tps"], row["p99_us"]) == (False, None, None)
        assert printed.err.count(f"{row['system']:<14} VOID: generator late") == 4


def test_a_shape_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert tapswitch(["bench", "floor", "--shape", "64x64"]) == 2
    assert "32x16" in capsys.readouterr().err


def test_a_journal_in_memory_is_refused() -> None:
    memory = Path("/dev/shm")
    assert environment.filesystem(memory) == "tmpfs"
    with pytest.raises(OperatorError, match="nothing is durable"):
        run_floor(TINY, memory, lambda _: None)
