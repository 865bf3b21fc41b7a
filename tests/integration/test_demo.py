"""The demonstration from outside: what it prints, how it ends, what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from switch.sim.magic import TAPS

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(180)]

TOKENS = "3000"
"""Fewer than by default: the start of each of these demonstrations is not what they are about."""
COMMAND = [sys.executable, "-m", "switch", "demo"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: the gateway's socket lies deep in it, and its path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tsw") as name:
        yield Path(name)


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--tokens", TOKENS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path), "DEMO_TEST_MARK": str(tmp_path)},
        start_new_session=True,
    )


def alive(tmp_path: Path) -> Iterator[str]:
    """Command lines of processes that this test's demonstration has started."""
    mark = f"DEMO_TEST_MARK={tmp_path}".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                # It has gone, or may not be read: a hardened worker is found by its command line.
                continue
    for process in Path("/proc").iterdir():
        line = cmdline(process)
        if f"{tmp_path}/".encode() in line and b"--config" in line:
            yield line.replace(b"\0", b" ").decode()


def cmdline(process: Path) -> bytes:
    """Empty for what is no process, or has gone."""
    try:
        return (process / "cmdline").read_bytes() if process.name.isdigit() else b""
    except OSError:
        return b""


def wait_until_none(tmp_path: Path, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := list(alive(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def balanced(summary: dict[str, Any]) -> None:
    conservation = summary["conservation"]
    assert conservation["ok"], conservation["findings"]
    assert (
        conservation["approvals_acquirer"]
        == conservation["approvals_journal"]
        == conservation["holds_issuer"]
        == summary["approved"]
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.Popen[str], str, str, Path]:
    tmp_path = tmp_path_factory.mktemp("demo")
    demo = start(tmp_path, "--for", "8", "--rate", "150", "-o", "json")
    out, err = demo.communicate(timeout=120)
    return demo, out, err, tmp_path


Done = tuple["subprocess.Popen[str]", str, str, Path]


def test_it_ends_well_with_one_object(done: Done) -> None:
    demo, out, err, _ = done
    assert demo.returncode == 0, err
    (line,) = out.splitlines()
    summary = json.loads(line)
    balanced(summary)
    assert summary["offered"] > 500
    assert summary["approved"] > 0.8 * summary["offered"]
    for name in ("declined", "timed_out", "cancelled", "reversed"):
        assert summary[name] > 0, name
    parts = (summary[name] for name in ("approved", "declined", "timed_out", "cancelled"))
    assert sum(parts) == summary["offered"]
    assert summary["reversed"] >= summary["timed_out"]
    ours = summary["latency_ours_us"]
    assert 0 < ours["p50"] <= ours["p99"] <= ours["p999"]


def test_taps_are_proved_and_wrong_ones_refused_by_reason(done: Done) -> None:
    summary = json.loads(done[1])
    taps = summary["taps"]
    assert taps["tokens"] == int(TOKENS)
    assert 0.8 * summary["offered"] < taps["offered"] < summary["offered"]
    assert sum(taps["refused"].values()) > 0
    assert taps["refused"].keys() <= {row.reason for row in TAPS.values()}
    assert taps["tricks"].keys() <= {row.trick for row in TAPS.values()}
    # Each answer to a wrong tap is the one that the table foresees.
    assert taps["unexpected"] == 0
    assert taps["proofs"].keys() <= {"genuine", "absent"}
    assert taps["proofs"]["genuine"] > 0.8 * taps["offered"]
    assert taps["genuine"] >= taps["proofs"]["genuine"] - 5


def test_it_shows_what_flows_and_whose_keys(done: Done) -> None:
    _, _, err, _ = done
    assert "DEVELOPMENT KEYS" in err
    assert re.search(r"^issued [\d,]+ tokens in [\d.]+ s$", err, re.MULTILINE)
    assert "taps refused" in err
    assert re.search(r"^metrics at http://127\.0\.0\.1:\d+/metrics$", err, re.MULTILINE)
    lines = [line for line in err.splitlines() if "approved" in line]
    assert len(lines) >= 6
    assert all("links 5/5 up" in line for line in lines[1:])


def test_it_leaves_nothing(done: Done) -> None:
    *_, tmp_path = done
    assert wait_until_none(tmp_path, 2) == []
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_compares_and_ends_everything(tmp_path: Path) -> None:
    demo = start(tmp_path, "--rate", "50", "-o", "json")
    assert demo.stderr is not None
    for line in demo.stderr:
        if "approved" in line:
            break
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 130, err
    balanced(json.loads(out))
    assert wait_until_none(tmp_path, 2) == []


def test_killed_workers_lose_nothing(tmp_path: Path) -> None:
    """The worker dies twice while every fault happens; the next one recovers from the journal."""
    demo = start(tmp_path, "--for", "9", "--rate", "150", "--mixture", "harsh", "-o", "json")
    assert demo.stderr is not None
    killed: list[int] = []
    for line in demo.stderr:
        if "approved" in line and len(killed) < 2:
            (ready,) = tmp_path.glob("*/config/data/run/worker.json")
            pid = json.loads(ready.read_text())["pid"]
            if pid not in killed:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)
                time.sleep(2)
    out, _ = demo.communicate(timeout=120)
    assert len(killed) == 2
    assert demo.returncode == 0
    balanced(json.loads(out))


def test_a_bank_that_hangs_at_the_end_is_exit_code_6(tmp_path: Path) -> None:
    """Nobody can say what it holds in time: that is not conservation."""
    demo = start(tmp_path, "--for", "3", "--rate", "20", "-o", "json")
    assert demo.stderr is not None
    for line in demo.stderr:
        if "approved" in line:
            break
    (bank,) = (
        process.name
        for process in Path("/proc").iterdir()
        if process.name.isdigit()
        and str(tmp_path).encode() in cmdline(process)
        and b"BANK01" in cmdline(process)
    )
    os.kill(int(bank), signal.SIGSTOP)
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 6, err
    assert "not at rest after 15 s" in err
    conservation = json.loads(out)["conservation"]
    assert not conservation["ok"]
    assert not conservation["rested"]
    assert wait_until_none(tmp_path, 2) == []


def test_a_killed_demonstration_leaves_nothing_running(tmp_path: Path) -> None:
    demo = start(tmp_path, "--rate", "50")
    assert demo.stderr is not None
    for line in demo.stderr:
        if "approved" in line:
            break
    assert len(list(alive(tmp_path))) >= 7
    demo.kill()
    demo.communicate()
    assert wait_until_none(tmp_path, 10) == []


def test_what_is_kept_holds_no_card_number(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    arguments = ("--for", "3", "--rate", "50", "--keep", str(kept))
    demo = start(tmp_path, *arguments)
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 0, err
    assert "the three ledgers agree" in out
    assert {"config", "ledgers", "logs"} <= {path.name for path in kept.iterdir()}
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert len(files) > 8
    found = [path for path in files if b"629900000000" in path.read_bytes()]
    assert found == []


def test_plain_cards_only(tmp_path: Path) -> None:
    demo = start(tmp_path, "--for", "3", "--rate", "50", "--tokens", "0", "-o", "json")
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 0, err
    summary = json.loads(out)
    balanced(summary)
    assert summary["taps"]["offered"] == 0
    assert "taps refused" not in err
