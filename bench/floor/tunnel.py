"""One end of a TLS tunnel for the bench: bytes in on one side, out on the other.

The generator and the bank speak plain TCP; this stands between them and a switch with TLS, as a
process of its own, whose CPU is not counted. `--tls listen` takes TLS off, `--tls connect` puts
it on. It runs as `python -m bench.floor.tunnel`, prints one JSON line when it listens, and ends
when its standard input is closed.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
from typing import cast

import uvloop

__all__ = ["End", "serve"]


class End(asyncio.Protocol):
    """One connection; `other` is where its bytes go. What comes before there is one, waits."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: End | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def join(self, other: "End") -> None:
        """Bytes go to and fro from now on."""
        self.other, other.other = other, self
        for end, beyond in ((self, other), (other, self)):
            early, end._early = end._early, []
            if early and beyond.transport is not None:
                beyond.transport.write(b"".join(early))

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        elif self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


async def serve(to: tuple[str, int], context: ssl.SSLContext, *, listens: bool, name: str) -> None:
    """Relays until standard input is closed. `listens`: TLS is on the side that connects to us."""
    loop = asyncio.get_running_loop()
    joining: set[asyncio.Task[None]] = set()

    async def beyond(end: End) -> None:
        tls = (None, None) if listens else (context, name)
        try:
            _, other = await loop.create_connection(End, *to, ssl=tls[0], server_hostname=tls[1])
        except OSError:
            if end.transport is not None:
                end.transport.close()
            return
        end.join(other)

    class Outer(End):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            task = loop.create_task(beyond(self))
            joining.add(task)
            task.add_done_callback(joining.discard)

    server = await loop.create_server(Outer, "127.0.0.1", 0, ssl=context if listens else None)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(json.dumps({"address": f"{host}:{port}", "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


def main() -> None:
    from switch.crypto.tls import peer_context

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--tls", choices=["listen", "connect"], required=True)
    parser.add_argument("--name", default="", help="the switch's name in its certificate")
    parser.add_argument("files", nargs=3, metavar="FILE", help="certificate, key, CA")
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    listens = options.tls == "listen"
    context = peer_context(*options.files, server=listens)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve((host, int(port)), context, listens=listens, name=options.name))


if __name__ == "__main__":
    main()
