"""Store and forward over real sockets and processes: banks that are away, return, refuse, or never
answer."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from switch.control.audit import audit_file, read
from switch.control.order import By, Order
from switch.control.remote import ask
from switch.control.saf import SafDone, SafRow
from switch.control.saf_hold import SafHold
from switch.control.saf_list import SafList, SafShown
from switch.control.saf_release import SafRelease
from switch.control.saf_retry import SafRetry
from switch.control.saf_write_off import SafWriteOff
from switch.crypto.keyfile import open_keys
from switch.errors import OrderError
from switch.journal.reader import open_reader
from switch.settings.load import load
from switch.wire import Message
from tests.support.node import MakeNode, Node
from tests.support.peer import Acquirer, Bank, purchase, until

WHY = By(actor="anna", reason="the bank asked for it")


@pytest.fixture
async def other() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.stop()


async def listed(node: Node, stage: str = "") -> SafShown:
    wanted = SafList(limit=1_000, stage=stage)
    return await asyncio.to_thread(ask, load(node.directory), wanted, SafShown)


async def rows(node: Node, stage: str = "") -> list[SafRow]:
    return list((await listed(node, stage)).deliveries)


async def order(node: Node, what: Order) -> SafDone:
    return await asyncio.to_thread(ask, load(node.directory), what, SafDone)


async def advise(acquirer: Acquirer, count: int, prefix: str = "629900") -> None:
    """So many advices, all of them accepted."""
    for _ in range(count):
        acquirer.send("0220", purchase(prefix=prefix))
    for _ in range(count):
        assert (await acquirer.next()).get("response_code") == "00"


async def test_a_bank_that_returns_is_told_all_at_its_rate_and_no_other_bank_waits(
    make_node: MakeNode, bank: Bank, other: Bank
) -> None:
    away = await bank.start()
    node = make_node(
        [away, await other.start()], bank="connections = 1\n[issuers.saf]\nper_s = 500"
    )
    await node.start()
    acquirer = await Acquirer.connect(node.acquirer)
    await bank.stop()
    count = 2_000
    for _ in range(count // 100):
        await advise(acquirer, 100)
    await advise(acquirer, 5, prefix="629901")
    await until(lambda: len(other.advices) == 5, what="the other bank is told at once")
    (queue, _) = (await listed(node)).queues
    assert (queue.member, queue.moving) == ("BANK01", count)

    came: list[float] = []
    got = bank.got

    def timed(link: object, message: Message) -> None:
        if message.mti in {"0220", "0221"}:
            came.append(time.monotonic())
        got(link, message)  # type: ignore[arg-type]

    bank.got = timed  # type: ignore[method-assign]
    await bank.start(bank.port)
    await until(lambda: len(bank.advices) >= 100, 10, "the first of them")
    asked = time.monotonic()
    answer = await acquirer.ask(purchase(prefix="629901"))
    assert answer.get("response_code") == "00"
    assert time.monotonic() - asked < 1.0
    await until(lambda: len(bank.advices) >= count, 20, "all of them")
    took = came[-1] - came[0]
    assert took >= (count - 60) / 500 * 0.9, f"{count} in {took:.2f} s: the rate did not hold"
    assert took < count / 500 * 2 + 2
    first, second = came[0], came[0] + 1.0
    assert sum(first <= at < second for at in came) <= 500 * 1.15 + 60
    await asyncio.sleep(0.5)
    assert len(bank.advices) == count, "acknowledged, yet repeated"
    numbers = [(m.get("transmission_time"), m.get("stan")) for m in bank.advices]
    assert numbers == sorted(numbers), "they left in the order in which they were owed"
    assert {m.mti for m in bank.advices} == {"0220"}
    assert await rows(node) == []
    assert await node.stop() == 0


async def test_a_bank_that_never_acknowledges_blocks_no_other_and_a_kill_changes_nothing(
    make_node: MakeNode, bank: Bank, other: Bank
) -> None:
    bank.acknowledges = False
    node = make_node([await bank.start(), await other.start()])
    await node.start()
    acquirer = await Acquirer.connect(node.acquirer)
    await advise(acquirer, 20)
    await advise(acquirer, 20, prefix="629901")
    await until(lambda: len(other.advices) == 20, what="the other bank")
    await until(lambda: len(bank.advices) >= 40, 10, "repeats")
    before = {(m.get("transmission_time"), m.get("stan")) for m in bank.advices}
    await node.kill_worker()
    bank.advices.clear()
    await until(lambda: len(bank.advices) >= 20, 10, "after the restart")
    assert {m.mti for m in bank.advices} == {"0221"}
    assert {(m.get("transmission_time"), m.get("stan")) for m in bank.advices} <= before
    assert len(before) == 20
    bank.acknowledges = True
    settings = load(node.directory)

    def at_rest() -> bool:
        return not ask(settings, SafList(), SafShown).deliveries

    for _ in range(100):
        if await asyncio.to_thread(at_rest):
            break
        await asyncio.sleep(0.1)
    assert await rows(node) == []
    assert len(other.advices) == 20
    assert await node.stop() == 0


async def test_a_refused_advice_is_a_dead_letter_until_an_operator_says_the_final_word(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.advice_code = "51"
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    await advise(acquirer, 2)
    await until(lambda: len(bank.advices) == 2, what="both at the bank")
    await asyncio.sleep(0.2)
    dead = await rows(node, stage="dead")
    assert [(row.what, row.stage, row.why) for row in dead] == [("advice", "dead", "51")] * 2
    await node.kill_worker()
    again = await rows(node, stage="dead")
    assert [(row.id, row.why) for row in again] == [(row.id, "51") for row in dead]
    await asyncio.sleep(0.5)
    assert len(bank.advices) == 2, "a dead letter is not sent"

    bank.advice_code = "00"
    done = await order(node, SafRetry(id=dead[0].id, by=WHY))
    assert "is sent again" in done.did
    await until(lambda: len(bank.advices) == 3, what="sent by order")
    assert bank.advices[-1].mti == "0221"
    await order(node, SafWriteOff(id=dead[1].id, by=WHY))
    second = By(actor="bert", reason="the bank agrees")
    gone = await order(node, SafWriteOff(id=dead[1].id, by=second, confirm=True))
    assert "written off" in gone.did
    assert await rows(node) == []
    assert await node.stop() == 0

    settings = load(node.directory)
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    reader = open_reader(node.data / "journal" / "w0", keys)
    said = [r for r in reader.records() if r.get("result") in {"written_off", "retried"}]
    assert [(r["result"], r["operator"], r["remark"]) for r in said] == [
        ("retried", "anna", WHY.reason),
        ("written_off", "anna,bert", WHY.reason),
    ]
    assert reader.verify() == []
    audited = [line.order.get("order") for line in read(audit_file(settings.node.data_dir))]
    assert {"saf-retry", "saf-write-off"} <= set(audited)


async def test_an_advice_of_a_request_that_timed_out_reaches_its_bank_under_the_same_numbers(
    make_node: MakeNode, bank: Bank
) -> None:
    """The request is reversed and stays so; the advice is told once, over a kill too."""
    address = await bank.start()
    node = await make_node([address], deadline="deadline_ms = 300").start()
    acquirer = await Acquirer.connect(node.acquirer)
    bank.silent = True
    wanted = purchase()
    assert (await acquirer.ask(wanted)).get("response_code") == "91"
    await until(lambda: len(bank.reversals) == 1, what="the reversal")
    assert (await acquirer.ask(wanted, "0220")).get("response_code") == "00"
    await until(lambda: len(bank.advices) == 1, what="the advice")
    assert bank.advices[0].get("amount") == wanted["amount"]
    await asyncio.sleep(0.2)
    await node.kill_worker()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(wanted, "0221")).get("response_code") == "00"
    assert (await acquirer.ask(wanted, "0201")).get("response_code") == "91"

    bank.silent = False
    known = purchase()
    assert (await acquirer.ask(known)).get("response_code") == "00"
    assert (await acquirer.ask(known, "0220")).get("response_code") == "94"
    await asyncio.sleep(0.5)
    assert (len(bank.advices), len(bank.reversals)) == (1, 1)
    assert await node.stop() == 0
    settings = load(node.directory)
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    assert open_reader(node.data / "journal" / "w0", keys).verify() == []


async def test_what_one_operator_asked_for_another_confirms_over_a_kill(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.advice_code = "51"
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    await advise(acquirer, 2)
    await until(lambda: len(bank.advices) == 2, what="both at the bank")
    await asyncio.sleep(0.2)
    first, second = [row.id for row in await rows(node, stage="dead")]
    bert = By(actor="bert", reason="the bank agrees")
    await order(node, SafWriteOff(id=first, by=WHY))
    await node.kill_worker()
    assert {row.id: row.write_off_by for row in await rows(node)} == {first: "anna", second: ""}
    with pytest.raises(OrderError, match="nobody has asked for it"):
        await order(node, SafWriteOff(id=second, by=bert, confirm=True))
    with pytest.raises(OrderError, match="anna has asked for it"):
        await order(node, SafWriteOff(id=first, by=WHY, confirm=True))
    gone = await order(node, SafWriteOff(id=first, by=bert, confirm=True))
    assert "anna asked for it" in gone.did
    # And what is over by then is not asked for any more.
    await node.kill_worker()
    assert {row.id: row.write_off_by for row in await rows(node)} == {second: ""}
    assert await node.stop() == 0


async def test_what_is_held_waits_over_a_restart_for_its_release(
    make_node: MakeNode, bank: Bank
) -> None:
    address = await bank.start()
    node = await make_node([address]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    await bank.stop()
    await advise(acquirer, 2)
    kept, free = await rows(node)
    await order(node, SafHold(id=kept.id, by=WHY))
    await node.kill_worker()
    await bank.start(bank.port)
    await until(lambda: len(bank.advices) == 1, 10, "the one that is not held")
    assert bank.advices[0].get("stan") == free.stan
    assert [(row.id, row.stage) for row in await rows(node)] == [(kept.id, "held")]
    await order(node, SafRelease(id=kept.id, by=WHY))
    await until(lambda: len(bank.advices) == 2, 10, "the one that was held")
    assert bank.advices[1].get("stan") == kept.stan
    assert await node.stop() == 0


async def test_a_reversal_and_an_advice_are_both_delivered_and_conserved(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.silent = True
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "91"
    await advise(acquirer, 1)
    await until(lambda: bool(bank.reversals and bank.advices), what="both")
    await asyncio.sleep(0.2)
    assert await rows(node) == []
    assert (len(bank.reversals), len(bank.advices)) == (1, 1)
    assert await node.stop() == 0
