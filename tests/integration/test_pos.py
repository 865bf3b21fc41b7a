"""A terminal of China over real sockets: a tap in `pos-cn`, a bank in `iso87-ascii`."""

import asyncio
import itertools
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from switch.wire import Framer, Message
from tests.support.node import MakeNode, Node
from tests.support.peer import ACQUIRER_CODE, ROOT, Bank, Peer, Values, until
from tests.support.pos import POS, pos_message, reversal_of
from tests.support.tokens import card
from tests.support.wallet import TOKENS, TokenNode, tap

AMOUNT: Final = 1250
SPEAKS_POS: Final = 'dialect = "pos-cn"\nsign_on = false\necho_idle_s = 0'
_stans: Iterator[int] = itertools.count(int(time.time()) % 500_000)


class Terminal(Peer):
    """One connection of a terminal: what it sends is spelled out by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.framer = Framer(POS)

    @classmethod
    async def connect(cls, address: str) -> "Terminal":
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        _, terminal = await loop.create_connection(cls, host, int(port))
        return terminal

    async def ask(self, values: Values, mti: str = "0200", source: str = "0000") -> Message:
        """Sends a request from a TPDU address and returns the next message."""
        self.write(POS.encode(mti, values, {"tpdu.source": source}))
        return await self.next()


def place(directory: Path) -> None:
    """The dialect beside the settings."""
    shutil.copy(ROOT / "config" / "dialects" / "pos-cn.toml", directory / "dialects")


async def started(make_node: MakeNode, bank: Bank) -> tuple[Node, TokenNode, Terminal]:
    node = make_node([await bank.start()], acquirer=SPEAKS_POS, tokens=TOKENS)
    place(node.directory)
    tokens = TokenNode(node.directory)
    await node.start()
    return node, tokens, await Terminal.connect(node.acquirer)


def tapped(tokens: TokenNode, number: int, chip: bytes, **more: str) -> Values:
    """A terminal's purchase with a device: the token, what the chip said, and track 2."""
    one = tokens.rows[number]
    values = pos_message(
        "22",
        pan=one.token,
        amount=f"{AMOUNT:012d}",
        stan=f"{next(_stans):06d}",
        expiry=one.token_expiry,
        card_sequence=f"{one.token_sequence:03d}",
        icc=chip,
    )
    return {**values, **more}


async def test_a_tap_goes_to_the_bank_as_a_card_and_comes_back_to_its_terminal(
    make_node: MakeNode, bank: Bank
) -> None:
    node, tokens, terminal = await started(make_node, bank)
    chip = tap(tokens.device(1), AMOUNT)
    values = tapped(tokens, 1, chip.field, track2=f"{tokens.rows[1].token}=3012201")
    answer = await terminal.ask(values, source="4711")
    assert (answer.mti, answer.get("response_code")) == ("0210", "00")
    assert answer.header["tpdu.destination"] == "4711"
    assert answer.header["tpdu.source"] == "0006"
    assert chip.check(bytes.fromhex(answer.reveal("icc") or ""), "00") == "genuine"
    assert answer.reveal("pan") == tokens.rows[1].token
    (seen,) = bank.requests
    assert seen.reveal("pan") == card(1)
    for hidden in ("icc", "track2", "pin_block", "mac"):
        assert seen.reveal(hidden) is None
    assert seen.get("reserved_private_63.01") == "1"
    assert seen.get("mcc") == "5411"
    assert seen.get("acquirer_code") == ACQUIRER_CODE
    for name in ("rrn", "local_time", "local_date"):
        assert answer.get(name) == seen.get(name) is not None
    assert answer.get("auth_code") == "A00001"
    assert answer.reveal("additional_response") == "20001".ljust(11) + ACQUIRER_CODE.ljust(11)
    # The same once more, from another place: the stored answer, to where it asks from.
    again = await terminal.ask(values, source="4712")
    for name in ("rrn", "local_time", "local_date", "auth_code", "response_code"):
        assert again.get(name) == answer.get(name)
    assert again.header["tpdu.destination"] == "4712"
    assert len(bank.requests) == 1
    # Its reversal names it by terminal, merchant, batch and trace number.
    undone = await terminal.ask(reversal_of(values), "0400")
    assert (undone.mti, undone.get("response_code")) == ("0410", "00")
    assert undone.get("rrn") == answer.get("rrn")
    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    (reversal,) = bank.reversals
    assert reversal.get("original_data.stan") == seen.get("stan")
    assert reversal.reveal("pan") == card(1)
    assert reversal.get("rrn") == answer.get("rrn")
    await terminal.close()
    assert await node.stop() == 0


async def test_a_silent_bank_is_98_and_reversed(make_node: MakeNode, bank: Bank) -> None:
    bank.silent = True
    node, tokens, terminal = await started(make_node, bank)
    values = tapped(tokens, 2, tap(tokens.device(2), AMOUNT).field)
    answer = await terminal.ask(values)
    assert answer.get("response_code") == "98"
    assert (await terminal.ask(values)).get("response_code") == "98", "and so is its repeat"
    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    assert bank.reversals[0].get("rrn") == bank.requests[0].get("rrn")
    # A question about a balance is not taken back: no money moved.
    stan = f"{next(_stans):06d}"
    asked = pos_message("01", processing_code="310000", amount=None, stan=stan)
    assert (await terminal.ask(asked)).get("response_code") == "98"
    await until(lambda: len(bank.requests) == 2, what="question at the bank")
    assert bank.requests[1].mti == "0200"
    bank.silent = False
    bank.on_request = lambda link, message: link.answer(
        message, "0210", response_code="00", additional_amounts="3001156C000001797100"
    )
    asked = pos_message("01", processing_code="310000", amount=None, stan=f"{next(_stans):06d}")
    answer = await terminal.ask(asked)
    assert answer.get("response_code") == "00"
    assert answer.reveal("additional_amounts") == "3001156C000001797100"
    assert len(bank.reversals) == 1
    await terminal.close()
    assert await node.stop() == 0


async def test_a_kill_in_the_middle_leaves_terminal_and_bank_agreeing(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.silent = True
    node, tokens, terminal = await started(make_node, bank)
    values = tapped(tokens, 3, tap(tokens.device(3), AMOUNT).field)
    terminal.write(POS.encode("0200", values))
    await until(lambda: len(bank.requests) == 1, what="request at the bank")
    await node.kill_worker()
    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    assert bank.reversals[0].get("rrn") == bank.requests[0].get("rrn")
    assert bank.reversals[0].reveal("pan") == card(3)
    again = await Terminal.connect(node.acquirer)
    answer = await again.ask(values, source="0815")
    assert answer.get("response_code") == "98"
    assert answer.get("rrn") == bank.requests[0].get("rrn")
    assert answer.header["tpdu.destination"] == "0815"
    # What the table does not have is answered 12, what lacks a field 30.
    void = pos_message("23", processing_code="200000", stan=f"{next(_stans):06d}")
    assert (await again.ask(void)).get("response_code") == "12"
    lacking = pos_message(merchant_id=None, stan=f"{next(_stans):06d}")
    assert (await again.ask(lacking)).get("response_code") == "30"
    await again.close()
    assert await node.stop() == 0


KEEP_ALIVE: Final = ('framing = "length2"', 'framing = { length = "ascii4", keep_alive = "echo" }')


async def test_a_keep_alive_is_answered_on_a_link_of_four_digits(
    make_node: MakeNode, bank: Bank
) -> None:
    node = make_node([await bank.start()], acquirer="sign_on = false")
    text = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")
    text = text.replace(*KEEP_ALIVE)
    (node.directory / "dialects" / "iso87-ascii.toml").write_text(text, encoding="utf-8")
    await node.start()
    host, _, port = node.acquirer.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"0000")
    assert await asyncio.wait_for(reader.readexactly(4), 5) == b"0000"
    writer.write(b"00")
    await writer.drain()
    writer.write(b"000000")
    assert await asyncio.wait_for(reader.readexactly(8), 5) == b"00000000"
    writer.close()
    assert await node.stop() == 0
