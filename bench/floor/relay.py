"""The floor: a uvloop relay between terminals and a bank that only rewrites the STAN.

It is what any switch on this loop has to pay: read, cut frames, keep one table entry a request,
write. Writes are joined per peer and tick, because uvloop makes one system call of each. With
`--journal` every request and every answer waits for a durable record of the product's own journal:
the **durable floor**.

It runs as a process of its own (`python -m bench.floor.relay`), prints one JSON line when it
listens, and ends when its standard input is closed.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
from collections import deque
from typing import Final, Protocol, cast

import uvloop

__all__ = ["Relay"]

PREFIX: Final = 2
"""Bytes of the length before a body, big-endian."""
STAN_BYTES: Final = 6
STAN_MAX: Final = 999_999


class Log(Protocol):
    """A journal as the relay needs it: see `switch.native.load.Recorder`."""

    def accepted(self) -> int: ...
    def answered(self) -> int: ...
    def commit(self) -> int: ...
    def acknowledge(self) -> int: ...
    @property
    def fileno(self) -> int: ...


class Peer(asyncio.Protocol):
    """One connection: cuts frames, collects what is to be written in this tick."""

    __slots__ = ("out", "relay", "rest", "transport")

    def __init__(self, relay: "Relay") -> None:
        self.relay = relay
        self.rest = b""
        self.out: list[bytes | bytearray] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def whole(self, data: bytes) -> tuple[bytes, list[int]]:
        """Data that ends with a whole frame, and where its frames begin; the rest waits."""
        if self.rest:
            data = self.rest + data
            self.rest = b""
        starts = []
        at, end = 0, len(data)
        while at + PREFIX <= end:
            following = at + PREFIX + (data[at] << 8 | data[at + 1])
            if following > end:
                break
            starts.append(at)
            at = following
        if at < end:
            self.rest = data[at:]
            data = data[:at]
        return data, starts


class Terminal(Peer):
    """An acquirer's connection."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        data, starts = self.whole(data)
        if starts:
            self.relay.forward(self, data, starts)


class Bank(Peer):
    """A connection to the bank."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        data, starts = self.whole(data)
        if starts:
            self.relay.answer(data, starts)


class Relay:
    """Own STAN to (terminal, its STAN); nothing else is remembered."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stan_offset: int, log: Log | None) -> None:
        self.loop = loop
        self.banks: list[Bank] = []
        self.turn = 0
        self.stan = 0
        self.stan_offset = stan_offset
        self.waiting: dict[bytes, tuple[Terminal, bytes]] = {}
        self.dirty: list[Peer] = []
        self.log = log
        self.held: deque[tuple[int, Peer, bytes | bytearray]] = deque()
        self.committing = False
        if log is not None:
            loop.add_reader(log.fileno, self.synced)

    def forward(self, terminal: Terminal, data: bytes, starts: list[int]) -> None:
        """A chunk of requests, STANs rewritten in place, to one bank connection in turn."""
        chunk = bytearray(data)
        offset, stan, waiting, log = self.stan_offset, self.stan, self.waiting, self.log
        lsn = 0
        for start in starts:
            at = start + offset
            stan = stan % STAN_MAX + 1
            own = b"%06d" % stan
            waiting[own] = (terminal, data[at : at + STAN_BYTES])
            chunk[at : at + STAN_BYTES] = own
            if log is not None:
                lsn = log.accepted()
        self.stan = stan
        self.turn = (self.turn + 1) % len(self.banks)
        self.put(lsn, self.banks[self.turn], chunk)

    def answer(self, data: bytes, starts: list[int]) -> None:
        """Answers go back to their terminals, STANs restored; unasked ones are dropped."""
        offset, waiting, log = self.stan_offset, self.waiting, self.log
        lsn = 0
        for start, following in zip(starts, [*starts[1:], len(data)], strict=True):
            own = data[start + offset : start + offset + STAN_BYTES]
            found = waiting.pop(own, None)
            if found is None:
                continue
            terminal, stan = found
            behind = start + offset + STAN_BYTES
            frame = data[start : start + offset] + stan + data[behind:following]
            if log is not None:
                lsn = log.answered()
            self.put(lsn, terminal, frame)

    def put(self, lsn: int, peer: Peer, data: bytes | bytearray) -> None:
        if self.log is not None:
            self.held.append((lsn, peer, data))
            if not self.committing:
                self.committing = True
                self.loop.call_soon(self.commit)
            return
        if not self.dirty:
            self.loop.call_soon(self.flush)
        if not peer.out:
            self.dirty.append(peer)
        peer.out.append(data)

    def commit(self) -> None:
        """Once a tick."""
        assert self.log is not None
        self.committing = False
        durable = self.log.commit()
        if durable:
            self.release(durable)

    def synced(self) -> None:
        """The journal's descriptor is readable."""
        assert self.log is not None
        self.release(self.log.acknowledge())

    def release(self, durable: int) -> None:
        """What is durable may go."""
        held = self.held
        while held and held[0][0] <= durable:
            _, peer, data = held.popleft()
            if not peer.out:
                self.dirty.append(peer)
            peer.out.append(data)
        self.flush()

    def flush(self) -> None:
        """One write a peer; a peer that has gone is a sink."""
        dirty, self.dirty = self.dirty, []
        for peer in dirty:
            out, peer.out = peer.out, []
            if peer.transport is not None:
                peer.transport.write(out[0] if len(out) == 1 else b"".join(out))


async def serve(arguments: argparse.Namespace, log: Log | None) -> None:
    loop = asyncio.get_running_loop()
    relay = Relay(loop, arguments.stan_offset, log)
    host, _, port = arguments.bank.rpartition(":")
    for _ in range(arguments.bank_connections):
        _, bank = await loop.create_connection(lambda: Bank(relay), host, int(port))
        relay.banks.append(bank)
    server = await loop.create_server(lambda: Terminal(relay), "127.0.0.1", 0)
    ended = asyncio.Event()

    def parent() -> None:
        if not os.read(sys.stdin.fileno(), 64):
            ended.set()

    loop.add_reader(sys.stdin.fileno(), parent)
    listening = server.sockets[0].getsockname()
    print(json.dumps({"address": f"{listening[0]}:{listening[1]}", "pid": os.getpid()}), flush=True)  # noqa: T201
    await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A relay: the floor of the benchmarks.")
    parser.add_argument("--bank", required=True, help="host:port")
    parser.add_argument("--bank-connections", type=int, default=4)
    parser.add_argument("--stan-offset", type=int, required=True, help="of field 11 in a frame")
    parser.add_argument("--journal", help="directory: every message waits for a durable record")
    arguments = parser.parse_args()
    # Nothing here makes cycles, and a pause of the collector would be charged to the floor.
    gc.disable()
    if arguments.journal is None:
        uvloop.run(serve(arguments, None))
        return
    from bench.floor.durable import open_log

    with open_log(arguments.journal) as log:
        uvloop.run(serve(arguments, log))


if __name__ == "__main__":
    main()
