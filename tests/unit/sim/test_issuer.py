"""A simulated bank over real sockets: what it answers, when, on which connection."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from switch.client.acquirer import Acquirer, Policy, reversal_values
from switch.client.connection import Connection
from switch.sim.issuer import Issuer, IssuerPlan
from switch.sim.ledger import Ledger, Saw
from switch.sim.steering import load_dialect
from switch.wire import Message
from tests.support.bank import PREFIX, bench, purchase


async def test_financial_traffic_before_sign_on_is_refused_and_not_booked(tmp_path: Path) -> None:
    policy = Policy(connections=1, sign_on=False)
    async with bench(tmp_path, policy) as both:
        exchange = both.acquirer.open("0200", purchase(1))
        assert exchange is not None
        assert (await exchange.answer(2)).code == "91"
        assert both.issuer.status()["refused"] == 1
        assert both.bookings() == []


async def test_a_bank_that_asks_for_no_sign_on_serves_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path, Policy(connections=1, sign_on=False), sign_on=False) as both:
        exchange = both.acquirer.open("0100", purchase(1))
        assert exchange is not None
        answer = await exchange.answer(2)
        assert (answer.code, answer.mti) == ("00", "0110")
        assert answer.auth_code == "000001"


@pytest.mark.parametrize("digits", [9300, 9301, 9302, 9400, 9401, 9600, 9601])
async def test_a_healed_bank_answers_what_was_silent_late_or_wrong(
    tmp_path: Path, digits: int
) -> None:
    async with bench(tmp_path) as both:
        both.issuer.heal()
        exchange = both.acquirer.open("0200", purchase(1, digits))
        assert exchange is not None
        answer = await exchange.answer(1)
        assert answer.code == ("05" if digits == 9401 else "00")
        assert both.issuer.bank.holds == (digits != 9401)


@pytest.mark.parametrize("digits", [9300, 9301])
async def test_a_silent_bank_acknowledges_reversals(tmp_path: Path, digits: int) -> None:
    async with bench(tmp_path) as both:
        values = purchase(1, digits)
        exchange = both.acquirer.open("0200", values)
        assert exchange is not None
        with pytest.raises(TimeoutError):
            await exchange.answer(0.05)
        await both.acquirer.reverse(reversal_values("0200", values, "000002", "1123100001"))
        assert both.issuer.bank.holds == 0
        assert [line.saw for line in both.bookings()] == [Saw.REQUEST, Saw.REVERSAL]


async def test_a_slow_answer_is_slow_and_a_late_one_later(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with bench(tmp_path) as both:
        for number, digits, least in ((1, 9200, 0.06), (2, 9400, 0.15)):
            began = loop.time()
            exchange = both.acquirer.open("0200", purchase(number, digits))
            assert exchange is not None
            assert (await exchange.answer(2)).code == "00"
            assert loop.time() - began >= least * 0.95


async def test_the_ledger_has_each_event_before_its_consequence(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        exchange = both.acquirer.open("0200", purchase(1))
        assert exchange is not None
        await exchange.answer(2)
        request, answer = both.bookings()
        assert (request.saw, request.held, request.rrn) == (Saw.REQUEST, 5000, "A00000000001")
        assert (answer.saw, answer.code) == (Saw.ANSWER, "00")
        assert request.card == f"{PREFIX}******{str(purchase(1)['pan'])[-4:]}"
        assert str(purchase(1)["pan"]) not in both.path.read_text()


async def test_an_answer_takes_another_connection_when_its_own_has_gone(tmp_path: Path) -> None:
    policy = Policy(connections=2, reconnect_min=5, reconnect_max=5)
    async with bench(tmp_path, policy) as both:
        strays: list[Message] = []
        both.acquirer.on_stray = strays.append
        exchange = both.acquirer.open("0200", purchase(1, 9200))
        assert exchange is not None
        assert exchange.connection is not None
        exchange.connection.close()
        await asyncio.sleep(0.15)
        # The client calls it broken; the bank, not knowing better, answers on the other one.
        assert exchange.first is None
        assert len(strays) + (exchange.key in both.acquirer._pending) >= 1
        assert [line.saw for line in both.bookings()] == [Saw.REQUEST, Saw.ANSWER]


async def test_a_bank_can_dial_in_and_comes_back(tmp_path: Path) -> None:
    """The other end listens, signs on by 0800 001, and then breaks the connection."""
    dialect = load_dialect(None)
    heard: asyncio.Queue[Message] = asyncio.Queue()
    arrived: asyncio.Queue[Connection] = asyncio.Queue()

    class Peer(Connection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            arrived.put_nowait(self)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Peer(dialect, lambda _, message: heard.put_nowait(message), lambda _: None),
        "127.0.0.1",
        0,
    )
    address = server.sockets[0].getsockname()[:2]
    plan = IssuerPlan("BANK01", "00000020001", (PREFIX,), dial=address, connections=1)
    network = {"transmission_time": "1123100000", "stan": "000001", "network_code": "001"}
    with Ledger(tmp_path / "bank.jsonl") as ledger:
        issuer = Issuer(plan, dialect, ledger, Random(1))
        await issuer.start()
        for _ in range(2):
            async with asyncio.timeout(2):
                peer = await arrived.get()
                peer.send(dialect.encode("0800", network))
                answer = await heard.get()
            assert (answer.mti, answer.get("response_code")) == ("0810", "00")
            assert issuer.status()["signed_on"] == 1
            peer.close()
        await issuer.stop()
    server.close()


async def test_garbage_closes_nothing_but_its_own_connection(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        assert both.issuer.address is not None
        reader, writer = await asyncio.open_connection(*both.issuer.address)
        writer.write(b"\x00\x04junk\xff\xff")
        await writer.drain()
        exchange = both.acquirer.open("0200", purchase(1))
        assert exchange is not None
        assert (await exchange.answer(2)).code == "00"
        writer.close()
        del reader


async def test_a_second_acquirer_has_its_own_answers(tmp_path: Path) -> None:
    """Equal terminal, STAN and time at two acquirers: each connection gets its own answer."""
    async with bench(tmp_path) as both:
        assert both.issuer.address is not None
        policy = Policy(connections=1)
        other = Acquirer(load_dialect(None), [both.issuer.address], "00000010002", policy)
        other.start()
        await other.ready()
        mine = both.acquirer.open("0200", purchase(1, 9051))
        theirs = other.open("0200", purchase(2, 9054) | {"acquirer_code": "00000010002"})
        assert mine is not None
        assert theirs is not None
        assert (await mine.answer(2)).code == "51"
        assert (await theirs.answer(2)).code == "54"
        await other.stop()
