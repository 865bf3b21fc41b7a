"""Links with message codes: on both sides of a worker, right and wrong ones, on either loop."""

import asyncio
from pathlib import Path

from switch.native import meter
from switch.observe.totals import Totals
from switch.wire import Message
from tests.support.mac import guard, link_key, node_keys
from tests.support.peer import DIALECT, Acquirer, Bank, BankLink, purchase, until
from tests.support.rig import Rig, rig

MAC = '[acquirers.mac]\nalgorithm = "x9.19"\nkey = "acq"'
BANK_MAC = '[issuers.mac]\nalgorithm = "x9.19"\nkey = "bank"'
BANK_KEY = bytes(range(16, 32))


def set_up(directory: Path) -> None:
    keys = node_keys(directory)
    link_key(directory, keys, "acq")
    link_key(directory, keys, "bank", BANK_KEY)


def checks(node: Rig, member: str) -> dict[str, int]:
    """What the meter has of message codes."""
    node.worker.gauges.refresh(node.driver)
    totals = Totals()
    totals.read(meter.MeterReader.open(str(node.worker.metrics.path)))
    return {
        result: totals.of(f'tapswitch_mac_checks_total{{member="{member}",result="{result}"}}')
        for result in ("ok", "wrong", "missing")
    }


async def test_codes_are_made_and_proved_on_both_sides(tmp_path: Path) -> None:
    set_up(tmp_path)
    bank = Bank(guard(BANK_KEY))
    address = await bank.start()
    async with rig(tmp_path, [address], acquirer=MAC, bank=BANK_MAC) as node:
        acquirer = await Acquirer.connect(node.acquirer, guard=guard())
        values = purchase()
        answer = await acquirer.ask(values)
        assert (answer.get("response_code"), answer.has("mac")) == ("00", True)
        # The stored answer again, a reversal, a decline, a refusal: each with its code.
        assert (await acquirer.ask(values)).get("auth_code") == "A00001"
        assert (await acquirer.ask(acquirer.reversal_of(values), "0420")).mti == "0430"
        assert (await acquirer.ask(purchase(prefix="629999"))).get("response_code") == "92"
        assert (await acquirer.ask(purchase(processing_code="990000"))).get("response_code") == "12"
        await until(lambda: len(bank.reversals) == 1, what="the bank's reversal")
        assert bank.requests[0].has("mac")
        assert bank.reversals[0].has("mac2")
        assert checks(node, "ACQ01")["wrong"] == 0
        await until(lambda: checks(node, "BANK01")["ok"] >= 3, what="the bank's codes")
    await bank.stop()


async def test_bad_or_missing_code_changes_nothing_and_is_told_so(tmp_path: Path) -> None:
    set_up(tmp_path)
    bank = Bank()
    async with rig(tmp_path, [await bank.start()], acquirer=MAC) as node:
        acquirer = await Acquirer.connect(node.acquirer, guard=guard())
        before = node.driver.journal.stats()["appended"]
        values = purchase()
        acquirer.write(DIALECT.encode("0200", values))
        assert (await acquirer.next()).get("response_code") == "A0"
        acquirer.write(DIALECT.encode("0200", values, guard=guard(BANK_KEY)))
        refused = await acquirer.next()
        assert (refused.get("response_code"), refused.has("mac")) == ("A0", True)
        assert node.driver.journal.stats()["appended"] == before
        assert bank.requests == []
        # The same request with the right code is no duplicate.
        assert (await acquirer.ask(values)).get("response_code") == "00"
        assert checks(node, "ACQ01") == {"ok": 2, "wrong": 1, "missing": 1}
    await bank.stop()


async def test_message_whose_code_does_not_hold_is_kept_masked(tmp_path: Path) -> None:
    set_up(tmp_path)
    bank = Bank()
    async with rig(tmp_path, [await bank.start()], acquirer=MAC) as node:
        acquirer = await Acquirer.connect(node.acquirer, guard=guard())
        values = purchase()
        wrong = DIALECT.encode("0200", values, guard=guard(BANK_KEY))
        for frame in (wrong, DIALECT.encode("0200", values)):
            acquirer.write(frame)
            await acquirer.next()
        faults = node.member("ACQ01").faults
        first, second = faults.newest(2)
        assert (faults.total, first.kind, second.kind) == (2, "mac", "mac")
        assert (first.mti, first.path, first.found) == ("0200", "field 64", "wrong")
        # The code is the last field: it is shown, and stands where it is said to stand.
        assert first.image[2 * first.offset :] == wrong[-16:].hex()
        assert (second.path, second.found, second.offset) == ("mac", "missing", second.bytes)
        pan = str(values["pan"])
        assert pan.encode().hex() not in first.image + second.image
        assert b"MERCHANT0000001".hex().upper() in first.image
    await bank.stop()


async def test_answer_with_a_bad_code_is_no_answer(tmp_path: Path) -> None:
    set_up(tmp_path)
    bank = Bank(guard(BANK_KEY))
    address = await bank.start()
    async with rig(tmp_path, [address], bank=BANK_MAC, deadline="deadline_ms = 300") as node:
        acquirer = await Acquirer.connect(node.acquirer)
        await until(lambda: bool(bank.links), what="the bank's links")

        def other_key(link: BankLink, message: Message) -> None:
            link.guard = guard()
            bank.reply(link, message)

        bank.on_request = other_key
        answer = await acquirer.ask(purchase())
        assert answer.get("response_code") == "91"
        assert checks(node, "BANK01")["wrong"] == 1
        for link in bank.links:
            link.guard = bank.guard
        await until(lambda: len(bank.reversals) >= 1, what="the reversal")
    await bank.stop()


async def test_link_without_codes_ignores_them(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        acquirer.write(DIALECT.encode("0200", purchase(), guard=guard()))
        answer = await acquirer.next()
        assert (answer.get("response_code"), answer.has("mac")) == ("00", False)
        assert not bank.requests[0].has("mac")
        await asyncio.sleep(0)
    await bank.stop()
