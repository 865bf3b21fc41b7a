"""When a worker opens its doors: banks first, as far as they are there."""

import asyncio
from pathlib import Path

import pytest

from switch.apps import worker
from switch.wire import Message
from tests.support.peer import Acquirer, Bank, BankLink, purchase
from tests.support.rig import rig

SIGN_ON_S = 0.9


class Slow(Bank):
    """It takes a connection at once, and its time over a sign-on."""

    def got(self, link: BankLink, message: Message) -> None:
        if message.mti == "0800" and message.get("network_code") == "001":
            asyncio.get_running_loop().call_later(SIGN_ON_S, super().got, link, message)
        else:
            super().got(link, message)


async def test_the_first_sale_finds_a_bank_that_is_slow_to_sign_on(tmp_path: Path) -> None:
    bank = Slow()
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        await acquirer.close()
    await bank.stop()


async def test_a_bank_that_is_not_there_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would be longer than any test may last.
    monkeypatch.setattr(worker, "BANKS_NEAR_LOOKS", 100_000)
    bank, gone = Bank(), Bank()
    addresses = [await bank.start(), await gone.start()]
    await gone.stop()
    async with rig(tmp_path, addresses) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        answer = await acquirer.ask(purchase(prefix="629901"))
        assert answer.get("response_code") == "91"
        await acquirer.close()
    await bank.stop()
