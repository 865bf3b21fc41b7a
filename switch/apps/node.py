"""A whole node as a child process, seen from outside: started, found ready, read, ended.

Used by the demonstration and by load runs. It knows the node as an operator does: the command line,
the file that says what is ready, signals, and the journal, which may be read at any time.
"""

import asyncio
import contextlib
import ctypes
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from switch.apps.said import last_words
from switch.crypto.keyfile import open_keys
from switch.errors import OperatorError, UnreachableError
from switch.native import journal, meter
from switch.observe.percentiles import Percentiles
from switch.observe.place import meter_file
from switch.observe.totals import Totals
from switch.settings.load import load

__all__ = ["Node"]

READY_S: Final = 30.0
STOP_S: Final = 20.0
"""Longer than the node's own drain."""
METRICS_S: Final = 5.0
PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
"""Opened before any fork: a child between fork and exec must not load libraries."""


def _end_with_parent() -> None:
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Node:
    """`tapswitch run --config DIR`, once."""

    def __init__(self, config: Path, logs: Path) -> None:
        self._config = config
        self._settings = load(config)
        self._data = Path(self._settings.node.data_dir)
        self._log = logs / "switch.log"
        self._process: asyncio.subprocess.Process | None = None
        self._reader: journal.Reader | None = None
        self._meter = ""
        self.ours = Percentiles("tapswitch_internal_duration_seconds")
        """What the switch adds: first byte in to answer out, without the bank's share."""
        self.bank = Percentiles("tapswitch_upstream_duration_seconds")
        self._counts = Totals()

    @property
    def refused(self) -> dict[str, int]:
        """Taps that were refused, by reason."""
        return self._counts.by("tapswitch_tap_refusals_total", "reason")

    @property
    def genuine(self) -> int:
        """Taps that were proved."""
        return self._counts.of("tapswitch_taps_genuine_total")

    async def start(self) -> dict[str, Any]:
        """Starts it; returns its ready line. Raises OperatorError with the last line of its log."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "switch",
                "run",
                "--config",
                str(self._config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        ready = await self._ready()
        keys = open_keys(self._settings.keys.file, self._settings.keys.sealing_key_file)
        self._reader = journal.Reader.open(str(self._data / "journal" / ready["worker"]), keys)
        self._meter = str(meter_file(self._data, ready["worker"]))
        return ready

    async def _ready(self) -> dict[str, Any]:
        file = self._data / "run" / "worker.json"
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            self.check()
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                ready: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                if ready.get("ready"):
                    return ready
            await asyncio.sleep(0.05)
        raise UnreachableError(
            f"the switch is not ready after {READY_S:.0f} s", file=str(self._log)
        )

    async def metrics(self) -> str:
        """Where its exporter answers, "host:port"; empty when it does not say within `METRICS_S`,
        since a node serves without it."""
        file = self._data / "run" / "exporter.json"
        deadline = time.monotonic() + METRICS_S
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return str(json.loads(file.read_text(encoding="utf-8"))["metrics"])
            await asyncio.sleep(0.05)
        return ""

    def check(self) -> None:
        """Raises OperatorError when it has ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            said = last_words(self._log)
            raise OperatorError(
                f"the switch ended with exit code {self._process.returncode}"
                + (f": {said}" if said else ""),
                file=str(self._log),
            )

    def records(self, after: int) -> Iterator[Mapping[str, Any]]:
        """The journal's records behind LSN `after`, also while it is being written."""
        assert self._reader is not None
        return self._reader.records(after=after)

    def verify(self) -> list[dict[str, Any]]:
        """What `tapswitch journal verify` finds; for a node that has ended."""
        assert self._reader is not None
        return self._reader.verify()

    def look(self) -> None:
        """Takes in what the worker has counted; while it runs, since its meter file goes with
        it."""
        with contextlib.suppress(OSError):
            reader = meter.MeterReader.open(self._meter)
            self.ours.read(reader)
            self.bank.read(reader)
            self._counts.read(reader)

    async def stop(self) -> int:
        """SIGTERM, and its exit code; killed when it does not drain."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            await self.kill()
            return -int(signal.SIGKILL)

    async def kill(self) -> None:
        """Ends it at once, worker and all: they live on the life of their parent."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
