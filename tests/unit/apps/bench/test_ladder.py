"""A short ladder of real processes: rates, ledgers, thresholds, the report, Ctrl-C.

Nothing here is said about speed: a busy machine may make any step invalid, and the tests hold then
too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from switch.apps.bench import ladder, ledgers, search
from switch.apps.bench.ladder import Ladder, LadderPlan
from switch.apps.bench.search import Climb
from switch.apps.load import model
from switch.cli import run as tapswitch
from switch.native import load

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

TINY = ["--start", "200", "--max", "200", "--step", "1", "--warm", "0.2"]
LENIENT = ["--fail-if", "p99(0200)>30s", "--fail-if", "error_rate>0"]


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believes the generator however busy the machine is."""
    monkeypatch.setattr(ladder, "fault_of", lambda *_: "")


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("part_max", [200_000, 50])
def test_a_rate_that_holds_and_the_ledgers_agree(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part_max: int,
) -> None:
    """Also when they are too long to be compared at once."""
    monkeypatch.setattr(ledgers, "PART_MAX", part_max)
    out = tmp_path / "out"
    arguments = ["bench", "ladder", *TINY, *LENIENT, "--out", str(out), "-o", "json"]
    code = tapswitch([*arguments, "--data-dir", str(tmp_path / "data")])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    told = json.loads(printed.out)
    assert (told["schema"], told["tool"], told["sustained"]) == (model.SCHEMA, "ladder", 200)
    (step,) = told["steps"]
    assert (step["passed"], step["errors"], step["conservation"]) == (True, 0, "agree")
    assert 120 < step["offered"] < 290
    kept = told["conservation"]
    assert kept["ok"]
    # The warm-up is in the ledgers too.
    assert (
        kept["approvals_acquirer"]
        == kept["approvals_journal"]
        == kept["holds_issuer"]
        > step["offered"]
    )
    assert {path.name for path in out.iterdir()} >= {
        "report.html", "report.json", "summary.md", "env.json", "run.hlog", "rates.svg",
    }  # fmt: skip
    assert "report.html" in printed.err


@pytest.fixture
def host() -> Iterator[str]:
    """A host that answers as a switch would, for what is not about the switch."""
    bank = load.Bank()
    yield bank.address
    bank.close()


@pytest.mark.usefixtures("trusting")
def test_a_threshold_that_fails_is_exit_code_6_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str
) -> None:
    arguments = ["bench", "ladder", "--start", "2", "--max", "2", "--step", "1", "--retries", "0"]
    arguments += ["--fail-if", "max(0200)>1ns", "--arrivals", "even", "--out", str(tmp_path / "o")]
    code = tapswitch([*arguments, "--connect", host])
    printed = capsys.readouterr()
    assert code == 6, printed.err
    assert "FAILED" in printed.out
    assert "✗ max(0200)" in printed.out
    assert "nothing held" in printed.out


def test_a_generator_that_was_late_gives_no_figure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(ladder, "fault_of", lambda *_: "the generator sent late")
    arguments = ["bench", "ladder", *TINY, *LENIENT, "--connect", host]
    code = tapswitch([*arguments, "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert code == 6
    assert printed.err.count("INVALID: the generator sent late") == 3
    run, _ = model.read(tmp_path / "out")
    assert not run.valid
    assert run.sustained is None


@pytest.mark.usefixtures("trusting")
def test_a_failure_is_tried_once_more_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """The first try of 4/s fails, the second holds; 8/s fails twice."""
    outcomes = {2.0: [False], 4.0: [True, False], 8.0: [True, True]}
    judged = Ladder._judge

    def decided(self: Ladder, rate: float, *more: Any) -> model.Step:
        failed = outcomes[rate].pop(0) if rate in outcomes else True
        step = judged(self, rate, *more)
        return msgspec.structs.replace(step, passed=not failed)

    monkeypatch.setattr(Ladder, "_judge", decided)
    climb = Climb(start=2, factor=2, rate_max=100, precision=2)
    plan = LadderPlan(climb=climb, step_s=1, warm_s=0, connect=host, arrivals="even")
    run, _ = Ladder(plan, lambda _: None).run(tmp_path)
    tried = [(step.rate, step.attempt, step.passed) for step in run.steps]
    assert tried == [(2, 0, True), (4, 0, False), (4, 1, True), (8, 0, False), (8, 1, False)]
    assert run.sustained == 4


@pytest.mark.usefixtures("trusting")
def test_a_switch_that_dies_ends_in_a_report(tmp_path: Path) -> None:
    bank = load.Bank()

    def say(line: str) -> None:
        if "offered" in line:
            bank.close()

    climb = Climb(start=20, factor=2, rate_max=100)
    plan = LadderPlan(climb=climb, step_s=4, warm_s=0, timeout_s=1, connect=bank.address)
    run, _ = Ladder(plan, say).run(tmp_path)
    assert not run.valid
    assert "the switch has gone" in run.faults[0]
    (step,) = run.steps
    assert not step.passed
    assert run.kinds[0].errors + run.kinds[0].not_sent > 0


def test_a_silent_bank_is_time_outs_that_are_reversed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch answers 91 and owes the bank reversals: the ledgers agree on no approval."""

    open_bank = load.Bank
    monkeypatch.setattr(ladder, "fault_of", lambda *_: "")
    monkeypatch.setattr(load, "Bank", lambda **options: open_bank("127.0.0.1:0", None, **options))
    # One failure is enough.
    monkeypatch.setattr(search, "RATE_MIN", 50)
    plan = LadderPlan(
        climb=Climb(start=50, rate_max=50), step_s=1, warm_s=0, retries=0,
        thresholds=("error_rate>99%",),
    )  # fmt: skip
    run, _ = Ladder(plan, lambda _: None).run(tmp_path)
    assert run.sustained is None
    assert run.conservation is not None
    assert run.conservation["ok"], run.conservation
    assert run.conservation["approvals_journal"] == 0
    assert run.conservation["reversed"] > 20


def test_a_ledger_that_lies_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ledgers.bookings
    monkeypatch.setattr(ladder, "fault_of", lambda *_: "")
    monkeypatch.setattr(ledgers, "bookings", lambda lines, part: honest(lines[1:], part))
    plan = LadderPlan(
        climb=Climb(start=100, rate_max=400), step_s=1, warm_s=0, thresholds=("not_sent>0",)
    )
    run, _ = Ladder(plan, lambda _: None).run(tmp_path)
    assert not run.passed
    # The ladder went no further.
    (step,) = run.steps
    assert "unheld" in step.conservation
    assert run.conservation is not None
    assert run.conservation["findings_total"] > 0


def test_ctrl_c_ends_in_a_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "switch", "bench", "ladder", "--start", "100", "--max", "100",
         "--step", "300", "--out", str(out), "--data-dir", str(tmp_path / "data")],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    pid = 0
    for line in process.stderr:
        if line.startswith("switch: pid"):
            pid = int(line.split()[2].rstrip(","))
        if "offered" in line:
            break
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in said
    run, series = model.read(out)
    assert run.interrupted
    assert len(run.steps) == 1
    assert len(series["0200 due"].total()) > 50
    assert run.conservation is not None
    assert run.conservation["ok"]
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert os.listdir(out)


def test_usage_is_told_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert tapswitch(["bench", "ladder", "--fail-if", "p99(0200)>10mss"]) == 2
    assert 'did you mean "ms"?' in capsys.readouterr().err
    assert tapswitch(["bench", "ladder", "--connect", "10.0.0.1:1"]) == 3
    assert "is not on loopback" in capsys.readouterr().err
    assert tapswitch(["bench", "ladder", "--issuer", "629900"]) == 2
    assert tapswitch(["bench", "ladder", "--connect", "127.0.0.1:1", "--issuer", "62"]) == 2
    assert not Path("out/ladder").exists()
