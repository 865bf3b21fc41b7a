"""A simulator as a process: ready, steered, reporting, and gone when it should be."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from switch.sim.ledger import read_bookings, read_sales

pytestmark = pytest.mark.system


def issuer(tmp_path: Path, name: str = "BANK01") -> list[str]:
    where = ["--listen", "127.0.0.1:0", "--ledger", str(tmp_path / f"{name}.jsonl")]
    what = ["--institution-code", "00000020001", "--prefix", "629901", "--fast-ms", "1", "5"]
    return ["issuer", "--name", name, *what, *where, "--steered"]


@contextmanager
def process(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "switch", "sim", *arguments]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def event(child: subprocess.Popen[bytes], kind: str) -> dict[str, Any]:
    """The next line of this kind."""
    assert child.stdout is not None
    for line in child.stdout:
        told: dict[str, Any] = json.loads(line)
        if told["event"] == kind:
            return told
    raise AssertionError(f"ended without {kind!r}")


def order(child: subprocess.Popen[bytes], name: str) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps({"do": name}).encode() + b"\n")
    child.stdin.flush()


def test_orders_are_obeyed_and_others_are_named(tmp_path: Path) -> None:
    with process(issuer(tmp_path)) as bank:
        assert event(bank, "ready")["listen"][0] == "127.0.0.1"
        order(bank, "report")
        assert not event(bank, "status")["healed"]
        order(bank, "heal")
        order(bank, "dance")
        assert "heal, report, stop" in event(bank, "error")["text"]
        order(bank, "report")
        assert event(bank, "status")["healed"]
        order(bank, "stop")
        assert bank.wait(5) == 0
    assert list(read_bookings(tmp_path / "BANK01.jsonl")) == []


def test_it_reports_once_a_second_unasked(tmp_path: Path) -> None:
    with process(issuer(tmp_path)) as bank:
        event(bank, "ready")
        began = time.monotonic()
        event(bank, "status")
        event(bank, "status")
        assert 1.5 < time.monotonic() - began < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it(tmp_path: Path, number: signal.Signals) -> None:
    with process(issuer(tmp_path)) as bank:
        event(bank, "ready")
        bank.send_signal(number)
        assert bank.wait(5) == 0


def test_the_end_of_its_orders_stops_it(tmp_path: Path) -> None:
    with process(issuer(tmp_path)) as bank:
        event(bank, "ready")
        assert bank.stdin is not None
        bank.stdin.close()
        assert bank.wait(5) == 0
        bank.stdin = None


def test_it_dies_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    """The starter passes its orders on from a pipe that outlives it: only the kernel can tell."""
    reader, writer = os.pipe()
    script = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({[sys.executable, '-m', 'switch', 'sim', *issuer(tmp_path)]!r},"
        f" stdin={reader}, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, pass_fds=(reader,)
    )
    try:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
        starter.communicate()
        deadline = time.monotonic() + 5
        while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < deadline:
            # An orphan that nobody waits for stays as a zombie: that is gone enough.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.02)
        else:
            assert not Path(f"/proc/{pid}/stat").exists()
    finally:
        starter.kill()
        os.close(reader)
        os.close(writer)


def test_a_fleet_pauses_and_comes_to_rest(tmp_path: Path) -> None:
    with process(issuer(tmp_path)) as bank:
        host, port = event(bank, "ready")["listen"]
        where = ["--connect", f"{host}:{port}", "--ledger", str(tmp_path / "ACQ01.jsonl")]
        what = ["--institution-code", "00000010001", "--prefix", "629901", "--rate", "100"]
        alone = ["--terminals", "1", "--mixture", "approving", "--seed", "5"]
        with process(["terminal", "--name", "ACQ01", *what, *where, *alone, "--steered"]) as fleet:
            event(fleet, "ready")
            assert event(fleet, "status")["connected"] == 4
            order(fleet, "pause")
            time.sleep(0.2)
            order(fleet, "report")
            status = event(fleet, "status")
            # What was offered before the pause may still wait for its bank: rest comes by itself.
            deadline = time.monotonic() + 10
            while status["offering"] or status["in_flight"]:
                assert time.monotonic() < deadline, "the fleet does not come to rest"
                status = event(fleet, "status")
            assert status["approved"] == status["offered"] > 0
            order(fleet, "stop")
            assert fleet.wait(5) == 0
        order(bank, "heal")
        order(bank, "report")
        books = event(bank, "status")
        while not books["healed"]:
            books = event(bank, "status")
        assert books["holds"] == status["approved"]
    lines = list(read_sales(tmp_path / "ACQ01.jsonl"))
    assert len(lines) == 2 * status["offered"]


def test_a_switch_that_is_not_there_is_exit_code_4(tmp_path: Path, unused_tcp_port: int) -> None:
    where = ["--connect", f"127.0.0.1:{unused_tcp_port}", "--ledger", str(tmp_path / "l.jsonl")]
    what = ["--institution-code", "00000010001", "--prefix", "629901"]
    with process(["terminal", "--name", "ACQ01", *what, *where]) as fleet:
        assert fleet.wait(20) == 4


def test_a_ledger_that_exists_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "BANK01.jsonl").touch()
    with process(issuer(tmp_path)) as bank:
        assert bank.wait(5) == 3
        assert bank.stderr is not None
        assert b"BANK01.jsonl" in bank.stderr.read()
