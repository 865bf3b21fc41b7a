"""What passes from a worker to the next: its listening sockets, kept open by the supervisor, and
the moment at which one ends and the other begins.

Supervisor and worker hold the ends of a socket pair of messages. The worker gives its listeners
(their descriptors) whenever they change; whoever connects while no worker runs, because it was
replaced or because it died, waits in the kernel's queue instead of being refused. A worker that is
ordered to make way says so; the supervisor starts the next one first, and only when that one stands
ready, everything read and checked but the journal, does the first one begin to drain. A next one
that cannot start ends nobody.

The supervisor holds sockets, never bytes of theirs: it accepts nothing.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from switch.errors import OrderError

__all__ = ["Estate", "Heir", "inherited", "pair"]

MESSAGE_BYTES_MAX: Final = 4_096
DESCRIPTORS_MAX: Final = 16
"""Addresses of one member: one, or one a family of a host name."""
GIVE_S: Final = 1.0
REPLACE_S: Final = 60.0
"""How long the next worker may take to stand ready."""


class _Message(msgspec.Struct, omit_defaults=True):
    """One message of either side."""

    keep: str = ""
    """The member whose listeners come with this message."""
    first: bool = False
    """What was given before counts no more."""
    last: bool = False
    replace: bool = False
    """The worker asks to be replaced."""
    going: bool = False
    """The next one stands ready: drain."""
    refused: str = ""


_decode: Final = msgspec.json.Decoder(_Message).decode


def pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the worker's. Messages stay whole."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def inherited(words: Iterable[str]) -> dict[str, list[socket.socket]]:
    """Listeners by member, of arguments ``NAME=FD``."""
    found: dict[str, list[socket.socket]] = {}
    for word in words:
        name, _, number = word.rpartition("=")
        one = socket.socket(fileno=int(number))
        one.setblocking(False)
        found.setdefault(name, []).append(one)
    return found


class Heir:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.settimeout(GIVE_S)
        self._asked: asyncio.Future[str] | None = None

    def give(self, listeners: Mapping[str, Sequence[Any]]) -> None:
        """These are all listeners now. A supervisor that has gone does not matter: its end ends us
        in another way."""
        messages = [(_Message(keep=name), sockets) for name, sockets in listeners.items()]
        messages = messages or [(_Message(), [])]
        messages[0][0].first = messages[-1][0].last = True
        with contextlib.suppress(OSError):
            for message, sockets in messages:
                numbers = [one.fileno() for one in sockets][:DESCRIPTORS_MAX]
                socket.send_fds(self._socket, [msgspec.json.encode(message)], numbers)

    async def replace(self) -> None:
        """Returns when the next worker stands ready. Raises: OrderError."""
        if self._asked is not None:
            raise OrderError("a replacement is under way already")
        loop = asyncio.get_running_loop()
        self._asked = loop.create_future()
        loop.add_reader(self._socket.fileno(), self._answered)
        try:
            self._socket.send(msgspec.json.encode(_Message(replace=True)))
            async with asyncio.timeout(REPLACE_S):
                refused = await self._asked
        except (OSError, TimeoutError):
            refused = "the supervisor does not answer"
        finally:
            loop.remove_reader(self._socket.fileno())
        if refused:
            self._asked = None
            raise OrderError(
                f"the worker stays: {refused}", help="the node's log has more; nothing was changed"
            )

    def _answered(self) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = self._socket.recv(MESSAGE_BYTES_MAX)
        if self._asked is not None and not self._asked.done():
            told = _decode(data) if data else _Message(refused="the supervisor has gone")
            self._asked.set_result(told.refused)


class Estate:
    """The supervisor's end: listeners between two workers."""

    def __init__(self) -> None:
        self._kept: dict[str, list[int]] = {}
        self._coming: dict[str, list[int]] = {}
        self._closed = False

    @property
    def descriptors(self) -> list[int]:
        """To be passed to the next worker."""
        return [number for numbers in self._kept.values() for number in numbers]

    @property
    def arguments(self) -> list[str]:
        """What tells the next worker which is which."""
        words = [f"{name}={number}" for name, numbers in self._kept.items() for number in numbers]
        return [part for word in words for part in ("--listening", word)]

    def attend(self, end: socket.socket, on_replace: Callable[[], None]) -> None:
        """Takes what a worker gives from now on, until its end closes."""
        end.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(end.fileno(), self._read, end, on_replace)

    def leave(self, end: socket.socket) -> None:
        """That worker has ended. What it gave stays."""
        asyncio.get_running_loop().remove_reader(end.fileno())
        self._read(end, lambda: None)
        end.close()

    def close(self) -> None:
        """Nobody comes after: whoever connects is refused from now on."""
        self._closed = True
        for number in (*self.descriptors, *(n for ns in self._coming.values() for n in ns)):
            os.close(number)
        self._kept, self._coming = {}, {}

    @staticmethod
    def answer(end: socket.socket, refused: str = "") -> None:
        """To `Heir.replace`."""
        message = _Message(refused=refused) if refused else _Message(going=True)
        with contextlib.suppress(OSError):
            end.send(msgspec.json.encode(message))

    def _read(self, end: socket.socket, on_replace: Callable[[], None]) -> None:
        while True:
            try:
                data, numbers, _, _ = socket.recv_fds(end, MESSAGE_BYTES_MAX, DESCRIPTORS_MAX)
            except OSError:
                return
            if not data:
                asyncio.get_running_loop().remove_reader(end.fileno())
                return
            message = _decode(data)
            if message.replace:
                on_replace()
                continue
            self._take(message, numbers)

    def _take(self, message: _Message, numbers: list[int]) -> None:
        if message.first:
            self._forget(self._coming)
            self._coming = {}
        if message.keep:
            self._coming.setdefault(message.keep, []).extend(numbers)
        if message.last:
            self._forget(self._kept)
            self._kept, self._coming = self._coming, {}
        if self._closed:
            self.close()

    @staticmethod
    def _forget(listeners: Mapping[str, list[int]]) -> None:
        for numbers in listeners.values():
            for number in numbers:
                os.close(number)
