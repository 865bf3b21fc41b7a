"""Taps over real sockets and processes: token and cryptogram in, card and proof out."""

import asyncio

import pytest

from switch.crypto.profiles import Element
from switch.wire import Message
from tests.support.node import MakeNode, Node
from tests.support.peer import Acquirer, Bank, Values, purchase, until
from tests.support.tokens import card
from tests.support.wallet import TOKENS, TokenNode, tap

AMOUNT = 1250


def values(token: TokenNode, number: int, chip: bytes, **more: str | bytes) -> Values:
    """A terminal's purchase with a device."""
    one = token.rows[number]
    asked = purchase(AMOUNT, pan=one.token, icc=chip, expiry=one.token_expiry)
    return {**asked, "card_sequence": f"{one.token_sequence:03d}", **more}


def chip_of(answer: Message) -> bytes:
    """Field 55 of an answer."""
    return bytes.fromhex(answer.reveal("icc") or "")


async def started(make_node: MakeNode, bank: Bank) -> tuple[Node, TokenNode, Acquirer]:
    """A node with tokens, and its acquirer."""
    node = make_node([await bank.start()], tokens=TOKENS)
    tokens = TokenNode(node.directory)
    await node.start()
    return node, tokens, await Acquirer.connect(node.acquirer)


@pytest.mark.parametrize("profile", ["unionpay-01", "visa-10", "visa-18"])
async def test_a_tap_reaches_the_bank_as_a_card_and_comes_back_as_a_token(
    make_node: MakeNode, bank: Bank, profile: str
) -> None:
    node, tokens, acquirer = await started(make_node, bank)
    tapped = tap(tokens.device(1, profile), AMOUNT, tell="5A 57 5F34")
    track = f"{tokens.rows[1].token}=30122010000012345678"
    answer = await acquirer.ask(values(tokens, 1, tapped.field, track2=track))
    assert (answer.mti, answer.get("response_code")) == ("0210", "00")
    # The device believes the answer, which tells nothing of the card.
    assert tapped.check(chip_of(answer), "00") == "genuine"
    assert answer.reveal("pan") == tokens.rows[1].token
    (seen,) = bank.requests
    assert seen.reveal("pan") == card(1)
    assert (seen.reveal("expiry"), seen.get("card_sequence")) == ("3106", "002")
    for hidden in ("icc", "track2", "pin_block", "mac"):
        assert seen.reveal(hidden) is None
    assert seen.get("reserved_private_63.01") == "1"
    assert seen.reveal("reserved_private_63.02") == tokens.rows[1].token
    assert seen.get("reserved_private_63.03") == "12300000001"
    assert seen.get("reserved_private_63.04") == "1A"
    await acquirer.close()
    assert await node.stop() == 0


async def refused(
    acquirer: Acquirer, tokens: TokenNode, number: int, chip: bytes, **more: str | bytes
) -> str:
    answer = await acquirer.ask(values(tokens, number, chip, **more))
    code = str(answer.get("response_code"))
    # Only a bank's decision is told to the device.
    assert bool(chip_of(answer)) == (code == "00")
    return code


async def test_what_is_refused_never_reaches_a_bank(make_node: MakeNode, bank: Bank) -> None:
    node, tokens, acquirer = await started(make_node, bank)
    devices: list[Element] = [tokens.device(number) for number in range(4)]
    spoiled = tap(devices[0], AMOUNT, spoiled=True).field
    assert await refused(acquirer, tokens, 0, spoiled) == "05"
    assert await refused(acquirer, tokens, 0, tap(devices[0], AMOUNT + 1).field) == "05"
    assert await refused(acquirer, tokens, 0, tap(devices[1], AMOUNT).field) == "05"
    sequence = {"card_sequence": "009"}
    assert await refused(acquirer, tokens, 0, tap(devices[0], AMOUNT).field, **sequence) == "05"
    expiry = {"expiry": "3011"}
    assert await refused(acquirer, tokens, 0, tap(devices[0], AMOUNT).field, **expiry) == "05"
    assert await refused(acquirer, tokens, 0, tap(devices[0], AMOUNT, counter=60_000).field) == "00"
    assert len(bank.requests) == 1
    unknown = {"pan": "6299770000099998"}
    assert await refused(acquirer, tokens, 0, tap(devices[0], AMOUNT).field, **unknown) == "14"
    tokens.change_row(2, state=3)
    assert await refused(acquirer, tokens, 2, tap(devices[2], AMOUNT).field) == "62"
    tokens.change_row(2, state=2, mccs=[4111])
    assert await refused(acquirer, tokens, 2, tap(devices[2], AMOUNT).field) == "57"
    assert await refused(acquirer, tokens, 2, tap(devices[2], AMOUNT).field, mcc="5411") == "57"
    tokens.change_row(2, mccs=[], ceiling_minor=AMOUNT - 1, ceiling_currency=156)
    assert await refused(acquirer, tokens, 2, tap(devices[2], AMOUNT).field) == "61"
    tokens.change_row(2, ceiling_minor=None, token_expiry="2610")
    old = {"expiry": "2610"}
    assert await refused(acquirer, tokens, 2, tap(devices[2], AMOUNT).field, **old) == "54"
    assert await refused(acquirer, tokens, 3, b"") == "05"
    tokens.index.mark_stale()
    assert await refused(acquirer, tokens, 3, tap(devices[3], AMOUNT).field) == "96"
    tokens.rebuild(tokens.rows)
    await until_available(acquirer, tokens, devices[3])
    assert len(bank.requests) == 2
    await acquirer.close()
    assert await node.stop() == 0


async def until_available(acquirer: Acquirer, tokens: TokenNode, device: Element) -> None:
    """Taps until the worker has taken up the new generation."""
    for _ in range(50):
        answer = await acquirer.ask(values(tokens, 3, tap(device, AMOUNT).field))
        if answer.get("response_code") == "00":
            return
        assert answer.get("response_code") == "96"
        await asyncio.sleep(0.05)
    raise AssertionError("the index stays unavailable")


async def test_a_counter_serves_once_also_after_a_kill(make_node: MakeNode, bank: Bank) -> None:
    node, tokens, acquirer = await started(make_node, bank)
    device = tokens.device(1)
    first = tap(device, AMOUNT)
    asked = values(tokens, 1, first.field)
    answer = await acquirer.ask(asked)
    again = await acquirer.ask(asked, "0201")
    assert answer.get("response_code") == again.get("response_code") == "00"
    assert chip_of(again) == chip_of(answer)
    assert len(bank.requests) == 1
    assert (await acquirer.ask(values(tokens, 1, first.field))).get("response_code") == "05"
    await acquirer.close()
    await node.kill_worker()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(values(tokens, 1, first.field))).get("response_code") == "05"
    repeated = await acquirer.ask(asked, "0201")
    assert chip_of(repeated) == chip_of(answer)
    assert (await acquirer.ask(values(tokens, 1, tap(device, AMOUNT).field))).get(
        "response_code"
    ) == "00"
    assert len(bank.requests) == 2
    await acquirer.close()
    assert await node.stop() == 0


@pytest.mark.parametrize("killed", [False, True])
async def test_a_reversal_names_the_card_of_its_original(
    make_node: MakeNode, bank: Bank, killed: bool
) -> None:
    node, tokens, acquirer = await started(make_node, bank)
    asked = values(tokens, 1, tap(tokens.device(1), AMOUNT).field)
    assert (await acquirer.ask(asked)).get("response_code") == "00"
    # The card is replaced: the token leads elsewhere now, and is suspended on top of it.
    other = tokens.rows[3]
    tokens.change_row(
        1, pan_sealed=other.pan_sealed, card_row=other.card_row, mapping_version=2, state=3
    )
    if killed:
        await acquirer.close()
        await node.kill_worker()
        acquirer = await Acquirer.connect(node.acquirer)
    undone = await acquirer.ask(acquirer.reversal_of(asked), "0420")
    assert undone.get("response_code") == "00"
    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    assert bank.reversals[0].reveal("pan") == card(1)
    await acquirer.close()
    assert await node.stop() == 0


async def test_a_silent_bank_is_reversed_under_the_card(make_node: MakeNode, bank: Bank) -> None:
    bank.silent = True
    node, tokens, acquirer = await started(make_node, bank)
    answer = await acquirer.ask(values(tokens, 1, tap(tokens.device(1), AMOUNT).field))
    # The decision is ours, not the bank's: the device is told nothing.
    assert (answer.get("response_code"), answer.reveal("icc")) == ("91", None)
    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    assert bank.reversals[0].reveal("pan") == card(1)
    await acquirer.close()
    assert await node.stop() == 0


async def test_nothing_of_card_or_key_is_left_behind(make_node: MakeNode, bank: Bank) -> None:
    node, tokens, acquirer = await started(make_node, bank)
    for number in range(3):
        await acquirer.ask(values(tokens, number, tap(tokens.device(number), AMOUNT).field))
    await acquirer.close()
    assert await node.stop() == 0
    everything = b"".join(p.read_bytes() for p in node.directory.rglob("*") if p.is_file())
    for number in range(3):
        assert card(number).encode() not in everything
        assert bytes.fromhex(card(number)) not in everything
