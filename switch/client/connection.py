"""One TCP connection of a peer of the switch: frames in and out, nothing matched."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, cast

from switch.errors import FramingError
from switch.wire import Dialect, Framer, KeepAlive, Message

__all__ = ["Connection"]

WRITE_BUFFER_MAX: Final = 4 * 1024 * 1024
"""A peer that does not read is given up at this many unsent bytes: memory stays bounded."""


class Connection(asyncio.Protocol):
    """Hands every decoded message to `on_message`; says once through `on_lost` that it has gone."""

    def __init__(
        self,
        dialect: Dialect,
        on_message: Callable[["Connection", Message], None],
        on_lost: Callable[["Connection"], None],
    ) -> None:
        self._framer = Framer(dialect)
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self.signed_on = False
        self.undecodable = 0
        """Frames of the peer that this dialect cannot read."""

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            items = self._framer.feed(data, time.monotonic_ns())
        except FramingError:
            self.undecodable += 1
            self.close()
            return
        for item in items:
            if isinstance(item, Exception):
                self.undecodable += 1
            elif isinstance(item, KeepAlive):
                self.send(item.answer)
            else:
                self._on_message(self, item)

    def connection_lost(self, error: Exception | None) -> None:
        self.signed_on = False
        self._transport = None
        self._on_lost(self)

    def send(self, frame: bytes) -> bool:
        """Hands one frame to the socket. False when the connection has gone: the frame was not
        sent.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() > WRITE_BUFFER_MAX:
            self._transport.abort()
            return False
        self._transport.write(frame)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
