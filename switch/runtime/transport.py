"""One TCP connection: socket options, back-pressure both ways, caps, and its end. Nothing of what
is said on it.

**Back-pressure.** A peer that does not read fills the transport's write buffer. At
`WRITE_HIGH_BYTES` it is not read from any more (an acquirer then stops asking; a bank is left out
of the turns), and every further write is checked against the setting
`limits.write_buffer_bytes_max`, at which the connection is cut: our memory never grows with a
peer's sloth. Below the mark a write costs no check at all, because the driver's table of writers
holds `transport.write` itself.

The hot method, `data_received`, stands in the two subclasses (listener.py, dialer.py): one call
less per chunk.
"""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, cast

import structlog

from switch.model.tally import Tally
from switch.runtime.clock import monotonic_ns
from switch.runtime.gauges import REASONS, TLS
from switch.runtime.member import Hold
from switch.wire import Dialect, Framer, Guard, KeepAlive, Message

if TYPE_CHECKING:
    from switch.link.health import HealthRules
    from switch.runtime.arrivals import Arrivals
    from switch.runtime.driver import Driver
    from switch.runtime.faults import Faults
    from switch.runtime.terms import Terms

__all__ = ["WRITE_HIGH_BYTES", "Connection", "Paused"]

log = structlog.get_logger("link")

WRITE_HIGH_BYTES: Final = 65_536
"""Some 300 messages that the peer has not read."""
WRITE_LOW_BYTES: Final = 16_384
KEEPALIVE_IDLE_S: Final = 30
KEEPALIVE_INTERVAL_S: Final = 10
KEEPALIVE_PROBES: Final = 3
"""A peer that vanished without a word is found after a minute, also where no echo is agreed."""
USER_TIMEOUT_MS: Final = 30_000
"""Bytes that stay unacknowledged so long end the connection: keep-alive probes stop while data
is under way."""

_BYTES_ACKED: Final = 120
_TCP_INFO_BYTES: Final = 128

SEND_BUFFER_BYTES: Final = 262_144
"""The kernel's share for one peer; left to itself it grows to megabytes for a peer that does not
read."""

RECEIVE_BUFFER_BYTES: Final = 262_144
"""The same for what we do not read: with a peer that sends more than can be refused, what waits
there is a fraction of a second old at most, not the seconds that megabytes are."""

assert WRITE_LOW_BYTES < WRITE_HIGH_BYTES


class Paused:
    """Why a connection is not read from; bits, since reasons overlap."""

    PEER_DOES_NOT_READ: Final = 1
    QUEUE_FULL: Final = 2
    DRAINING: Final = 4
    RESTING: Final = 8


class _Member(Protocol):
    """What a connection knows of its institution."""

    index: int
    name: str
    connections_max: int
    connections: dict[int, "Connection"]
    hold: Hold
    faults: "Faults"
    arrivals: "Arrivals"


class Connection(asyncio.Protocol):
    """The part that acquirers' and banks' connections share.

    `open` says that financial traffic may pass (signed on, or a link without sign-on); `writable`
    that the peer reads. Both are plain attributes, since the walk reads them.
    """

    __slots__ = (
        "_acked",
        "_capped",
        "_feed",
        "_paused",
        "_stalled_ns",
        "dialect",
        "driver",
        "echoes",
        "ended",
        "fit",
        "framer",
        "guard",
        "last_received_ns",
        "leaving",
        "made_ns",
        "member",
        "on_trial",
        "open",
        "peer",
        "reason",
        "slot",
        "tally",
        "terms",
        "transport",
        "was_open",
        "writable",
    )

    def __init__(
        self,
        driver: "Driver",
        member: _Member,
        dialect: Dialect,
        frame_bytes_max: int,
        guard: Guard | None = None,
    ) -> None:
        self.driver = driver
        self.member = member
        self.dialect = dialect
        self.guard = guard
        self.framer = Framer(dialect, frame_bytes_max, guard)
        self._feed: Callable[[bytes, int], list[Message | Exception | KeepAlive]] = self.framer.feed
        self.slot = -1
        self.leaving = False
        """It is about to be closed by us: nothing new is sent on it."""
        self.terms: Terms | None = None
        """What it was made under; None where nobody asks."""
        self.open = False
        self.was_open = False
        self.writable = False
        self.peer = ""
        self.made_ns = 0
        self.last_received_ns = 0
        self.reason = ""
        self.transport: asyncio.Transport | None = None
        self.ended: asyncio.Event | None = None
        self.echoes: list[asyncio.Future[int]] = []
        """Who waits for the answer to our echo: its time in ns, -1 when there is none."""
        self._paused = 0
        self.fit = True
        """Of a bank: its line is trusted with new requests (`link.health`)."""
        self.on_trial = False
        self.tally = Tally()
        self._acked = -1
        self._stalled_ns = 0

    # ------------------------------------------------------------------------------ life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuses what is over the member's cap; else takes a slot of the gate and starts the
        session."""
        # uvloop's transports are no asyncio.Transport by class; they are by behaviour.
        transport = cast(asyncio.Transport, transport)
        self.transport = transport
        self.made_ns = self.last_received_ns = monotonic_ns()
        self.peer = _peer_name(transport)
        drained = self.driver.draining or self.member.hold is Hold.DRAINED
        if len(self.member.connections) >= self.member.connections_max or drained:
            self.driver.refused(self.member)
            self.reason = "draining" if drained else "connections_max"
            transport.abort()
            return
        _set_options(transport)
        high = min(WRITE_HIGH_BYTES, self.driver.write_buffer_bytes_max // 2)
        transport.set_write_buffer_limits(high=high, low=min(WRITE_LOW_BYTES, high // 2))
        self.writable = True
        self.slot = self.driver.attach(self, transport.write)
        self.member.connections[self.slot] = self
        log.info("link.up", member=self.member.name, slot=self.slot, peer=self.peer)
        self.started()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the slot back. The reason logged is ours where we closed it."""
        self.open = self.writable = False
        self.transport = None
        if self.slot >= 0:
            del self.member.connections[self.slot]
            reason = self.reason or _told(exc)
            log.info("link.down", member=self.member.name, slot=self.slot, reason=reason)
            self.driver.gauges.disconnected(self.member.name, reason)
            if REASONS.get(reason) == "protocol":
                self.member.arrivals.rubbish(monotonic_ns())
            self.echoed(-1)
            self.lost()
        if self.ended is not None:
            self.ended.set()

    def started(self) -> None:
        """The slot is there; says hello where the dialect wants it."""
        raise NotImplementedError

    def lost(self) -> None:
        """The connection has gone; the slot must be detached and what hung on it told to the
        engine."""
        raise NotImplementedError

    def shut(self) -> None:
        """Financial traffic may not pass any more."""
        self.open = False

    def tick(self, now_ns: int, now_s: int) -> None:
        """Timers of this connection, about once a second."""
        raise NotImplementedError

    def close(self, reason: str) -> None:
        """Flushes what was written and closes; `reason` is one of a few words of ours, for log
        and metric."""
        if self.transport is not None and not self.transport.is_closing():
            self.reason = self.reason or reason
            self.transport.close()

    def end_output(self) -> None:
        """Flushes what was written, then our end of stream; what still comes is thrown away until
        the peer ends too. Where TLS cannot end one direction alone, its goodbye does the same."""
        if self.transport is None or self.transport.is_closing():
            return
        if not self.transport.can_write_eof():
            self.close("drained")
            return
        with contextlib.suppress(RuntimeError, OSError):
            self.transport.write_eof()

    def abort(self, reason: str) -> None:
        """Drops what was written and closes."""
        if self.transport is not None:
            self.reason = self.reason or reason
            self.transport.abort()

    def echoed(self, took_ns: int) -> None:
        """Tells those who wait how long our echo took, -1: it was not answered."""
        for waiting in self.echoes:
            if not waiting.done():
                waiting.set_result(took_ns)
        self.echoes.clear()

    # --------------------------------------------------------------------- back-pressure

    def pause_writing(self) -> None:
        """The peer does not read: stop listening to it, and check every write from now on. The
        kernel has taken what it can, so one write that left more than the cap ends it at once."""
        self.writable = False
        self.driver.writers[self.slot] = self._write_capped
        if self.unread_bytes > self.driver.write_buffer_bytes_max:
            self.abort("does not read")
            return
        self.pause_reading(Paused.PEER_DOES_NOT_READ)
        self.driver.writability_changed(self)

    def resume_writing(self) -> None:
        """The peer has read what waited for it."""
        if self.transport is None:
            return
        self.writable = True
        self.driver.writers[self.slot] = self.transport.write
        self.resume_reading(Paused.PEER_DOES_NOT_READ)
        self.driver.writability_changed(self)

    def _write_capped(self, data: bytes) -> None:
        transport = self.transport
        if transport is None:
            return
        if transport.get_write_buffer_size() + len(data) > self.driver.write_buffer_bytes_max:
            self.abort("does not read")
            return
        transport.write(data)

    def pause_reading(self, why: int) -> None:
        """Not read from until every reason has gone."""
        if not self._paused and self.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.transport.pause_reading()
        self._paused |= why

    def resume_reading(self, why: int) -> None:
        """One reason has gone."""
        if not self._paused & why:
            return
        self._paused &= ~why
        if not self._paused and self.transport is not None and not self.transport.is_closing():
            with contextlib.suppress(RuntimeError):
                self.transport.resume_reading()

    @property
    def unread_bytes(self) -> int:
        """Written by us and not yet taken by the kernel, because the peer does not read."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    @property
    def health_state(self) -> str:
        """What is thought of a bank's line, in small letters; '' of others."""
        return ""

    def retune(self, rules: "HealthRules") -> None:
        """Other rules for a bank's line."""

    def stalled_ns(self, now_ns: int) -> int:
        """For how long bytes have waited of which the peer's system acknowledged none; call it
        regularly. It asks the system only while bytes wait."""
        if not self.unread_bytes:
            self._acked, self._stalled_ns = -1, 0
            return 0
        acked = _acknowledged(self.transport)
        if acked != self._acked or not self._stalled_ns:
            self._acked, self._stalled_ns = acked, now_ns
        return now_ns - self._stalled_ns

    @property
    def paused(self) -> int:
        """Bits of `Paused`."""
        return self._paused


def _told(exc: Exception | None) -> str:
    """The reason of an end that we did not bring about: a kind of error, never its text."""
    if exc is None:
        return "closed by the peer"
    if isinstance(exc, ssl.SSLError):
        return TLS + (exc.reason or "error").replace("_", " ").lower()
    return type(exc).__name__


def _peer_name(transport: asyncio.Transport) -> str:
    address = transport.get_extra_info("peername")
    if isinstance(address, tuple) and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    return "?"


def _acknowledged(transport: asyncio.Transport | None) -> int:
    """Bytes of ours that the peer's system has acknowledged since the connection began; 0 where
    the system does not tell.

    Source: tcpi_bytes_acked of struct tcp_info, Linux 4.1 and later.
    """
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sys.platform != "linux":
        return 0
    with contextlib.suppress(OSError):
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        if len(info) >= _TCP_INFO_BYTES:
            return int.from_bytes(info[_BYTES_ACKED:_TCP_INFO_BYTES], sys.byteorder)
    return 0


def _set_options(transport: asyncio.Transport) -> None:
    """No Nagle (one write is one message or a batch of them); a vanished peer is found."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    # A peer that is gone already makes these fail; connection_lost follows and says so.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
