"""One delivery that our own fault keeps from being sent, or whose answer it keeps from being read,
ends no worker and stops no queue, in this life and in the next; an operator is told which it is."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from switch.engine.duty import Stage
from switch.journal.query import shown_id
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig


class Poisoned:
    """The native gate, but that one delivery, the first that comes, brings a fault to light."""

    def __init__(self, native: Any) -> None:
        self.native = native
        self.poison = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.native, name)

    def deliver(self, owed: Any, slot: int, repeat: bool) -> bool:
        self.poison = self.poison or owed.txn
        if owed.txn == self.poison:
            raise ZeroDivisionError
        return bool(self.native.deliver(owed, slot, repeat))


def dead(node: Rig) -> list[int]:
    deliveries = node.worker.driver.engine.deliveries
    bank = node.member("BANK01").index
    return [one.owed.txn for one in deliveries.resting(bank, 10) if one.stage is Stage.DEAD]


async def test_a_fault_of_ours_in_one_delivery_is_a_dead_letter_over_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        gate = node.worker.driver.gate
        poisoned: Any = Poisoned(gate._native)
        gate._native = poisoned
        acquirer = await Acquirer.connect(node.acquirer)
        for _ in range(4):
            assert (await acquirer.ask(purchase(), "0220")).get("response_code") == "00"
        await until(lambda: len(bank.advices) == 3, what="the other three")
        assert not node.worker.driver.failed.done()
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        assert dead(node) == [poisoned.poison]
        gate._native = poisoned.native
    told = capsys.readouterr()
    assert "delivery.fault" in told.out + told.err
    assert shown_id(poisoned.poison) in told.out + told.err
    async with rig(tmp_path, None) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        assert dead(node) == [poisoned.poison]
        assert len(bank.advices) == 3
    await bank.stop()


async def test_a_fault_of_ours_in_one_answer_is_a_dead_letter_over_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def final(code: str) -> bool:
        if code == "77":
            raise ZeroDivisionError
        return code == "00"

    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        rules = node.worker.bank_rules
        index = node.member("BANK01").index
        rules[index] = msgspec.structs.replace(rules[index], advice_final=final)
        node.worker.driver.engine.deliveries.adopt(rules)
        bank.advice_code = "77"
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase(), "0220")).get("response_code") == "00"
        await until(lambda: len(dead(node)) == 1, what="the poisoned one")
        (poison,) = dead(node)
        bank.advice_code = "00"
        assert (await acquirer.ask(purchase(), "0220")).get("response_code") == "00"
        await until(lambda: not node.worker.driver.engine.owed_count - 1, what="the other one")
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        assert not node.worker.driver.failed.done()
    told = capsys.readouterr()
    assert "delivery.fault" in told.out + told.err
    assert "ZeroDivisionError" in told.out + told.err
    assert shown_id(poison) in told.out + told.err
    sent = len(bank.advices)
    bank.advice_code = "77"
    async with rig(tmp_path, None) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        assert dead(node) == [poison]
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        assert len(bank.advices) == sent, "its answer is not asked for again"
    await bank.stop()
