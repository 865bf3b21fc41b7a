"""How a simulator is steered: orders as JSON lines on stdin, one status line a second on stdout.

A steered simulator ends with its steerer: at the end of stdin, and by the kernel's parent-death
signal when the steerer is killed before it could close anything.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import switch
from switch.errors import OperatorError
from switch.wire import Dialect

__all__ = ["Recent", "announce", "die_with_parent", "load_dialect", "parse_address", "steer"]

_PR_SET_PDEATHSIG: Final = 1


def load_dialect(path: Path | None) -> Dialect:
    """Compiles a dialect file; without a path the one that acquirers and banks of the demonstration
    speak.
    """
    if path is None:
        path = (
            Path(switch.__file__).resolve().parent.parent
            / "config"
            / "dialects"
            / "iso87-ascii.toml"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"cannot read the dialect: {error.strerror}", file=str(path)) from error
    return Dialect.compile(text, str(path))


def parse_address(text: str) -> tuple[str, int]:
    """``host:port``. Raises OperatorError."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise OperatorError(f"{text!r} is not host:port", help="for example 127.0.0.1:15830")
    return host.strip("[]") or "127.0.0.1", int(port)


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent dies. Linux only, elsewhere without
    effect.
    """
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It died between start and prctl: no signal will come.
        os._exit(0)


def announce(event: str, **values: Any) -> None:
    """One JSON line on stdout."""
    sys.stdout.buffer.write(msgspec.json.encode({"event": event} | values) + b"\n")
    sys.stdout.buffer.flush()


class Recent:
    """Durations of the last second or so, for the screen; bounded, thinned by dropping what is too
    much.
    """

    KEPT_MAX: Final = 20_000

    def __init__(self) -> None:
        self._values: list[int] = []

    def add(self, value_us: int) -> None:
        if len(self._values) < self.KEPT_MAX:
            self._values.append(value_us)

    def take(self) -> tuple[int, int]:
        """p50 and p99 in µs since the last call, zeros when there was nothing; starts afresh."""
        values, self._values = sorted(self._values), []
        if not values:
            return 0, 0
        return values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]


async def steer(
    status: Callable[[], Mapping[str, Any]],
    orders: Mapping[str, Callable[[], None]],
    ready: Mapping[str, Any],
    *,
    steered: bool,
) -> None:
    """Says that it is ready, then runs until an order to stop, the end of stdin (when steered),
    SIGINT or SIGTERM.

    Known orders: those given, ``report`` (a status line now) and ``stop``. An order is a JSON line
    ``{"do": NAME}``; what is not understood is answered by an error line and changes nothing.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    announce("ready", **ready)

    def report() -> None:
        try:
            announce("status", **status())
        except BrokenPipeError:
            stop.set()

    known = {"report": report, "stop": stop.set} | dict(orders)

    async def listen() -> None:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            try:
                order = msgspec.json.decode(line)
                act = known[order["do"]]
            except (msgspec.DecodeError, KeyError, TypeError):
                announce("error", text=f"unknown order; known: {', '.join(sorted(known))}")
                continue
            act()
        stop.set()

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            report()

    tasks = [asyncio.create_task(tick())]
    if steered:
        tasks.append(asyncio.create_task(listen()))
    try:
        await stop.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
