"""A node of real processes for integration tests: configuration directory, start, ready, stop,
kill."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.peer import ACQUIRER_CODE, ROOT, until

__all__ = ["MakeNode", "Node"]

READY_S: Final = 60.0

SWITCH: Final = """\
[node]
institution_code = "62990"
data_dir = "data"
business_zone = "UTC"
cutover = "00:00"

[journal]
segment_mib = {segment_mib}
pending_mib = {segment_mib}

[limits]
duplicates_max = 4096
{limits}

[metrics]
listen = "127.0.0.1:0"

[[acquirers]]
id = "ACQ01"
institution_code = "{acquirer_code}"
listen = "127.0.0.1:0"
timeout_ms = 5000
terminal_timeout_ms = 6000
{acquirer}
"""

BANK: Final = """
[[issuers]]
id = "{name}"
institution_code = "2000{number}"
{where}
{deadline}
reversal_retry_ms = 150
reversal_retry_max_ms = 400
reconnect_min_ms = 20
reconnect_max_ms = 200
{more}
"""


class Node:
    """One node in a directory of its own. Banks are named BANK01, BANK02, …; cards 629900…,
    629901…"""

    environment: Mapping[str, str] = {}
    """Added to the next start's."""

    def __init__(
        self,
        directory: Path,
        banks: list[str],
        *,
        acquirer: str = "",
        bank: str = "",
        limits: str = "",
        deadline: str = "deadline_ms = 600",
        tokens: str = "",
        segment_mib: int = 2,
    ) -> None:
        """`banks`: an address to dial each, or "accept". The other texts are TOML lines put into
        their tables; `tokens` is a table of its own."""
        self.directory = directory
        self.data = directory / "data"
        self.output = directory / "output.txt"
        self.process: asyncio.subprocess.Process | None = None
        text = SWITCH.format(
            acquirer_code=ACQUIRER_CODE, acquirer=acquirer, limits=limits, segment_mib=segment_mib
        )
        routes = ""
        for number, where in enumerate(banks):
            at = (
                'mode = "accept"\nlisten = "127.0.0.1:0"'
                if where == "accept"
                else f'addresses = ["{where}"]'
            )
            name = f"BANK{number + 1:02d}"
            text += BANK.format(
                name=name, number=number + 1, where=at, more=bank, deadline=deadline
            )
            routes += f'[[routes]]\nprefix = "6299{number:02d}"\nissuer = "{name}"\n'
        text += tokens
        (directory / "switch.toml").write_text(text, encoding="utf-8")
        (directory / "routes").mkdir()
        (directory / "routes" / "cards.toml").write_text(routes, encoding="utf-8")
        (directory / "dialects").mkdir()
        spoken = {"iso87-ascii"} | set(re.findall(r'dialect = "([^"]+)"', text))
        for dialect in spoken:
            shutil.copy(ROOT / "config" / "dialects" / f"{dialect}.toml", directory / "dialects")

    @property
    def ready_file(self) -> Path:
        return self.data / "run" / "worker.json"

    def told(self) -> dict[str, Any]:
        """The ready file; empty while there is none."""
        with contextlib.suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))
            return told
        return {}

    @property
    def acquirer(self) -> str:
        """Where ACQ01 connects."""
        return str(self.told()["acquirers"]["ACQ01"])

    @property
    def worker_pid(self) -> int:
        return int(self.told()["pid"])

    def command(self) -> list[str]:
        """What starts this node."""
        return [sys.executable, "-m", "switch", "run", "--config", str(self.directory)]

    async def start(self) -> "Node":
        """Supervisor and worker; returns when the worker is ready."""
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            )
        process = self.process
        await until(
            lambda: bool(self.told()) or process.returncode is not None, READY_S, "worker ready"
        )
        assert process.returncode is None, self.text()
        return self

    def text(self) -> str:
        """Everything the processes have printed."""
        return self.output.read_text(encoding="utf-8")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Events of that name."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def opened(self, member: str) -> int:
        """How often a connection of `member` has become open for financial traffic."""
        return sum(event["member"] == member for event in self.events("link.open"))

    async def metrics(self) -> str:
        """Where the exporter answers; waits for it."""
        file = self.data / "run" / "exporter.json"
        await until(file.exists, READY_S, "exporter ready")
        return str(json.loads(file.read_text(encoding="utf-8"))["metrics"])

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(READY_S):
            return await self.process.wait()

    async def kill_worker(self) -> None:
        """SIGKILL to the worker; returns when the next one is ready."""
        before = self.worker_pid
        os.kill(before, signal.SIGKILL)
        await until(lambda: self.told().get("pid", before) != before, READY_S, "worker restarted")

    async def end(self) -> None:
        """Whatever the test did: nothing is left running."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


MakeNode = Callable[..., Node]
"""The fixture of tests/integration that makes nodes."""
