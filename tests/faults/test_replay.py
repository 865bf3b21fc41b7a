"""Rows 27 and 36: what a network that lies can do to a link with message codes, and what becomes of
an answer whose acquirer has gone. On a real node, over TCP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from switch.journal.reader import open_reader
from switch.native import meter
from switch.observe.totals import Totals
from switch.wire import Message
from tests.support.mac import guard, link_key, node_keys
from tests.support.node import Node
from tests.support.peer import DIALECT, Acquirer, Bank, BankLink, Peer, purchase, until

MAC = '[acquirers.mac]\nalgorithm = "x9.19"\nkey = "acq"'
OLD_KEY = bytes(range(32, 48))


@asynccontextmanager
async def running(directory: Path, bank: Bank, **more: Any) -> AsyncIterator[Node]:
    node = Node(directory, [await bank.start()], deadline="deadline_ms = 4000", **more)
    try:
        await node.start()
        await until(lambda: node.opened("BANK01") >= 2, what="the bank's links")
        yield node
        for peer in list(Peer.open_peers):
            peer.abort()
        assert await node.stop() == 0
    finally:
        for peer in list(Peer.open_peers):
            peer.abort()
        await node.end()
        await bank.stop()
        print(node.text()[-4_000:])  # noqa: T201 - shown when the test fails


def checks(node: Node) -> dict[str, int]:
    totals = Totals()
    totals.read(meter.MeterReader.open(str(node.told()["meter"])))
    return {
        result: totals.of(f'tapswitch_mac_checks_total{{member="ACQ01",result="{result}"}}')
        for result in ("ok", "wrong", "missing")
    }


async def test_a_replayed_or_damaged_frame_under_a_message_code_changes_nothing(
    tmp_path: Path,
) -> None:
    """A sound frame again, on its link, on another, after a restart: the stored answer. The same
    frame with any byte of it changed, or under a key that was retired: no state whatever."""
    keys = node_keys(tmp_path)
    link_key(tmp_path, keys, "acq")
    bank = Bank()
    async with running(tmp_path, bank, acquirer=MAC) as node:
        acquirer = await Acquirer.connect(node.acquirer, guard=guard())
        values = purchase()
        frame = DIALECT.encode("0200", values, guard=guard())
        acquirer.write(frame)
        assert (await acquirer.next()).get("auth_code") == "A00001"

        async def replayed(link: Acquirer) -> None:
            for _ in range(3):
                link.write(frame)
                assert (await link.next()).get("auth_code") == "A00001"
            assert len(bank.requests) == 1, "the bank sees it once"

        await replayed(acquirer)
        await replayed(await Acquirer.connect(node.acquirer, guard=guard()))

        def state() -> int:
            return sum(1 for _ in open_reader(node.data / "journal" / "w0", keys).records())

        before, wrong = state(), checks(node)["wrong"]
        answered = 0
        for at in range(DIALECT.length_bytes, len(frame)):
            if acquirer.ended.is_set():
                acquirer = await Acquirer.connect(node.acquirer, guard=guard())
            changed = bytearray(frame)
            changed[at] ^= 1
            acquirer.write(bytes(changed))
            # A frame that no decoder makes sense of may be answered, passed over or cost the link.
            acquirer.send("0800", echo())
            while True:
                try:
                    message = await acquirer.next()
                except ConnectionResetError:
                    break
                if message.mti == "0810":
                    break
                answered += 1
                assert message.get("response_code") != "00", at
        assert answered > len(frame) // 2
        retired = await Acquirer.connect(node.acquirer, sign_on=False, guard=guard(OLD_KEY))
        retired.send("0200", purchase())
        retired.write(DIALECT.encode("0200", values, guard=guard(OLD_KEY)))
        await until(lambda: checks(node)["wrong"] > wrong + len(frame) // 2, what="counted")
        await asyncio.sleep(0.3)
        assert len(bank.requests) == 1
        assert bank.reversals == []
        assert state() == before, "not a record"

        await node.kill_worker()
        await replayed(await Acquirer.connect(node.acquirer, guard=guard()))


def echo() -> dict[str, str]:
    stamp = purchase()["transmission_time"]
    return {"transmission_time": str(stamp), "stan": "000777", "network_code": "301"}


@pytest.mark.parametrize("policy", ["keep", "reverse"])
async def test_an_acquirer_that_goes_while_it_waits_finds_its_answer_or_the_bank_its_money(
    tmp_path: Path, policy: str
) -> None:
    """Row 36. The bank approves when nobody is there any more. With `keep` the approval waits for
    the repeat; with `reverse` the bank is reversed at once, and the repeat is told so."""
    keys = node_keys(tmp_path)
    bank = Bank()
    kept: list[tuple[BankLink, Message]] = []
    bank.on_request = lambda link, message: kept.append((link, message))
    more = f'undeliverable = "{policy}"'
    async with running(tmp_path, bank, acquirer=more) as node:
        journal = node.data / "journal" / "w0"

        def went() -> bool:
            return any(event["member"] == "ACQ01" for event in node.events("link.down"))

        def answered() -> bool:
            return any(r["kind"] == "ANSWERED" for r in open_reader(journal, keys).records())

        values = purchase()
        gone = await Acquirer.connect(node.acquirer)
        gone.send("0200", values)
        await until(lambda: len(kept) == 1, what="the bank is asked")
        gone.abort()
        await until(went, what="it has gone")
        bank.reply(*kept[0])
        await until(answered, what="the bank's word is recorded")
        back = await Acquirer.connect(node.acquirer)
        answer = await back.ask(values)
        again = await back.ask(values)
        assert len(bank.requests) == 1
        assert answer.get("response_code") == again.get("response_code")
        if policy == "keep":
            assert answer.get("auth_code") == "A00001"
            assert bank.reversals == []
            # And from there on it is an approval like any other.
            await back.ask(back.reversal_of(values), "0420")
        else:
            assert answer.get("response_code") != "00"
        await until(lambda: len(bank.reversals) == 1, what="one reversal")
        await asyncio.sleep(0.4)
        assert len(bank.reversals) == 1
