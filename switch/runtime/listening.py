"""Addresses that are listened on: taken, served, named."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from switch.runtime.accept import Acceptor

if TYPE_CHECKING:
    from switch.runtime.member import Acquirer, Bank

__all__ = ["BACKLOG", "Listening", "bound_name", "serve", "take"]

BACKLOG: Final = 512


class Listening(Protocol):
    """Something that accepts connections until it is closed."""

    @property
    def sockets(self) -> Sequence[socket.socket]: ...

    def close(self) -> None:
        """No further connections; those that stand stay."""


class _Served:
    """Plain listeners of one member."""

    def __init__(self, servers: Sequence[asyncio.Server], sockets: Sequence[socket.socket]) -> None:
        self._servers = servers
        self.sockets = sockets

    def close(self) -> None:
        for server in self._servers:
            server.close()


async def take(host: str, port: int) -> list[socket.socket]:
    """Takes an address (port 0: a free one). Whoever connects waits until `serve`.

    Raises:
        OSError: the address is in use or not ours.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            sockets.append(socket.create_server(address, family=family, backlog=BACKLOG))
            sockets[-1].setblocking(False)
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


async def serve(
    factory: Any,
    sockets: Sequence[Any],
    member: "Acquirer | Bank",
    shed: Callable[[], None],
) -> Listening:
    """Accepts what connects, or waits already; the sockets are closed with the listener."""
    if isinstance(sockets[0], socket.socket):
        return Acceptor(member, factory, sockets, shed)
    # A loop whose addresses are no sockets of the system accepts by itself.
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(factory, sock=one, backlog=BACKLOG) for one in sockets]
    return _Served(servers, sockets)


def bound_name(listening: Any) -> str:
    """Where a socket listens, as ``host:port``."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
