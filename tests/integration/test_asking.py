"""Operators ask a running node, and one that is dead, what happened."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import MakeNode
from tests.support.peer import Acquirer, Bank, purchase, until


async def ask(config: Path, *words: str) -> tuple[int, str]:
    """A command in a process of its own: (exit code, stdout)."""
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "switch", *words, "--config", str(config),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await made.communicate()
    assert made.returncode is not None
    return made.returncode, out.decode()


async def asked(config: Path, *words: str) -> Any:
    code, out = await ask(config, *words, "-o", "json")
    assert code == 0, out
    return json.loads(out)


def alive(pid: int) -> bool:
    """False when the process has gone; one that nobody has waited for yet has gone too."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_node_is_asked_while_it_runs_and_after_it_died(
    make_node: MakeNode, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a dead node left in memory is swept by the next start of any, one of a test beside this
    # one too. Here it is nobody else's.
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "runtime"))
    node = await make_node([await bank.start()], deadline="deadline_ms = 4_500").start()
    acquirer = await Acquirer.connect(node.acquirer)
    values = purchase(4200)
    assert (await acquirer.ask(values)).get("response_code") == "00"
    config = node.directory

    board, traced, (_, tailed) = await asyncio.gather(
        asked(config, "top", "--once", "--interval", "0.5"),
        asked(config, "trace", str(values["rrn"])),
        ask(config, "tail", "--from-start", "--for", "0s", "--where", "code == 00", "-o", "json"),
    )
    assert board["worker"] == "running"
    assert {row["state"] for row in board["members"]} == {"signed on"}
    (life,) = traced["transactions"]
    whats = [event["what"] for event in life["events"]]
    assert whats == ["received", "accepted", "sent", "replied", "answered", "told"]
    times = [event["at_us"] for event in life["events"][:5]]
    assert times == sorted(times)
    assert life["route"].endswith("digits)")
    (row,) = map(json.loads, tailed.splitlines())
    assert (row["id"], row["code"]) == (life["id"], "00")

    bank.silent = True
    second = purchase(77, serial=9)
    acquirer.send("0200", second)
    await until(lambda: len(bank.requests) == 2, what="the request in flight")
    worker = node.worker_pid
    assert node.process is not None
    # Held first: a supervisor that dies tells its worker to end in order, and one that lives starts
    # the next.
    node.process.send_signal(signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    node.process.kill()
    await until(lambda: not alive(worker), what="the end of the worker")
    told = await asked(config, "trace", str(second["rrn"]))
    (open_one,) = told["transactions"]
    assert open_one["outcome"] == "in flight"
    assert any("no outcome is recorded" in gap for gap in open_one["gaps"])
    code, out = await ask(config, "top", "--once", "--interval", "0.2")
    assert code == 4
    assert "THE WORKER IS DEAD" in out
