"""The systemd unit: it is one, it scores well, and a whole node runs under what it takes away.

Where no systemd is process 1 the unit's own lines are applied by tests/support/sandbox.py: system
call filter, write-or-execute, address families, capabilities, limits, user and process namespaces,
read-only system. Not applied there: PrivateDevices, DevicePolicy, ProtectClock (a device list),
PrivateTmp, ProtectHome, and that the user is another one.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from switch.control.tokens import connect
from switch.settings.load import load
from switch.tokens import orders
from tests.support.debian import debian_tool
from tests.support.node import Node
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.sandbox import UNIT, allowed_calls, command, library_path, unit
from tests.support.tree import ROOT
from tests.support.vault import BY, provision

SCORE_MAX = 2.0
TOKENS = """
[tokens]
ranges = [{ prefix = "629950", length = 16 }]
"""
PROBES = {
    "write and execute": "import mmap; mmap.mmap(-1, 4096, prot=7)",
    "another namespace": "import ctypes; e(ctypes.CDLL(None, use_errno=True).unshare(0x10000000))",
    "raw packets": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "tracing": "import ctypes; e(ctypes.CDLL(None, use_errno=True).ptrace(0, 0, 0, 0))",
    "another user": "import os; os.setuid(1)",
    "a set-uid file": "import os; open('probe', 'w').close(); os.chmod('probe', 0o4755)",
    "the system's files": "open('/etc/tapswitch-probe', 'w')",
    "a core": "import resource; resource.setrlimit(resource.RLIMIT_CORE, (1, 1))",
}
WITH_E = "import os\ndef e(got):\n    if got < 0: raise PermissionError\n"


@pytest.fixture(scope="module")
def analyze() -> str:
    return debian_tool("systemd-analyze", "systemd")


@pytest.fixture(scope="module")
def environment(analyze: str) -> dict[str, str]:
    root = ROOT / ".cache" / "debian" / "root"
    return library_path(root) if Path(analyze).is_relative_to(root) else dict(os.environ)


def test_unit_is_one_and_names_nothing_unknown(
    analyze: str, environment: dict[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "opt" / "bin" / "tapswitch"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    copy = tmp_path / "tapswitch.service"
    text = UNIT.read_text("utf-8").replace("/opt/tapswitch/bin/tapswitch", str(program))
    copy.write_text(text, encoding="utf-8")
    verified = subprocess.run(
        [analyze, "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    copy.write_text(text.replace("NoNewPrivileges=", "NoNewPrivilege="), encoding="utf-8")
    wrong = subprocess.run(
        [analyze, "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert "NoNewPrivilege" in wrong.stderr


def test_exposure_is_scored_under_two(analyze: str, environment: dict[str, str]) -> None:
    told = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    found = re.search(r"Overall exposure level for tapswitch.service: ([0-9.]+)", told.stdout)
    assert found, told.stdout + told.stderr
    assert float(found[1]) < SCORE_MAX


def test_files_beside_the_unit_make_what_it_names() -> None:
    place = UNIT.parent
    user = unit("User")[0]
    assert f"u {user} " in (place / "tapswitch.sysusers").read_text("utf-8")
    made = (place / "tapswitch.tmpfiles").read_text("utf-8")
    assert f"d /var/lib/{unit('StateDirectory')[0]} {unit('StateDirectoryMode')[0]} {user}" in made
    for line in made.splitlines():
        if line.startswith("d "):
            assert line.split()[2] in {"0750", "0700"}


class Confined(Node):
    """A node under the unit's restrictions."""

    calls: frozenset[str] = frozenset()

    def command(self) -> list[str]:
        return command(self.calls, self.directory, super().command())

    @property
    def supervisor(self) -> int:
        """Process 1 of its own world."""
        assert self.process is not None
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()[0])


def worker_of(supervisor: int) -> tuple[int, dict[str, str]]:
    """Process id of the worker, as we see it, and its status."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text("ascii").split()
    worker = next(
        pid
        for pid in children
        if b"switch.apps.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    lines = Path(f"/proc/{worker}/status").read_text("ascii").splitlines()
    return int(worker), dict(line.split(":\t", 1) for line in lines if ":\t" in line)


async def test_node_runs_under_the_restrictions(
    analyze: str, environment: dict[str, str], tmp_path: Path, bank: Bank
) -> None:
    """Sales, a token, a reload, metrics, a worker killed and started anew, and an end in order."""
    directory = tmp_path / "node"
    directory.mkdir()
    node = Confined(directory, [await bank.start()], tokens=TOKENS)
    node.calls = frozenset(allowed_calls(analyze, environment))
    try:
        await node.start()
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        metrics = await node.metrics()
        await until((node.data / "run" / "gateway.json").exists, 20, "gateway")
        async with connect(load(directory)) as tokens:
            shown = await tokens.perform(orders.Issue(by=BY, provision=provision(1)))
        assert isinstance(shown, orders.Shown)
        page = await asyncio.to_thread(lambda: urlopen(f"http://{metrics}/metrics").read())
        assert b"tapswitch_transactions_total" in page
        supervisor = node.supervisor
        worker, told = worker_of(supervisor)
        assert (told["CapBnd"], told["CapEff"], told["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
        assert (told["Seccomp"], told["Seccomp_filters"]) == ("2", "2")
        assert int(told["VmLck"].split()[0]) > 0, "keys are locked into memory"
        os.kill(supervisor, signal.SIGHUP)
        await until(lambda: bool(node.events("config.reloaded")), 10, "reload")
        before = node.told()
        os.kill(worker, signal.SIGKILL)
        await until(lambda: node.told() not in ({}, before), 20, "a new worker")
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        os.kill(node.supervisor, signal.SIGTERM)
        async with asyncio.timeout(20):
            assert node.process is not None
            assert await node.process.wait() == 0
        assert "ermission" not in node.text()
        assert "not permitted" not in node.text()
        assert not node.events("audit.unusable")
    finally:
        if node.process is not None and node.process.returncode is None:
            os.kill(node.supervisor, signal.SIGKILL)
        await node.end()
        print(node.text()[-5_000:])  # noqa: T201 - shown when the test fails


def test_the_restrictions_are_really_there(
    analyze: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Else the test above would show nothing: what the unit forbids fails, what it leaves works."""
    script = f"{WITH_E}os.chdir({str(tmp_path)!r})\nopen('mine', 'w').close()\n"
    for what, probe in PROBES.items():
        tried = f"try:\n    {probe}\n    print({what!r})\nexcept (OSError, ValueError): pass\n"
        script += tried
    calls = allowed_calls(analyze, environment)
    assert len(calls) > 250
    ran = subprocess.run(
        command(calls, tmp_path, [sys.executable, "-c", script]),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (tmp_path / "mine").exists()
