"""Locust in front of a whole system, as `make load` starts it: exit codes, files, ledgers."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.apps.load import model
from tests.support.tree import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: the gateway's socket lies deep in it, and its path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tsw") as name:
        yield Path(name)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(ROOT / "scripts" / "load"), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_mixed_run_in_two_processes_is_one_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(
        "--out", str(out), "--tokens", "600", "--headless", "-u", "30", "-r", "30", "-t", "6s",
        "--processes", "2", "--csv", str(tmp_path / "stats"), "--fail-if", "p99(0200 sent)>30s",
        "--fail-if", "error_rate>90%", "--fail-if", "offered<20", "--data-dir",
        str(tmp_path / "data"),
    )  # fmt: skip
    said, _ = process.communicate(timeout=150)
    assert process.returncode == 0, said
    run, series = model.read(out)
    assert run.tool == "locust"
    assert run.valid
    assert run.passed
    assert [one.ok for one in run.verdicts] == [True, True, True]
    kind = next(one for one in run.kinds if one.name == "0200")
    assert kind.offered == kind.answered + kind.errors + kind.not_sent
    assert kind.offered > 40
    assert sum(kind.codes.values()) == kind.answered
    # Banks decline and are silent now and then; what is not an error may still be a decline.
    assert kind.codes["00"] > 0.6 * kind.answered
    due, sent = series["0200 due"].total(), series["0200 sent"].total()
    assert len(due) == len(sent) == kind.offered - kind.not_sent
    assert all(due.quantile(q) >= sent.quantile(q) for q in (0.1, 0.5, 0.9, 1.0))
    kept = run.conservation
    assert kept is not None
    assert kept["ok"], kept
    assert kept["approvals_acquirer"] == kept["approvals_journal"] == kept["holds_issuer"]
    # Locust's own statistics tell the same, to three digits, not to whole milliseconds.
    with (tmp_path / "stats_stats.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["Name"]: row for row in csv.DictReader(stream)}
    # Its file lacks the sales with which a worker process was still busy.
    counted = int(rows["0200 due"]["Request Count"])
    assert 0.3 * kind.offered < counted <= kind.offered - kind.not_sent
    shown = [float(rows[name][f"{p}%"]) for name in ("0200 due", "0200 sent") for p in (50, 75, 90)]
    assert not all(value.is_integer() for value in shown)
    assert {"locust.html", "report.html", "summary.md", "run.hlog"} <= set(os.listdir(out))
    # Both processes had users; keys, journal and parts are gone.
    assert len(list((tmp_path / "data").glob("*/ledgers/0*.jsonl"))) == 2
    assert not [name for name in os.listdir(out) if name.startswith(("part", "stage", "verd"))]


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--connect", "10.0.0.1:15830"], 3, "is not on loopback"),
        (["--mix", "mixd"], 3, "mixed"),
        (["--fail-if", "p99(0200)>10mss"], 2, 'did you mean "ms"?'),
        (["--fail-if=p99(0200 dui)>10ms"], 2, 'did you mean "0200 due"?'),
    ],
)
def test_mistakes_are_told(tmp_path: Path, arguments: list[str], code: int, problem: str) -> None:
    process = start("--out", str(tmp_path / "out"), *arguments, "--headless")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert problem in said


def test_the_web_page_is_on_loopback_and_ctrl_c_ends_in_a_report(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(
        "--out", str(out), "--tokens", "0", "--mix", "plain", "--web-port", str(port), "-u", "4",
        "-r", "4", "--autostart", "--fail-if", "max(0200)>1us",
    )  # fmt: skip
    assert process.stdout is not None
    page = f"http://127.0.0.1:{port}"
    try:
        said = ""
        while "All users spawned" not in said:
            said = process.stdout.readline()
            assert said
        with urllib.request.urlopen(f"{page}/stats/requests", timeout=20) as answer:  # noqa: S310
            assert "stats" in json.load(answer)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
    assert process.returncode == 6, said
    assert "✗ max(0200)" in said
    run, _ = model.read(out)
    assert not run.passed
    assert run.conservation is not None
    assert run.conservation["ok"], run.conservation


def test_no_event_loop_comes_into_locusts_process() -> None:
    code = (
        "import locust, sys; before = set(sys.modules); import loadtest.locustfile;"
        "print({'asyncio', 'uvloop'} & (set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "set()", done.stderr
