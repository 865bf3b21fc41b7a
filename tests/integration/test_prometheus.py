"""A real Prometheus scrapes a real node; a fault that is really there raises the right alert.

Rules are those of config/monitoring, hurried sixty times (`tests.support.monitoring.hurried` says
how). One node and one Prometheus serve the whole story: all well, bank that does not answer, bank
gone, worker gone.
"""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.debian import debian_tool
from tests.support.monitoring import write_hurried
from tests.support.node import MakeNode, Node
from tests.support.peer import Acquirer, Bank, purchase, until

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(180)]

FACTOR: Final = 60
WAIT_S: Final = 45.0
POLL_S: Final = 0.2
"""An alert is asked for: Prometheus tells nobody by itself without an alert manager."""

CONFIG: Final = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: tapswitch
    static_configs:
      - targets: ["{target}"]
"""


class Prometheus:
    """The server of Debian's package on a port of its own."""

    def __init__(self, directory: Path, target: str) -> None:
        self.directory = directory
        self.program = debian_tool("prometheus")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        rules = ", ".join(f'"{file}"' for file in write_hurried(directory, FACTOR))
        self.config = directory / "prometheus.yml"
        self.config.write_text(CONFIG.format(rules=rules, target=target), encoding="utf-8")
        self.output = directory / "prometheus.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                self.program,
                f"--config.file={self.config}",
                f"--storage.tsdb.path={self.directory / 'tsdb'}",
                f"--web.listen-address={self.address}",
                "--log.level=warn",
                stdout=output,
                stderr=output,
            )

    async def end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def ask(self, path: str) -> Any:
        """The `data` of an answer of its API; None while it does not answer."""

        def get() -> Any:
            try:
                with urllib.request.urlopen(f"http://{self.address}{path}", timeout=2) as reply:
                    return json.loads(reply.read())["data"]
            except OSError:
                return None

        return await asyncio.to_thread(get)

    async def sees(self, query: str) -> None:
        """Until the query gives something that is not zero."""
        for _ in range(int(WAIT_S / POLL_S)):
            data = await self.ask(f"/api/v1/query?query={query}")
            if any(float(each["value"][1]) for each in (data or {"result": []})["result"]):
                return
            await asyncio.sleep(POLL_S)
        raise AssertionError(f"Prometheus never saw {query}")

    async def firing(self) -> set[tuple[str, str]]:
        """Alerts that fire, each with the member or bank that it speaks of."""
        data = await self.ask("/api/v1/alerts")
        found = [a["labels"] for a in (data or {"alerts": []})["alerts"] if a["state"] == "firing"]
        return {(x["alertname"], x.get("member", x.get("issuer", ""))) for x in found}

    async def wait(self, met: Callable[[set[tuple[str, str]]], bool], what: str) -> None:
        """Until the firing alerts are as wanted."""
        seen: set[tuple[str, str]] = set()
        try:
            async with asyncio.timeout(WAIT_S):
                while not met(seen):
                    await asyncio.sleep(POLL_S)
                    seen = await self.firing()
        except TimeoutError:
            raise AssertionError(f"not within {WAIT_S} s: {what}; firing: {sorted(seen)}") from None


@pytest.fixture
async def watched(
    make_node: MakeNode, bank: Bank, tmp_path: Path
) -> AsyncIterator[tuple[Node, Bank, Prometheus]]:
    """A node with one bank, and a Prometheus that has scraped it."""
    node = await make_node([await bank.start()], deadline="deadline_ms = 300").start()
    prometheus = Prometheus(tmp_path, await node.metrics())
    await prometheus.start()
    try:
        yield node, bank, prometheus
    finally:
        await prometheus.end()


async def pay(acquirer: Acquirer, running: asyncio.Event) -> None:
    """Twenty purchases a second until told to stop; answers are taken as they come."""
    while running.is_set():
        acquirer.send("0200", purchase())
        await asyncio.sleep(0.05)


async def test_faults_raise_the_right_alerts(
    watched: tuple[Node, Bank, Prometheus],
) -> None:
    node, bank, prometheus = watched
    acquirer = await Acquirer.connect(node.acquirer)
    await until(lambda: node.opened("BANK01") == 2, what="bank signed on")
    running = asyncio.Event()
    running.set()
    paying = asyncio.ensure_future(pay(acquirer, running))

    # All well: it is scraped, traffic is seen, no alert speaks of members, money or processes.
    await prometheus.sees("sum(rate(tapswitch_transactions_total[3s]))")
    calm = {name for name, _ in await prometheus.firing()}
    faults = {"MemberDown", "SafStuck", "SafGrowing", "WorkerMissing", "JournalUnsafe"}
    assert calm & faults == set()

    # The bank stays connected and answers nothing: time-outs, and reversals that wait and grow.
    bank.silent = True
    bank.acknowledges = False
    wanted = {("IssuerTimeouts", "BANK01"), ("SafGrowing", "BANK01"), ("SafStuck", "BANK01")}
    seen: set[tuple[str, str]] = set()

    def all_seen(firing: set[tuple[str, str]]) -> bool:
        seen.update(firing & wanted)
        return seen == wanted

    await prometheus.wait(all_seen, f"{wanted} (seen: {seen})")
    running.clear()
    await paying

    # The bank goes: its member is down, and nobody says the acquirer were.
    await bank.stop()
    await prometheus.wait(lambda firing: ("MemberDown", "BANK01") in firing, "MemberDown BANK01")
    assert ("MemberDown", "ACQ01") not in await prometheus.firing()

    # The worker dies and nobody starts it anew.
    assert node.process is not None
    os.kill(node.process.pid, signal.SIGSTOP)
    os.kill(node.worker_pid, signal.SIGKILL)
    await prometheus.wait(lambda firing: ("WorkerMissing", "") in firing, "WorkerMissing")
    os.kill(node.process.pid, signal.SIGCONT)
    await prometheus.wait(lambda firing: ("WorkerMissing", "") not in firing, "worker restarted")


def worker_of(directory: Path) -> int:
    """Process id of the worker of the one node below a directory."""
    (ready,) = directory.rglob("run/worker.json")
    return int(json.loads(ready.read_text(encoding="utf-8"))["pid"])


async def test_the_demonstration_is_scraped_and_a_stopped_worker_is_missed(
    tmp_path: Path,
) -> None:
    """What `make demo` starts, from outside: its traffic, then a worker that stands still."""
    # The path of the gateway's socket lies deep in it, and has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="tsw") as short:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "switch", "demo", "--tokens", "1000",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"TMPDIR": short},
            start_new_session=True,
        )  # fmt: skip
        assert demo.stdout is not None
        told = b""
        async with asyncio.timeout(WAIT_S):
            while (found := re.search(rb"metrics at http://([^/]+)/metrics", told)) is None:
                told = await demo.stdout.readline()
                assert told, "the demonstration ended before it said where its metrics are"
        draining = asyncio.ensure_future(demo.stdout.read())
        prometheus = Prometheus(tmp_path, found[1].decode())
        await prometheus.start()
        try:
            await prometheus.sees("sum(rate(tapswitch_transactions_total[3s]))")
            await prometheus.sees("tapswitch_taps_genuine_total")
            assert ("WorkerMissing", "") not in await prometheus.firing()
            worker = worker_of(Path(short))
            os.kill(worker, signal.SIGSTOP)
            await prometheus.wait(lambda now: ("WorkerMissing", "") in now, "WorkerMissing")
            os.kill(worker, signal.SIGCONT)
            await prometheus.wait(lambda now: ("WorkerMissing", "") not in now, "worker goes on")
            demo.send_signal(signal.SIGINT)
            assert await demo.wait() in {0, 130}, (await draining)[-2_000:].decode()
        finally:
            await prometheus.end()
            if demo.returncode is None:
                os.killpg(demo.pid, signal.SIGKILL)
                await demo.wait()
            await draining
