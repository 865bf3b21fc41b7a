"""The connection of one terminal: a blocking socket, one request in flight, as real terminals have.

Under gevent the socket blocks its own user only.
"""

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Final

from switch.errors import FramingError
from switch.wire import Dialect, Framer, KeepAlive, Message

__all__ = ["BrokenError", "Line", "SilenceError"]

CONNECT_S: Final = 5.0
READ_BYTES: Final = 16 * 1024
MS: Final = 1e-9


class SilenceError(Exception):
    """No answer in time: the outcome is unknown."""


class BrokenError(Exception):
    """The connection has gone: the outcome of what was in flight is unknown."""


class Line:
    """Connects and signs on when it is first used, and again after it broke."""

    def __init__(self, dialect: Dialect, address: tuple[str, int], institution: str) -> None:
        self._dialect = dialect
        self._address = address
        self._institution = institution
        self._socket: socket.socket | None = None
        self._framer = Framer(dialect)
        self._stan = 0
        self.stale = 0
        """Answers to what was not asked any more."""

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> None:
        """Connects and signs on unless that is done. Raises: BrokenError, SilenceError."""
        if self._socket is not None:
            return
        try:
            self._socket = socket.create_connection(self._address, CONNECT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            self.close()
            raise BrokenError(f"no connection: {error.strerror or error}") from error
        self._framer = Framer(self._dialect)
        self._stan = self._stan % 999_999 + 1
        stan = f"{self._stan:06d}"
        values = {
            "transmission_time": time.strftime("%m%d%H%M%S", time.gmtime()),
            "stan": stan,
            "acquirer_code": self._institution,
            "network_code": "001",
        }
        frame = self._dialect.encode("0800", values)
        answer, _, _ = self.ask(
            frame, lambda message: message.mti == "0810" and message.get("stan") == stan, CONNECT_S
        )
        if answer.get("response_code") != "00":
            self.close()
            raise BrokenError(f"sign-on was answered {answer.get('response_code')}")

    def ask(
        self, frame: bytes, wanted: Callable[[Message], bool], timeout_s: float
    ) -> tuple[Message, int, int]:
        """Sends one frame and waits for its answer; the times of sending and of the answer in
        monotonic nanoseconds. Raises: BrokenError, SilenceError with the time of sending."""
        if self._socket is None:
            raise BrokenError("not connected")
        sent_ns = time.monotonic_ns()
        deadline_ns = sent_ns + int(timeout_s * 1e9)
        try:
            self._socket.sendall(frame)
            while True:
                left_s = (deadline_ns - time.monotonic_ns()) * MS
                if left_s <= 0:
                    raise SilenceError(f"no answer in {timeout_s:g} s", sent_ns)
                self._socket.settimeout(left_s)
                chunk = self._socket.recv(READ_BYTES)
                now_ns = time.monotonic_ns()
                if not chunk:
                    raise BrokenError("the switch closed the connection", sent_ns)
                found = self._read(chunk, now_ns, wanted)
                if found is not None:
                    return found, sent_ns, now_ns
        except TimeoutError:
            raise SilenceError(f"no answer in {timeout_s:g} s", sent_ns) from None
        except OSError as error:
            self.close()
            raise BrokenError(f"{error.strerror or error}", sent_ns) from error
        except (BrokenError, FramingError) as error:
            self.close()
            raise BrokenError(str(error.args[0]), sent_ns) from error

    def _read(self, chunk: bytes, now_ns: int, wanted: Callable[[Message], bool]) -> Message | None:
        found: Message | None = None
        for item in self._framer.feed(chunk, now_ns):
            if isinstance(item, Exception):
                raise BrokenError(f"an answer that cannot be read: {item}")
            if isinstance(item, KeepAlive):
                continue
            if item.mti == "0800":
                self._answer(item)
            elif found is None and wanted(item):
                found = item
            else:
                self.stale += 1
        return found

    def _answer(self, message: Message) -> None:
        """The switch's own echo."""
        names = ("transmission_time", "stan", "forwarder_code", "network_code")
        values = {name: value for name in names if (value := message.get(name)) is not None}
        assert self._socket is not None
        self._socket.sendall(self._dialect.encode("0810", values | {"response_code": "00"}))

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
