"""The instruments themselves: a switch that stands still for one second of thirty.

A thirtieth of all requests waits between 0 and 1 s, evenly, so p99 from due is 0.7 s: the hundredth
that waited longest was due in the first 0.3 s of the stop. A generator that waits for answers
before it asks again would report a few milliseconds, as locust does by itself. Nothing here is
about our speed.
"""

import asyncio
import csv
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from switch.apps.bench import ladder
from switch.apps.bench.ladder import Ladder, LadderPlan
from switch.apps.bench.search import Climb
from switch.apps.load import model
from switch.native import load
from tests.support.node import MakeNode
from tests.support.peer import ACQUIRER_CODE, until
from tests.support.tree import ROOT

RATE = 100
USERS = 20
"""Fewer than a hundredth of all requests, so that those in flight alone do not make p99: a user
that forgot what was due meanwhile would report milliseconds."""
MIX = f"""\
title = "steady"
arrivals = "even"
[terminal]
rate = {RATE / USERS}
"""
STOP_S = 1.0
SECONDS = 30
NEAR_S = (0.55, 0.95)
CLASH_MAX = 0.10


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_a_stop_of_one_second_shows_in_both_generators_and_they_agree(
    make_node: MakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether this machine is quiet enough to say something about speed does not matter here.
    monkeypatch.setattr(ladder, "fault_of", lambda *_: "")
    bank = load.Bank()
    node = await make_node(
        [bank.address],
        acquirer="connections_max = 256\necho_idle_s = 0",
        deadline="deadline_ms = 4000",
    ).start()
    out = tmp_path / "out"
    mix = tmp_path / "steady.toml"
    mix.write_text(MIX, encoding="utf-8")
    locust = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest", "--connect", node.acquirer, "--out", str(out)),
        *("--institution", ACQUIRER_CODE, "--mix", str(mix), "--headless"),
        *("-u", str(USERS), "-r", str(USERS), "-t", f"{SECONDS}s"),
        *("--fail-if", "p99(0200)>60s", "--csv", str(tmp_path / "stats")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = asyncio.create_task(locust.communicate())
    try:
        await until(lambda: said.done() or bank.seen()["requests"] > 0, 60, "locust asks")
        run = await measured(node.acquirer, tmp_path, node.worker_pid)
        text, _ = await asyncio.wait_for(said, 60)
    finally:
        if locust.returncode is None:
            locust.kill()
        bank.close()
    assert locust.returncode == 0, text.decode()
    ours = p99_s(run)
    theirs = p99_s(model.read(out)[0])
    assert NEAR_S[0] < ours < NEAR_S[1], (ours, theirs)
    assert NEAR_S[0] < theirs < NEAR_S[1], (ours, theirs)
    assert abs(ours - theirs) / max(ours, theirs) < CLASH_MAX, (ours, theirs)
    # What locust itself says, on its page and in its files, is the same.
    with (tmp_path / "stats_stats.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["Name"]: row for row in csv.DictReader(stream)}
    assert float(rows["0200 due"]["99%"]) / 1e3 == pytest.approx(theirs, rel=0.05)
    # From the time of sending the pause hides in locust: one request a terminal waits for it.
    hidden = p99_s(model.read(out)[0], "0200 sent")
    assert hidden < NEAR_S[0] / 2, hidden


async def measured(address: str, directory: Path, pid: int) -> model.Run:
    """The ladder's generator at one rate, the switch stopped in the middle."""
    plan = LadderPlan(
        climb=Climb(start=RATE, rate_max=RATE),
        step_s=SECONDS,
        warm_s=0.5,
        timeout_s=20.0,
        retries=0,
        arrivals="even",
        connections=8,
        connect=address,
        acquirer_code=ACQUIRER_CODE,
        thresholds=("p99(0200)>60s",),
    )
    under_way = threading.Event()
    climbing = Ladder(plan, lambda line: under_way.set() if "offered" in line else None)
    work = asyncio.create_task(asyncio.to_thread(climbing.run, directory / "ladder"))
    await asyncio.to_thread(under_way.wait, 60)
    await asyncio.sleep(6)
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(STOP_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    run, _ = await work
    return run


def p99_s(run: model.Run, name: str = "0200 due") -> float:
    """In seconds."""
    entry = next(one for one in run.entries if one.name == name)
    assert entry.p99_us is not None
    return entry.p99_us / 1e6


@pytest.mark.system
@pytest.mark.timeout(60)
async def test_a_stop_shows_in_two_generators_side_by_side(make_node: MakeNode) -> None:
    """`bench overload` offers its load so; a thirtieth of six seconds, and nobody is ahead."""
    bank = load.Bank()
    node = await make_node(
        [bank.address],
        acquirer="connections_max = 64\necho_idle_s = 0",
        deadline="deadline_ms = 4000",
    ).start()
    generators = [load.Generator(node.acquirer, 4, acquirer_code=ACQUIRER_CODE) for _ in range(2)]
    for one in generators:
        one.sign_on()
    schedules = (load.Schedule.constant(100, 6), load.Schedule.constant(100, 6))
    progress = load.Progress()
    work = asyncio.create_task(
        asyncio.to_thread(
            generators[0].open_both,
            generators[1],
            schedules,
            warm_ms=0,
            timeout_ms=5_000,
            record_ms=100,
            progress=progress,
        )
    )
    await until(lambda: progress.seen()[0] > 200, 30, "half way")
    os.kill(node.worker_pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(STOP_S / 5)
    finally:
        os.kill(node.worker_pid, signal.SIGCONT)
    outcomes = await work
    for outcome in outcomes:
        assert outcome["clean"]
        p99 = outcome["recording"].due.total().quantile(0.99) / 1e9
        assert NEAR_S[0] / 5 < p99 < NEAR_S[1] / 5 + 0.1, p99
    for one in generators:
        one.close()
    bank.close()
