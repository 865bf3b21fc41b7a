"""An acquirer in a box against a simulated bank: it signs on, matches, repeats, reverses."""

import asyncio
from pathlib import Path

import pytest

from switch.client.acquirer import (
    Acquirer,
    Answer,
    ConnectionBrokenError,
    Policy,
    answer_mti,
    repeat_mti,
    reversal_values,
)
from switch.client.connection import Connection
from switch.errors import UnreachableError
from switch.sim.ledger import Effect, Saw
from switch.sim.steering import load_dialect
from switch.wire import Message
from tests.support.bank import ACQUIRER_CODE, bench, purchase


@pytest.mark.parametrize(
    ("request_mti", "answer"),
    [("0100", "0110"), ("0200", "0210"), ("0201", "0210"), ("0420", "0430"), ("0421", "0430")],
)
def test_response_mti(request_mti: str, answer: str) -> None:
    assert answer_mti(request_mti) == answer


def test_repeat_mti() -> None:
    assert [repeat_mti(mti) for mti in ("0100", "0200")] == ["0101", "0201"]


async def test_it_signs_on_every_connection_and_echoes(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        assert both.acquirer.connected == 2
        assert both.issuer.status()["signed_on"] == 2
        assert await both.acquirer.echo()


async def test_an_approval_and_a_decline(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        for number, digits, code in ((1, 0, "00"), (2, 9051, "51")):
            exchange = both.acquirer.open("0200", purchase(number, digits))
            assert exchange is not None
            answer = await exchange.answer(2)
            exchange.close()
            assert (answer.code, answer.mti, answer.approved) == (code, "0210", code == "00")
        assert both.issuer.bank.holds == 1
        assert both.acquirer.in_flight == 0


async def test_answers_find_their_own_exchange_among_many(tmp_path: Path) -> None:
    async with bench(tmp_path, fast_ms=(0, 30)) as both:
        digits = [9005, 9051, 9054, 9061, 9000] * 8
        sent = [both.acquirer.open("0200", purchase(n, d)) for n, d in enumerate(digits, 1)]
        answers = await asyncio.gather(*(one.answer(2) for one in sent if one is not None))
        assert [answer.code for answer in answers] == [f"{one % 100:02d}" for one in digits]


async def test_a_second_answer_goes_to_on_extra(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        exchange = both.acquirer.open("0200", purchase(1, 9500))
        assert exchange is not None
        extra: list[Answer] = []
        exchange.on_extra = extra.append
        first = await exchange.answer(2)
        await asyncio.sleep(0.05)
        assert [answer.code for answer in extra] == [first.code] == ["00"]


@pytest.mark.parametrize("digits", [9600, 9601])
async def test_an_answer_for_somebody_else_is_a_stray(tmp_path: Path, digits: int) -> None:
    async with bench(tmp_path) as both:
        strays: list[Message] = []
        both.acquirer.on_stray = strays.append
        exchange = both.acquirer.open("0200", purchase(1, digits))
        assert exchange is not None
        with pytest.raises(TimeoutError):
            await exchange.answer(0.1)
        assert both.acquirer.strays == len(strays) == 1


async def test_an_answer_with_another_amount_is_not_acted_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        exchange = both.acquirer.open("0200", purchase(1, 9100))
        assert exchange is not None
        with pytest.raises(TimeoutError):
            await exchange.answer(0.1)
        assert both.acquirer.mismatches == 1


async def test_a_time_out_is_reversed_until_acknowledged(tmp_path: Path) -> None:
    """The bank is silent, and deaf to the first reversal: 0420, 0421, one effect."""
    async with bench(tmp_path) as both:
        values = purchase(1, 9302)
        exchange = both.acquirer.open("0200", values)
        assert exchange is not None
        with pytest.raises(TimeoutError):
            await exchange.answer(0.05)
        exchange.close()
        assert both.issuer.bank.holds == 1
        sent: list[str] = []
        reversal = reversal_values("0200", values, "000002", "1123100001")
        answer = await both.acquirer.reverse(reversal, sent.append)
        assert (answer.code, answer.mti) == ("00", "0430")
        assert sent == ["0420", "0421"]
        assert both.issuer.bank.holds == 0
        booked = [line for line in both.bookings() if line.saw is Saw.REVERSAL]
        assert [line.effect for line in booked] == [Effect.RELEASED, Effect.AGAIN]
        assert {(line.stan, line.time) for line in booked} == {("000001", "1123100000")}
        assert not any(line.problem for line in booked)


async def test_a_late_answer_after_giving_up_is_extra(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        exchange = both.acquirer.open("0200", purchase(1, 9400))
        assert exchange is not None
        extra: list[Answer] = []
        exchange.on_extra = extra.append
        with pytest.raises(TimeoutError):
            await exchange.answer(0.02)
        exchange.give_up()
        await asyncio.sleep(0.25)
        assert [answer.code for answer in extra] == ["00"]
        assert exchange.first is None


async def test_a_broken_connection_ends_its_requests_and_comes_back(tmp_path: Path) -> None:
    policy = Policy(connections=1, reconnect_min=0.01, reversal_retry=0.1)
    async with bench(tmp_path, policy) as both:
        values = purchase(1, 9700)
        exchange = both.acquirer.open("0200", values)
        assert exchange is not None
        with pytest.raises(ConnectionBrokenError):
            await exchange.answer(2)
        answer = await both.acquirer.reverse(
            reversal_values("0200", values, "000002", "1123100001")
        )
        assert answer.code == "00"
        assert both.issuer.bank.holds == 0
        assert both.acquirer.connects == 2


async def test_an_identical_copy_gets_the_same_answer(tmp_path: Path) -> None:
    async with bench(tmp_path) as both:
        exchange = both.acquirer.open("0200", purchase(1))
        assert exchange is not None
        extra: list[Answer] = []
        exchange.on_extra = extra.append
        assert exchange.again()
        assert exchange.again("0201")
        first = await exchange.answer(2)
        await asyncio.sleep(0.05)
        assert [answer.code for answer in extra] == [first.code] * 2
        assert both.issuer.bank.holds == 1


async def test_nothing_is_sent_without_a_connection() -> None:
    acquirer = Acquirer(load_dialect(None), [("127.0.0.1", 1)], ACQUIRER_CODE)
    assert acquirer.open("0200", purchase(1)) is None
    assert acquirer.in_flight == 0
    assert not await acquirer.echo()


async def test_nobody_there_is_said_with_the_address(unused_tcp_port: int) -> None:
    dialect = load_dialect(None)
    acquirer = Acquirer(dialect, [("127.0.0.1", unused_tcp_port)], ACQUIRER_CODE)
    acquirer.start()
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{unused_tcp_port}"):
        await acquirer.ready(0.1)
    await acquirer.stop()


def test_a_reversal_names_its_original() -> None:
    values = reversal_values("0100", purchase(7), "000008", "1123100009")
    assert values["original_data.mti"] == "0100"
    assert values["original_data.stan"] == "000007"
    assert values["original_data.transmission_time"] == "1123100000"
    assert values["original_data.acquirer_code"] == ACQUIRER_CODE
    assert (values["stan"], values["transmission_time"]) == ("000008", "1123100009")
    assert (values["amount"], values["rrn"]) == ("000000005000", "A00000000007")


async def test_a_reversal_lets_the_loop_turn_while_its_connections_end() -> None:
    acquirer = Acquirer(load_dialect(None), [("127.0.0.1", 1)], ACQUIRER_CODE, Policy())
    ending = Connection(acquirer.dialect, lambda *_: None, lambda *_: None)
    acquirer._ready.append(ending)
    copies: list[str] = []

    def sent(mti: str) -> None:
        copies.append(mti)
        assert len(copies) < 100, "spins"

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(acquirer.reverse(purchase(1, 0), sent), 0.35)
    assert copies[0] == "0420"
    assert set(copies[1:]) == {"0421"}
