"""A terminal of the street to a bank and back, over TCP: its dialect, keys, codes, taps."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from switch.control.terminal_sign_off import TerminalSignOff, perform
from switch.crypto.keyfile import Keys
from switch.crypto.terminals import retire_terminal
from switch.errors import OrderError
from switch.sim.pos import Card, PosTerminal, SilentError
from switch.sim.street import StreetPlan, open_street
from switch.wire import Message
from tests.support.mac import node_keys
from tests.support.node import Node
from tests.support.peer import Bank, BankLink, until
from tests.support.rig import Rig, rig
from tests.support.terminals import (
    POS_ACQUIRER,
    TERMINALS,
    file_of,
    make_terminals,
    pos_terminal,
)
from tests.support.tokens import card, token
from tests.support.wallet import TOKENS, TokenNode, tap

CARD = Card("6299000000000014", "001")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    made = node_keys(tmp_path)
    make_terminals(tmp_path, made)
    return made


async def started(terminal: PosTerminal, node: Rig, code: str = "003") -> PosTerminal:
    await terminal.connect(node.acquirer)
    heard = await terminal.sign_on(code)
    assert heard.code == "00"
    return terminal


def owes(terminal: PosTerminal) -> bool:
    return terminal.owed is not None


def appended(node: Rig) -> int:
    return node.driver.journal.stats()["appended"]


@pytest.mark.parametrize("code", ["001", "003", "004"])
async def test_purchase_from_sign_on_to_sign_off(tmp_path: Path, keys: Keys, code: str) -> None:
    bank = Bank()
    address = await bank.start()
    async with rig(tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS) as node:
        terminal = await started(pos_terminal(tmp_path, keys), node, code)
        answer = terminal.heard[0].message
        for name in ("local_time", "local_date", "rrn", "terminal_id", "merchant_id"):
            assert answer.get(name), name
        assert (await terminal.echo()).code == "00"
        heard = await terminal.purchase(CARD, 1234)
        assert heard.approved
        assert heard.message.has("mac")
        assert heard.message.get("auth_code") == "A00001"
        assert bank.requests[0].get("acquirer_code") == "10001"
        assert bank.requests[0].amount_minor == 1234
        assert not bank.requests[0].has("mac")
        assert (await terminal.balance(CARD)).proved
        assert (await terminal.sign_off()).code == "00"
        refused = await terminal.purchase(CARD, 1)
        assert (refused.code, refused.sign_on_again) == ("A0", True)
        assert len(bank.requests) == 2
        terminal.close()
    await bank.stop()


@pytest.mark.system
async def test_tap_is_proved_and_its_card_reaches_the_bank(tmp_path: Path) -> None:
    bank = Bank()
    tables = TOKENS + TERMINALS
    node = Node(tmp_path, [await bank.start()], acquirer=POS_ACQUIRER, tokens=tables)
    wallet = TokenNode(tmp_path)
    make_terminals(tmp_path, wallet.keys)
    try:
        await node.start()
        terminal = pos_terminal(tmp_path, wallet.keys)
        await terminal.connect(node.acquirer)
        assert (await terminal.sign_on()).code == "00"
        await until(lambda: bool(bank.network), what="the bank's sign-on")
        tapped = tap(wallet.device(1), 500)
        heard = await terminal.purchase(Card(token(1), "001", tapped=tapped), 500)
        assert heard.approved, heard.code
        assert heard.message.reveal("pan") == token(1)
        assert tapped.check(bytes.fromhex(heard.message.reveal("icc") or ""), "00") == "genuine"
        assert bank.requests[0].reveal("pan") == card(1)
        assert not bank.requests[0].has("icc")
        again = await terminal.purchase(Card(token(1), "001", tapped=tapped), 500)
        assert (again.code, again.proved) == ("05", True)
        terminal.close()
        assert await node.stop() == 0
    finally:
        await node.end()
        await bank.stop()


async def test_bad_and_missing_codes_change_nothing_and_ask_to_sign_on(
    tmp_path: Path, keys: Keys
) -> None:
    bank = Bank()
    address = await bank.start()
    async with rig(tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS) as node:
        other = await started(pos_terminal(tmp_path, keys, 1), node)
        terminal = await started(pos_terminal(tmp_path, keys), node)
        before = appended(node)
        theirs, terminal._guard = terminal._guard, other._guard
        refused = await terminal.purchase(CARD, 1)
        assert (refused.code, refused.sign_on_again) == ("A0", True)
        terminal._guard = None
        refused = await terminal.purchase(CARD, 1)
        assert (refused.code, refused.sign_on_again) == ("A0", True)
        assert appended(node) == before
        assert bank.requests == []
        terminal._guard = theirs
        assert (await terminal.purchase(CARD, 1)).approved
        for one in (terminal, other):
            one.close()
    await bank.stop()


async def test_unknown_terminals_and_others_merchants_are_told_so(
    tmp_path: Path, keys: Keys
) -> None:
    bank = Bank()
    address = await bank.start()
    async with rig(tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS) as node:
        terminal = await started(pos_terminal(tmp_path, keys), node)
        terminal.merchant_id = "898520154110005"
        assert (await terminal.purchase(CARD, 1)).code == "03"
        assert (await terminal.sign_on()).code == "03"
        terminal.terminal_id = "52019999"
        assert (await terminal.purchase(CARD, 1)).code == "97"
        assert (await terminal.sign_on()).code == "97"
        assert bank.requests == []
        # A registry that changes is noticed: this terminal is retired while it is signed on.
        retire_terminal(file_of(tmp_path), keys, "ACQ01", "52010001", 9)
        desk = node.worker.desk
        assert desk is not None
        desk.look()
        terminal.terminal_id, terminal.merchant_id = "52010001", "898520154110004"
        assert (await terminal.purchase(CARD, 1)).code == "97"
        terminal.close()
    await bank.stop()


async def test_lost_answer_to_a_sign_on_locks_nobody_out(tmp_path: Path, keys: Keys) -> None:
    bank = Bank()
    address = await bank.start()
    async with rig(tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS) as node:
        terminal = await started(pos_terminal(tmp_path, keys), node)
        assert (await terminal.purchase(CARD, 1)).approved
        kept = terminal._guard
        assert (await terminal.sign_on()).code == "00"
        newer, terminal._guard = terminal._guard, kept
        heard = await terminal.purchase(CARD, 2)
        assert heard.code == "00", "the older key is good until the newer one was used"
        terminal._guard = newer
        assert (await terminal.purchase(CARD, 3)).approved
        terminal._guard = kept
        assert (await terminal.purchase(CARD, 4)).code == "A0"
        terminal.close()
    await bank.stop()


async def test_silent_bank_is_98_and_the_terminal_reverses_its_own_time_out(
    tmp_path: Path, keys: Keys
) -> None:
    bank = Bank()
    address = await bank.start()
    async with rig(
        tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS, deadline="deadline_ms = 400"
    ) as node:
        terminal = await started(pos_terminal(tmp_path, keys), node)
        bank.silent = True
        assert (await terminal.purchase(CARD, 700)).code == "98"
        await until(lambda: len(bank.reversals) >= 1, what="the switch's reversal")
        terminal.timeout = 0.1
        with pytest.raises(SilentError):
            await terminal.purchase(CARD, 800)
        assert owes(terminal)
        terminal.timeout = 5.0
        bank.silent = False
        assert (await terminal.purchase(CARD, 900)).approved
        assert not owes(terminal)
        amounts = {message.amount_minor for message in bank.reversals}
        await until(lambda: 800 in {m.amount_minor for m in bank.reversals}, what=str(amounts))
        terminal.close()
    await bank.stop()


async def test_preauthorisation_is_completed_or_given_back(tmp_path: Path, keys: Keys) -> None:
    bank = Bank()
    address = await bank.start()

    def approve(link: BankLink, message: Message) -> None:
        bank.reply(link, message)

    bank.on_request = approve
    async with rig(tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS) as node:
        terminal = await started(pos_terminal(tmp_path, keys), node)
        held = await terminal.preauthorise(CARD, 5000)
        assert held.approved, held.code
        auth_code = held.message.get("auth_code") or ""
        original = f"{held.message.stan:06d}"
        assert (await terminal.complete(CARD, 4200, auth_code, original)).proved
        assert (await terminal.cancel(CARD, 5000, auth_code, original)).proved
        terminal.close()
    await bank.stop()


async def test_operator_signs_a_terminal_off(tmp_path: Path, keys: Keys) -> None:
    bank = Bank()
    address = await bank.start()
    async with rig(tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS) as node:
        terminal = await started(pos_terminal(tmp_path, keys), node)
        order = TerminalSignOff(acquirer="ACQ01", terminal_id="52010001")
        done = await perform(order, node.worker)
        assert "signs on again" in done.did
        refused = await terminal.purchase(CARD, 1)
        assert (refused.code, refused.sign_on_again) == ("A0", True)
        with pytest.raises(OrderError, match="not signed on"):
            await perform(order, node.worker)
        with pytest.raises(OrderError, match="no acquirer"):
            await perform(TerminalSignOff(acquirer="ACQ02", terminal_id="1"), node.worker)
        assert (await terminal.sign_on()).code == "00"
        assert (await terminal.purchase(CARD, 1)).approved
        terminal.close()
    await bank.stop()


async def test_street_of_terminals_proves_everything(tmp_path: Path, keys: Keys) -> None:
    bank = Bank()
    address = await bank.start()
    async with rig(tmp_path, [address], acquirer=POS_ACQUIRER, tokens=TERMINALS) as node:
        plan = StreetPlan("ACQ01", node.acquirer, terminals=3, pause=0.01)
        street = open_street(plan, tmp_path, Random(7))
        street.start()
        await until(lambda: street.status().get("purchase", 0) >= 20, what="twenty sales")
        await street.stop()
        status = street.status()
        assert status["signed_on"] == 3
        assert not any(status.get(bad) for bad in ("unproved", "bad_keys", "owed", "refused"))
        assert set(status["codes"]) == {"00"}
        desk = node.worker.desk
        assert desk is not None
        assert desk.terminals.figures[3] == 0, "everybody has signed off"
    await bank.stop()


@pytest.mark.system
async def test_work_keys_outlive_a_killed_worker(tmp_path: Path) -> None:
    bank = Bank()
    keys = node_keys(tmp_path)
    make_terminals(tmp_path, keys)
    node = Node(tmp_path, [await bank.start()], acquirer=POS_ACQUIRER, tokens=TERMINALS)
    try:
        await node.start()
        terminal = pos_terminal(tmp_path, keys)
        await terminal.connect(node.acquirer)
        assert (await terminal.sign_on()).code == "00"
        assert (await terminal.purchase(CARD, 100)).approved
        gone = pos_terminal(tmp_path, keys, 1)
        await gone.connect(node.acquirer)
        assert (await gone.sign_on()).code == "00"
        retire_terminal(file_of(tmp_path), keys, "ACQ01", "52010002", 9)
        await node.kill_worker()
        await gone.connect(node.acquirer)
        assert (await gone.purchase(CARD, 100)).code == "97", (
            "the journal knows it, not the registry"
        )
        gone.close()
        await terminal.connect(node.acquirer)
        await until(lambda: bool(bank.links), what="the bank's links")
        async with asyncio.timeout(10):
            while not (heard := await terminal.purchase(CARD, 200)).approved:
                assert heard.proved, "the same key as before"
                await asyncio.sleep(0.05)
        terminal.close()
        assert await node.stop() == 0
    finally:
        await node.end()
        await bank.stop()
