"""Ordered bytes between hosts, and every way in which a connection ends."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from switch.simulation.loop import LIFE, Life, VirtualLoop
from switch.simulation.network import WIRE_BYTES, Endpoint, Network, Weather

AT = ("10.0.0.1", 5001)


class Peer(asyncio.Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.data = b""
        self.chunks = 0
        self.ends: list[Exception | None] = []
        self.choked: list[bool] = []
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.chunks += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)

    def pause_writing(self) -> None:
        self.choked.append(True)

    def resume_writing(self) -> None:
        self.choked.append(False)


def run(
    story: Callable[[Network, Peer, Peer], Awaitable[None]], weather: Weather, seed: int = 1
) -> Network:
    """A story of a client and a server that are connected."""
    failed: list[Any] = []
    loop = VirtualLoop(10**12, lambda _ns: None, failed.append)
    network = Network(loop, Random(seed), weather)
    loop.plug(network)
    client, server = Peer(), Peer()

    async def all_of_it() -> None:
        await loop.create_server(lambda: server, *AT)
        await loop.create_connection(lambda: client, *AT)
        await asyncio.sleep(0.001)
        await story(network, client, server)

    loop.run_until_complete(all_of_it())
    loop.close()
    assert not failed
    return network


@pytest.mark.parametrize("seed", range(8))
def test_bytes_keep_their_order_whatever_the_weather(seed: int) -> None:
    sent = bytes(range(256)) * 8

    async def story(network: Network, client: Peer, server: Peer) -> None:
        network.foul = True
        for at in range(0, len(sent), 64):
            client.transport.write(sent[at : at + 64])
            if at % 256 == 0:
                await asyncio.sleep(0.001)
        await asyncio.sleep(60)
        assert server.data == sent

    weather = Weather(split=0.5, delay=0.3, stall=0.1)
    network = run(story, weather, seed)
    assert network.counts["split"]
    assert network.counts["merge"]
    assert network.counts["delay"]


def test_a_reset_tells_both_ends_and_loses_what_is_under_way() -> None:
    async def story(_network: Network, client: Peer, server: Peer) -> None:
        client.transport.write(b"lost")
        client.transport.reset()
        await asyncio.sleep(1)
        assert server.data == b""
        assert [type(end) for end in client.ends + server.ends] == [ConnectionResetError] * 2

    run(story, Weather())


def test_a_connection_that_went_dark_tells_nobody_until_its_host_is_back() -> None:
    async def story(network: Network, client: Peer, server: Peer) -> None:
        client.transport.go_dark()
        client.transport.write(b"into the dark")
        await asyncio.sleep(60)
        assert not server.data
        assert not client.ends
        network.healed = True
        client.transport.write(b"again")
        await asyncio.sleep(1)
        assert [type(end) for end in client.ends] == [ConnectionResetError]

    run(story, Weather())


def test_closing_flushes_and_ends_the_peer_too() -> None:
    async def story(_network: Network, client: Peer, server: Peer) -> None:
        client.transport.write(b"last words")
        client.transport.close()
        await asyncio.sleep(1)
        assert server.data == b"last words"
        assert client.ends == server.ends == [None]

    run(story, Weather())


def test_an_end_of_output_leaves_the_other_direction_open() -> None:
    async def story(_network: Network, client: Peer, server: Peer) -> None:
        server.transport.write(b"answer")
        client.transport.write_eof()
        client.transport.write(b"dropped")
        await asyncio.sleep(1)
        assert client.data == b"answer"
        assert server.ends == client.ends == [None]
        assert server.data == b""

    run(story, Weather())


def test_a_peer_that_does_not_read_fills_its_wire_chokes_the_writer_and_frees_it() -> None:
    async def story(_network: Network, client: Peer, server: Peer) -> None:
        server.transport.pause_reading()
        client.transport.set_write_buffer_limits(high=1000, low=100)
        client.transport.write(bytes(64_000))
        assert client.choked == []
        client.transport.write(bytes(4_000))
        assert client.choked == [True]
        assert client.transport.get_write_buffer_size() == 68_000 - WIRE_BYTES
        server.transport.resume_reading()
        await asyncio.sleep(1)
        assert client.choked == [True, False]
        assert len(server.data) == 68_000

    run(story, Weather())


def test_a_killed_process_sends_what_its_kernel_has_and_nothing_more() -> None:
    async def story(network: Network, _client: Peer, _server: Peer) -> None:
        life, killed, reader = Life("w0"), Peer(), Peer()
        await network.loop.create_server(lambda: reader, "10.0.0.1", 5002)
        context = contextvars.copy_context()
        context.run(LIFE.set, life)
        task = context.run(
            asyncio.create_task, network.loop.create_connection(lambda: killed, "10.0.0.1", 5002)
        )
        await task
        killed.transport.write(b"handed over")
        life.ended = True
        for one in list(life.sockets):
            one.killed()
        killed.transport.write(b"too late")
        await asyncio.sleep(1)
        assert reader.data == b"handed over"
        assert reader.ends == [None]
        assert killed.ends == []

    run(story, Weather())


def test_nobody_listens_and_nobody_answers() -> None:
    async def story(network: Network, _client: Peer, _server: Peer) -> None:
        with pytest.raises(ConnectionRefusedError):
            await network.loop.create_connection(Peer, "10.0.0.1", 9)
        network.dark.add(("10.0.0.1", 10))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await network.loop.create_connection(Peer, "10.0.0.1", 10)
        with pytest.raises(OSError, match="in use"):
            await network.take(*AT)

    run(story, Weather())


def test_a_transport_says_who_the_peer_is() -> None:
    async def story(_network: Network, client: Peer, server: Peer) -> None:
        assert isinstance(client.transport, Endpoint)
        assert client.transport.get_extra_info("peername") == AT
        assert server.transport.get_extra_info("socket") is None
        assert client.transport.can_write_eof()

    run(story, Weather())
