"""A bank that fails as a whole: it is not asked any more, tried with few requests when it may be
back, and met without a storm of sign-ons when it flaps."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switch.link.circuit import CircuitState
from switch.wire import Message
from tests.support.peer import Acquirer, Bank, BankLink, purchase, until
from tests.support.rig import Rig, rig

QUICK = """\
suspect_ms = 0
[issuers.circuit]
failures_min = 5
window_ms = 2000
unreachable_ms = 400
pause_min_ms = 300
pause_max_ms = 2400
probes = 4
"""
DEADLINE_S = 0.8
DEADLINE = f"deadline_ms = {DEADLINE_S * 1000:.0f}"


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.stop()


def state(node: Rig) -> CircuitState:
    circuit: CircuitState = node.member("BANK01").circuit.state
    return circuit


async def up(node: Rig) -> Acquirer:
    await until(lambda: len(node.member("BANK01").ready) == 2, what="the bank's links")
    return await Acquirer.connect(node.acquirer)


async def load(acquirer: Acquirer, every_s: float = 0.01) -> None:
    while True:
        acquirer.send("0200", purchase())
        await asyncio.sleep(every_s)


async def test_a_silent_bank_is_not_asked_and_is_tried_with_few_requests(
    tmp_path: Path, bank: Bank
) -> None:
    async with rig(tmp_path, [await bank.start()], bank=QUICK, deadline=DEADLINE) as node:
        acquirer, other = await up(node), await up(node)
        assert (await other.ask(purchase())).get("response_code") == "00"
        bank.silent = True
        asking = asyncio.ensure_future(load(acquirer))
        await until(lambda: state(node) is CircuitState.OPEN, what="the circuit opens")
        # Declined at once, not at the deadline, while the bank gets nothing.
        reached, began = len(bank.requests), time.monotonic()
        assert (await other.ask(purchase())).get("response_code") == "91"
        assert time.monotonic() - began < 0.9 * DEADLINE_S
        assert len(bank.requests) <= reached + 4
        await until(lambda: node.member("BANK01").circuit.counts[CircuitState.OPEN] >= 3)
        halves = node.member("BANK01").circuit.counts[CircuitState.HALF_OPEN]
        assert len(bank.requests) - reached <= 4 * 2 * (halves + 1), "few at a time"
        bank.silent = False
        await until(lambda: state(node) is CircuitState.CLOSED, what="the circuit closes")
        asking.cancel()
        assert (await other.ask(purchase())).get("response_code") == "00"
        # What the bank had got and not answered is reversed, open circuit or not.
        await until(lambda: node.driver.engine.owed_count == 0, what="reversals acknowledged")


async def test_unusable_answers_open_it_and_declines_do_not(tmp_path: Path, bank: Bank) -> None:
    async with rig(tmp_path, [await bank.start()], bank=QUICK, deadline=DEADLINE) as node:
        acquirer = await up(node)
        bank.code = "91"
        for _ in range(20):
            await acquirer.ask(purchase())
        # A look at the circuit comes 20 times a second.
        await asyncio.sleep(0.15)
        assert state(node) is CircuitState.CLOSED

        def rubbish(link: BankLink, message: Message) -> None:
            link.answer(message, "0210", response_code="zz")

        bank.on_request = rubbish
        for _ in range(60):
            await acquirer.ask(purchase())
        await until(lambda: node.member("BANK01").circuit.counts[CircuitState.OPEN] == 1)


async def test_a_bank_that_is_away_opens_it_and_serves_again_when_it_has_stood(
    tmp_path: Path, bank: Bank
) -> None:
    at = await bank.start()
    async with rig(tmp_path, [at], bank=QUICK, deadline=DEADLINE) as node:
        acquirer = await up(node)
        # A look at the circuit comes 20 times a second: this one sees that it stood.
        await asyncio.sleep(0.15)
        await bank.stop()
        await until(lambda: state(node) is CircuitState.OPEN, what="unreachable")
        await bank.start(int(at.rpartition(":")[2]))
        asking = asyncio.ensure_future(load(acquirer))
        await until(lambda: state(node) is CircuitState.CLOSED, what="the circuit closes")
        asking.cancel()
        assert node.member("BANK01").circuit.counts == [1, 1, 1]


async def test_a_flapping_bank_moves_the_circuit_once_and_signs_on_ever_more_rarely(
    tmp_path: Path, bank: Bank
) -> None:
    """Row 37: it signs on, stands for a moment, closes, again and again, under load."""
    quick = QUICK.replace("pause_min_ms = 300", "pause_min_ms = 1500")
    async with rig(tmp_path, [await bank.start()], bank=quick, deadline=DEADLINE) as node:
        acquirer = await up(node)
        asking = asyncio.ensure_future(load(acquirer))
        bank.network.clear()
        for _ in range(12):
            await asyncio.sleep(0.25)
            await until(lambda: _stands(node), what="it stands again")
            for link in list(bank.links):
                link.abort()
            await asyncio.sleep(0.25)
        asking.cancel()
        assert node.member("BANK01").circuit.counts[CircuitState.OPEN] == 1
        assert state(node) is CircuitState.OPEN
        # Pauses of 20 ms double to 200 for each of two lines; the first pause each time would make
        # a sign-on of each line at each of the twelve flaps at once, and one that closes at once a
        # hundred a second.
        signed = [one for one in bank.network if one.get("network_code") == "001"]
        assert 4 <= len(signed) <= 12 * 2


def _stands(node: Rig) -> bool:
    lines = list(node.member("BANK01").connections.values())
    return bool(lines) and all(line.open for line in lines)


async def test_a_bank_that_signs_on_and_closes_at_once_gets_ever_fewer_sign_ons(
    tmp_path: Path, bank: Bank
) -> None:
    def close(message: Message) -> None:
        for link in list(bank.links):
            link.abort()

    bank.after_sign_on = close
    async with rig(tmp_path, [await bank.start()], bank=QUICK, deadline=DEADLINE):
        began = time.monotonic()
        await asyncio.sleep(2.5)
        await until(lambda: len(bank.network) >= 8, what="it is tried again and again")
        # Two lines with pauses of 10 to 20 ms that double to 100 to 200: at most 20 a second each,
        # where the first pause again and again would make over a hundred a second.
        assert len(bank.network) <= 24 * (time.monotonic() - began)
