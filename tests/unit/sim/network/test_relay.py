"""The faulty network over real sockets: what each rule does to bytes and connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from switch.errors import OperatorError
from switch.sim.network import Relay, parse_rule
from switch.wire.source import Source
from tests.support.peer import until
from tests.support.tree import ROOT

FILE = ROOT / "config" / "dialects" / "iso87-ascii.toml"
SOURCE = Source(FILE, FILE.read_text(encoding="utf-8"))


def frame(number: int, mti: str = "0200") -> bytes:
    return SOURCE.dialect.encode(mti, {"stan": f"{number:06d}"})


class End(asyncio.Protocol):
    """One end of a connection; keeps what comes and how it ended."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.how = ""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.chunks.append(data)

    def eof_received(self) -> bool:
        self.how = self.how or "fin"
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.how = self.how or ("reset" if exc else "closed")

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    def write(self, *parts: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"".join(parts))

    async def has(self, data: bytes) -> None:
        await until(lambda: len(self.data) >= len(data), what=f"{len(data)} bytes")
        assert self.data == data


Line = Callable[[], "asyncio.Future[tuple[End, End]]"]


@asynccontextmanager
async def network(*words: str, dialect: bool = True) -> AsyncIterator[tuple[Relay, Line]]:
    """A relay in front of a listener, and what makes a connection through it: both its ends."""
    loop = asyncio.get_running_loop()
    there: list[End] = []

    def accepted() -> End:
        there.append(End())
        return there[-1]

    server = await loop.create_server(accepted, "127.0.0.1", 0)
    relay = Relay(
        server.sockets[0].getsockname(),
        [parse_rule(one) for one in words],
        source=SOURCE if dialect else None,
        rng=Random(1),
    )
    await relay.start()
    assert relay.address is not None
    made: list[End] = []

    async def connect() -> tuple[End, End]:
        assert relay.address is not None
        before = len(there)
        _, here = await loop.create_connection(End, *relay.address)
        made.append(here)
        await until(lambda: len(there) > before and there[-1].transport is not None)
        return here, there[-1]

    yield relay, lambda: asyncio.ensure_future(connect())
    for end in (*made, *there):
        if end.transport is not None:
            end.transport.abort()
    await relay.stop()
    server.close()
    await asyncio.sleep(0.01)


FRAMES = [frame(number) for number in range(1, 6)]


async def test_without_rules_bytes_and_ends_of_stream_pass_both_ways() -> None:
    async with network() as (relay, connect):
        here, there = await connect()
        here.write(*FRAMES)
        await there.has(b"".join(FRAMES))
        there.write(FRAMES[0])
        await here.has(FRAMES[0])
        assert here.transport is not None
        here.transport.write_eof()
        await until(lambda: there.how == "fin")
        there.write(FRAMES[1])
        await here.has(FRAMES[0] + FRAMES[1])
        status = relay.status()
        assert (status["units_up"], status["units_down"], status["faults"]) == (5, 2, {})


async def test_a_reset_passes_as_a_reset() -> None:
    async with network() as (_relay, connect):
        here, there = await connect()
        from switch.sim.network.pipe import LINGER_NOT

        assert here.transport is not None
        here.transport.get_extra_info("socket").setsockopt(1, 13, LINGER_NOT)
        here.transport.abort()
        await until(lambda: there.how != "")
        assert there.how == "reset"


async def test_the_nth_frame_of_a_type_is_lost_once_over_all_connections() -> None:
    async with network("up lose mti=02 nth=2") as (relay, connect):
        here, there = await connect()
        here.write(frame(9, "0800"), *FRAMES)
        await there.has(b"".join([frame(9, "0800"), *FRAMES[:1], *FRAMES[2:]]))
        other, end = await connect()
        other.write(*FRAMES)
        await end.has(b"".join(FRAMES))
        assert relay.status()["faults"] == {"lose": 1}


async def test_chance_is_drawn_from_the_seed_and_bounded_by_times() -> None:
    got = []
    for _ in range(2):
        async with network("up lose share=0.5 times=2") as (relay, connect):
            here, there = await connect()
            here.write(*FRAMES)
            await until(lambda: relay.status()["units_up"] == 5)
            await asyncio.sleep(0.02)
            got.append(there.data)
            assert relay.done("lose") == 2
    assert got[0] == got[1]


async def test_a_frame_comes_twice() -> None:
    async with network("up duplicate nth=2 copies=2") as (_, connect):
        here, there = await connect()
        here.write(*FRAMES)
        await there.has(b"".join([FRAMES[0], *[FRAMES[1]] * 3, *FRAMES[2:]]))


async def test_a_frame_goes_behind_others_or_after_a_while() -> None:
    async with network("up reorder nth=1 after=2 ms=50") as (_, connect):
        here, there = await connect()
        here.write(*FRAMES)
        await there.has(b"".join([*FRAMES[1:3], FRAMES[0], *FRAMES[3:]]))
    async with network("up reorder nth=1 after=2 ms=50") as (_, connect):
        here, there = await connect()
        began = time.monotonic()
        here.write(FRAMES[0])
        await there.has(FRAMES[0])
        assert time.monotonic() - began > 0.045


async def test_delay_keeps_order() -> None:
    async with network("up delay ms=30 jitter_ms=20") as (_, connect):
        here, there = await connect()
        began = time.monotonic()
        here.write(*FRAMES)
        await there.has(b"".join(FRAMES))
        assert 0.03 <= time.monotonic() - began < 1


@pytest.mark.parametrize("at", [1, 2, 5, -1])
async def test_a_frame_arrives_in_two_pieces(at: int) -> None:
    async with network(f"up split at={at} nth=1") as (_, connect):
        here, there = await connect()
        here.write(FRAMES[0])
        await there.has(FRAMES[0])
        assert there.chunks[0] == FRAMES[0][:at]


async def test_bytes_dribble() -> None:
    async with network("up dribble ms=2 nth=1") as (_, connect):
        here, there = await connect()
        began = time.monotonic()
        here.write(*FRAMES[:2])
        await there.has(b"".join(FRAMES[:2]))
        assert time.monotonic() - began >= 0.002 * (len(FRAMES[0]) - 1)
        assert len(there.chunks) > 5


async def test_one_byte_is_changed() -> None:
    async with network("down corrupt at=3 mask=1 nth=1") as (_, connect):
        here, there = await connect()
        there.write(FRAMES[0])
        changed = bytearray(FRAMES[0])
        changed[3] ^= 1
        await here.has(bytes(changed))


@pytest.mark.parametrize(("fault", "ends"), [("truncate", "fin"), ("reset", "reset")])
@pytest.mark.parametrize("at", [0, 1, 7, len(FRAMES[0])])
async def test_the_connection_ends_in_the_middle_of_a_frame(fault: str, ends: str, at: int) -> None:
    async with network(f"up {fault} at={at} nth=2") as (relay, connect):
        here, there = await connect()
        here.write(*FRAMES)
        await until(lambda: there.how != "")
        assert there.how == ends
        assert there.data == FRAMES[0] + FRAMES[1][:at]
        if fault == "reset":
            await until(lambda: here.how == "reset")
            await until(lambda: relay.standing == 0)


async def test_without_a_dialect_bytes_count_from_the_beginning_of_the_connection() -> None:
    async with network("up truncate at=5", dialect=False) as (_, connect):
        here, there = await connect()
        here.write(b"abc")
        await there.has(b"abc")
        here.write(b"defg")
        await until(lambda: there.how == "fin")
        assert there.data == b"abcde"


async def test_a_stalled_direction_comes_all_at_once_when_healed() -> None:
    async with network("up stall nth=2") as (relay, connect):
        here, there = await connect()
        here.write(*FRAMES)
        await there.has(FRAMES[0])
        there.write(FRAMES[4])
        await here.has(FRAMES[4])
        await asyncio.sleep(0.05)
        assert there.data == FRAMES[0]
        relay.heal()
        await there.has(b"".join(FRAMES))


async def test_a_stalled_direction_is_not_read() -> None:
    async with network("up stall nth=1", dialect=False) as (_relay, connect):
        here, _ = await connect()
        assert here.transport is not None
        for _ in range(400):
            here.write(b"x" * 65_536)
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert here.transport.get_write_buffer_size() > 0


async def test_what_is_swallowed_never_comes_and_what_comes_after_healing_does() -> None:
    async with network("up swallow nth=2") as (relay, connect):
        here, there = await connect()
        here.write(*FRAMES[:3])
        await there.has(FRAMES[0])
        await until(lambda: relay.status()["units_up"] == 3)
        relay.heal()
        here.write(FRAMES[4])
        await there.has(FRAMES[0] + FRAMES[4])


async def test_two_answers_change_numbers_and_one_alone_passes() -> None:
    async with network("down swap mti=0210 ms=50 times=3") as (_, connect):
        here, there = await connect()
        one, two = (
            SOURCE.dialect.encode("0210", {"stan": f"00000{n}", "response_code": f"0{n}"})
            for n in (1, 2)
        )
        there.write(one, two)
        swapped = [
            SOURCE.dialect.encode("0210", {"stan": f"00000{3 - n}", "response_code": f"0{n}"})
            for n in (1, 2)
        ]
        await here.has(b"".join(swapped))
        there.write(one)
        await here.has(b"".join([*swapped, one]))


async def test_a_field_is_rewritten_on_the_way() -> None:
    async with network("down rewrite field=response_code value=51 mti=0210") as (_, connect):
        here, there = await connect()
        values = {"stan": "000001", "response_code": "00"}
        there.write(SOURCE.dialect.encode("0210", values))
        await here.has(SOURCE.dialect.encode("0210", values | {"response_code": "51"}))


async def test_a_line_that_is_down_refuses_until_it_is_healed() -> None:
    async with network() as (relay, connect):
        here, there = await connect()
        relay.refuse()
        await until(lambda: bool(here.how and there.how))
        loop = asyncio.get_running_loop()
        assert relay.address is not None
        _, refused = await loop.create_connection(End, *relay.address)
        await until(lambda: refused.how != "")
        relay.heal()
        again, end = await connect()
        again.write(FRAMES[0])
        await end.has(FRAMES[0])


async def test_nobody_behind_it_is_a_reset() -> None:
    relay = Relay(("127.0.0.1", 1))
    await relay.start()
    assert relay.address is not None
    _, here = await asyncio.get_running_loop().create_connection(End, *relay.address)
    await until(lambda: here.how != "")
    assert here.how == "reset"
    await relay.stop()


def test_a_rule_for_messages_wants_a_dialect() -> None:
    with pytest.raises(OperatorError, match="tell messages apart"):
        Relay(("127.0.0.1", 1), [parse_rule("lose mti=0210")])
