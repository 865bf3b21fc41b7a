"""Taps at full rate beside suspends and resumes: what an order has answered, holds. Two thousand
orders in the suite, ten thousand in `make faults`.

Taps and orders are sent by one loop, so "before" and "after" are the order in which this process
saw them. A tap during which no order on its token was under way has one right answer.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from random import Random

from switch.control.tokens import Performs, connect
from switch.crypto.keyfile import open_keys
from switch.crypto.masters import open_masters
from switch.crypto.profiles import Element
from switch.settings.load import load
from switch.tokens.orders import By, CardGiven, Import, Imported, Provision, Resume, Suspend
from tests.support.node import MakeNode, Node
from tests.support.peer import Acquirer, Bank, Values, purchase, until
from tests.support.tokens import card
from tests.support.wallet import TOKENS, tap

ORDERS = 10_000 if os.environ.get("FAULTS_WHOLE") else 2_000
TOKEN_COUNT = 48
STEADY = 12
"""Of them are never suspended."""
TERMINALS = 6
SETTINGS = TOKENS.replace("atc_gap_max = 50", "atc_gap_max = 65535")
"""Devices count on while their token is suspended."""
BY = By(actor="linearity", reason="a test of order")


class Token:
    """A token, its device, and what is known of its state."""

    def __init__(self, number: str, device: Element) -> None:
        self.number = number
        self.device = device
        self.suspended = False
        self.step = 0
        """Goes up when an order on it begins, and when it has answered."""
        self.under_way = False


async def made_tokens(node: Node, gateway: Performs) -> list[Token]:
    settings = load(node.directory)
    assert settings.tokens is not None
    rows = [
        Provision(card=CardGiven(pan=card(n), expiry="3106"), requestor="12300000001")
        for n in range(TOKEN_COUNT)
    ]
    made = await gateway.perform(Import(by=BY, rows=rows))
    assert isinstance(made, Imported)
    masters = open_masters(
        settings.tokens.card_masters_file,
        open_keys(settings.keys.file, settings.keys.sealing_key_file),
    )
    return [
        Token(number, masters.element("unionpay-01", 1, number, 1, "3106"))
        for number in made.tokens
    ]


async def orders(gateway: Performs, tokens: list[Token], count: int, seed: int) -> None:
    """Suspends and resumes tokens of its own, in any order."""
    random = Random(seed)
    for _ in range(count):
        one = random.choice(tokens)
        one.under_way = True
        one.step += 1
        kind = Resume if one.suspended else Suspend
        await gateway.perform(kind(by=BY, token=one.number))
        one.suspended = not one.suspended
        one.step += 1
        one.under_way = False


async def taps(
    acquirer: Acquirer, tokens: list[Token], seed: int, seen: Counter[str], done: asyncio.Event
) -> None:
    """One terminal: the next tap when the last is answered."""
    random = Random(seed)
    while not done.is_set():
        one = random.choice(tokens)
        step, settled = one.step, not one.under_way
        chip = tap(one.device, 1250).field
        asked: Values = purchase(1250, pan=one.number, icc=chip)
        answer = await acquirer.ask(asked)
        code = str(answer.get("response_code"))
        seen[code] += 1
        if settled and one.step == step:
            expected = "62" if one.suspended else "00"
            assert code == expected, f"{code} although suspended is {one.suspended}"
            seen["settled " + code] += 1
        else:
            assert code in {"00", "62"}


def _parts(tokens: list[Token]) -> Iterator[list[Token]]:
    """Those that are suspended, for two who order: no token has two orders under way."""
    restless = tokens[STEADY:]
    yield restless[::2]
    yield restless[1::2]


async def test_an_order_that_has_answered_holds_for_every_tap_after_it(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()], tokens=SETTINGS).start()
    await until((node.data / "run" / "gateway.json").exists, 30, "gateway ready")
    seen: Counter[str] = Counter()
    async with connect(load(node.directory)) as gateway:
        tokens = await made_tokens(node, gateway)
        acquirers = [await Acquirer.connect(node.acquirer) for _ in range(TERMINALS)]
        done = asyncio.Event()
        terminals = [
            asyncio.create_task(taps(acquirer, tokens, number, seen, done))
            for number, acquirer in enumerate(acquirers)
        ]
        ordering = [
            asyncio.create_task(orders(gateway, part, ORDERS // 2, 100 + number))
            for number, part in enumerate(_parts(tokens))
        ]
        every = asyncio.gather(*ordering)
        # A terminal that ends has found something wrong.
        watched: set[asyncio.Future[object]] = {every, *terminals}  # type: ignore[arg-type]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        done.set()
        await asyncio.gather(*terminals)
        await every
    assert seen["settled 62"] > 100, seen
    assert seen["settled 00"] > 100, seen
    for acquirer in acquirers:
        await acquirer.close()
    assert await node.stop() == 0
