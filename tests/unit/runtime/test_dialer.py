"""The dialer against real listeners: it holds its number, comes back, backs off, takes the next
address."""

import asyncio
import socket

from switch.runtime.dialer import Dialer


class Link(asyncio.Protocol):
    """What the dialer needs of a connection."""

    made = 0
    leaving = False
    reason = ""

    def __init__(self, *, good: bool) -> None:
        self.was_open = good
        self.ended: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Link.made += 1

    def connection_lost(self, exc: Exception | None) -> None:
        assert self.ended is not None
        self.ended.set()


class Host:
    """A listener that counts and can drop its connections."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.accepted = 0
        self.server: asyncio.Server | None = None
        self.address = ("127.0.0.1", 0)
        self.closes_at_once = False

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._accept, *self.address)
        self.address = self.server.sockets[0].getsockname()[:2]

    async def _accept(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.writers.append(writer)
        if self.closes_at_once:
            writer.close()

    def drop(self) -> None:
        for writer in self.writers:
            writer.close()
        self.writers.clear()

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        self.drop()
        await asyncio.sleep(0.01)


def dialer(addresses: list[tuple[str, int]], connections: int, *, good: bool = True) -> Dialer:
    return Dialer("BANK01", addresses, connections, (10, 80), lambda: Link(good=good))  # type: ignore[arg-type,return-value]


async def until(condition: object, within_s: float = 3.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_holds_as_many_connections_as_asked_and_no_more() -> None:
    host = Host()
    await host.start()
    dialling = dialer([host.address], 3)
    dialling.start()
    await until(lambda: host.accepted == 3)
    await asyncio.sleep(0.1)
    assert host.accepted == 3
    await dialling.stop()
    await host.stop()


async def test_dials_again_when_a_connection_is_lost() -> None:
    host = Host()
    await host.start()
    dialling = dialer([host.address], 2)
    dialling.start()
    await until(lambda: host.accepted == 2)
    host.drop()
    await until(lambda: host.accepted == 4)
    await dialling.stop()
    await host.stop()


async def test_takes_the_next_address_when_one_refuses() -> None:
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    host = Host()
    await host.start()
    dialling = dialer([closed.getsockname(), host.address], 1)
    dialling.start()
    await until(lambda: host.accepted == 1)
    assert dialling.failures == 1
    await dialling.stop()
    await host.stop()
    closed.close()


async def test_backs_off_from_a_peer_that_accepts_and_closes() -> None:
    host = Host()
    host.closes_at_once = True
    await host.start()
    dialling = dialer([host.address], 1, good=False)
    dialling.start()
    await asyncio.sleep(0.6)
    # Pauses of 5..10, 10..20, 20..40, then 40..80 ms: unbounded dialling would make hundreds.
    assert 6 <= dialling.attempts <= 20
    await dialling.stop()
    await host.stop()


async def test_stop_ends_dialling_but_not_the_connections_that_stand() -> None:
    host = Host()
    await host.start()
    dialling = dialer([host.address], 1)
    dialling.start()
    await until(lambda: host.accepted == 1)
    await dialling.stop()
    await asyncio.sleep(0.1)
    assert not host.writers[0].transport.is_closing()
    host.drop()
    await asyncio.sleep(0.1)
    assert host.accepted == 1
    await host.stop()


async def test_a_bank_that_signs_on_and_closes_is_dialled_ever_more_rarely() -> None:
    host = Host()
    host.closes_at_once = True
    await host.start()
    dialling = Dialer("BANK01", [host.address], 1, (10, 10_000), lambda: Link(good=True))  # type: ignore[arg-type,return-value]
    dialling.start()
    await asyncio.sleep(1.2)
    # Pauses of 5 to 10 ms, doubling: at most 8 dials in 1.2 s, where 10 ms each would make 120.
    assert 4 <= host.accepted <= 8
    await dialling.stop()
    await host.stop()
