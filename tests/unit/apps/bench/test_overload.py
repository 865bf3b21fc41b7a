"""`bench overload` against a real node: its shape, its conclusions, and what it says when a figure
is missed. Nothing here is about speed."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from switch.apps.bench.overload import (
    REVERSALS,
    Overload,
    OverloadPlan,
    OverloadRun,
    Phase,
    Stage,
    recovered,
)
from switch.apps.bench.overload_report import save, text
from switch.apps.bench.required import REQUIRED, result
from switch.native import load

PLAN = OverloadPlan(
    knee=300,
    multiples=(5.0,),
    rounds=2,
    calm_s=1.0,
    step_s=2.0,
    after_s=1.0,
    knee_step_s=0.5,
    quiet_rate=50,
    connections=4,
    # Whatever the machine can do, what is above it is refused.
    limits="rate_max = 400\nburst_max = 100\n",
)


@pytest.mark.system
@pytest.mark.timeout(120)
def test_an_overload_is_shed_beside_a_quiet_acquirer_and_the_ledgers_agree(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    (tmp_path / "data").mkdir()
    run = Overload(PLAN, said.append).run(tmp_path / "data")
    stage, again = run.stages
    assert (stage.number, again.number) == (1, 2)
    assert again.conservation.startswith("agree"), again.conservation
    busy, quiet = stage.noisy["overload"], stage.quiet["overload"]
    assert stage.conservation.startswith("agree"), stage.conservation
    assert busy.offered == busy.approved + busy.refused + busy.lost
    assert busy.refused > 500
    assert 500 < busy.approved < 1_000
    assert quiet.success == 1.0
    assert stage.reversals == REVERSALS
    assert (run.knee, run.knee_found, run.faults) == (300, False, [])
    out = tmp_path / "out"
    out.mkdir()
    save(out, run)
    told = msgspec.json.decode((out / "report.json").read_bytes(), type=OverloadRun)
    assert told == run
    assert (out / "overload-5x-2.svg").is_file()
    picture = (out / "overload-5x.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert "refused (91)" in picture
    assert "| 5x 1,500/s" in (out / "summary.md").read_text(encoding="utf-8")
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["schema"]


def phase(approved: int, refused: int = 0, lost: int = 0, p99_us: float = 1_000.0) -> Phase:
    return Phase(
        offered=approved + refused + lost,
        approved=approved,
        refused=refused,
        lost=lost,
        seconds=10.0,
        p50_us=p99_us / 2,
        p99_us=p99_us,
        refusal_p99_us=None,
    )


GOOD = Stage(
    multiple=2.0,
    rate=20_000,
    valid=True,
    fault="",
    goodput_share=0.95,
    knee_goodput=10_000,
    number=1,
    noisy={"calm": phase(1), "overload": phase(100_000, 100_000), "after": phase(1)},
    quiet={"calm": phase(1_000), "overload": phase(10_000), "after": phase(1_000)},
    quiet_p99_times=1.5,
    recovered_s=0.5,
    reversals=REVERSALS,
    memory_before=1,
    memory_first_half=100 << 20,
    memory_second_half=101 << 20,
    lag_p99_us=100.0,
    generator_cpu=0.5,
    stolen_percent=0.0,
    conservation="agree (1 approvals in three ledgers)",
    timeline=[(0.0, 100, 90, 10, 900.0), (0.1, 100, 90, 10, 0.0)],
)


def run_of(*stages: Stage) -> OverloadRun:
    return OverloadRun(
        at="2026-11-28T00:00:00Z",
        knee=10_000,
        knee_goodput=10_000,
        knee_found=True,
        pinned="switch on core 0",
        stages=list(stages),
        faults=[],
        plan=OverloadPlan(),
        environment={
            "machine": {"cpu": "x", "cores": "2"},
            "build": {"commit": "c", "profile": "release"},
        },
    )


def test_a_good_run_reaches_everything() -> None:
    run = run_of(GOOD)
    assert [said for ok, said in result(run) if not ok] == []
    assert "✗" not in text(run)


@pytest.mark.parametrize(
    "change",
    [
        {"goodput_share": REQUIRED[2.0] - 0.01},
        {"quiet": {**GOOD.quiet, "overload": phase(9_980, 20)}},
        {"quiet_p99_times": 2.1},
        {"quiet_p99_times": None},
        {"recovered_s": 2.5},
        {"recovered_s": None},
        {"memory_second_half": 200 << 20},
        {"reversals": REVERSALS - 1},
        {"conservation": "1 approvals without a hold, 0 holds without an approval"},
        {"valid": False, "fault": "the generator sent late"},
    ],
    ids=lambda change: str(next(iter(change))),
)
def test_each_missed_figure_is_said(change: dict[str, object]) -> None:
    run = run_of(msgspec.structs.replace(GOOD, **change))
    missed = [said for ok, said in result(run) if not ok]
    assert len(missed) == 1
    assert missed[0].startswith("2x: ")


SLOW: dict[str, object] = {"goodput_share": 0.5, "quiet_p99_times": 9.0, "recovered_s": None}
VOID: dict[str, object] = {"valid": False, "fault": "the generator sent late"}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        (({}, SLOW, {}), 0),
        ((SLOW, SLOW, {}), 3),
        (({}, VOID, {}), 0),
        (({}, VOID, VOID), 1),
        ((VOID, SLOW, {}), 3),
        (({}, {"conservation": "1 approvals without a hold"}, {}), 1),
        (({}, {"reversals": REVERSALS - 1}, {}), 1),
        (({}, {"memory_second_half": 200 << 20}, {}), 1),
    ],
    ids=["one of three", "two", "void", "mostly void", "of two", "lost", "owed", "grown"],
)
def test_medians_must_reach_it_and_nothing_may_ever_be_lost(
    changes: tuple[dict[str, object], ...], missed: int
) -> None:
    run = run_of(*(msgspec.structs.replace(GOOD, **one) for one in changes))
    found = [said for ok, said in result(run) if not ok]
    assert len(found) == missed, found


def approvals(slow: set[int]) -> Any:
    """A window of four seconds with an approval each 10 ms, of 1 ms; 50 ms in the slow slices."""
    expected = load.Series(100)
    for at_ms in range(0, 4_000, 10):
        took_ms = 50 if at_ms // 100 in slow else 1
        expected.record(at_ms * 1_000_000, took_ms * 1_000_000)
    return {"recording": SimpleNamespace(expected=expected)}


@pytest.mark.parametrize(
    ("slow", "after_s"),
    [
        (set(range(10, 20)), 0.0),
        (set(range(10, 23)), 0.5),
        (set(range(10, 26)), 1.0),
        (set(range(10, 20)) | {39}, None),
    ],
    ids=["at once", "soon", "later", "it came back"],
)
def test_recovery_counts_from_the_end_and_must_last(slow: set[int], after_s: float | None) -> None:
    assert recovered(approvals(slow), (0.0, 1.0), 2.0, 4.0) == after_s


def test_two_schedules_start_together_and_end_each_request_once() -> None:
    bank = load.Bank(books=True)
    first = load.Generator(bank.address, 2)
    second = load.Generator(bank.address, 1, acquirer_code="10000002")
    first.sign_on()
    second.sign_on()
    schedules = (load.Schedule.poisson(500, 0.5, 1), load.Schedule.poisson(50, 0.5, 2))
    outcomes = first.open_both(second, schedules, warm_ms=0, timeout_ms=1_000, record_ms=100)
    for outcome, schedule in zip(outcomes, schedules, strict=True):
        assert outcome["clean"]
        assert outcome["offered"] == len(schedule)
        recording = outcome["recording"]
        # What was due in the first microseconds came before the clock was read.
        assert len(recording.expected.total()) == recording.counts()["answered"]
        assert len(recording.otherwise.total()) == 0
    bank.set_answer("51")
    mine, theirs = first.open_both(second, schedules, warm_ms=0, timeout_ms=1_000, record_ms=100)
    assert mine["other_code"] == len(schedules[0])
    assert len(mine["recording"].otherwise.total()) == mine["recording"].counts()["declined"]
    assert theirs["other_code"] == len(schedules[1])
    assert bank.seen()["requests"] == 2 * (len(schedules[0]) + len(schedules[1]))
    first.close()
    second.close()
    bank.close()
