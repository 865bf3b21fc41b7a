"""One purchase with a test card: the smallest acquirer there is, for a first look and for trying a
link.

It signs on, sells once, takes the sale back when it is told to or when no answer comes, and signs
off. Test cards only: nobody types a real card number here, because the number is drawn.
"""

import asyncio
import time
from random import Random
from typing import Final

import msgspec
import uvloop

from switch.client.acquirer import (
    Acquirer,
    Answer,
    ConnectionBrokenError,
    Policy,
    reversal_values,
)
from switch.client.clock import next_stan
from switch.errors import UnreachableError
from switch.sim.cards import card_number, mask
from switch.wire import Dialect

__all__ = ["Paid", "Sale", "pay"]

CONNECT_S: Final = 10.0
"""A switch that is being started just now is waited for."""
CURRENCY: Final = "156"


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What is bought, and where."""

    institution_code: str
    prefix: str
    digits: str = "0000"
    """Digits 7 to 10 of the card: what the simulated bank does (docs/reference/test-cards.md)."""
    amount_minor: int
    terminal: str = "T0000001"
    merchant: str = "M00000000000001"
    patience_s: float = 30.0
    take_back: bool = False


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """How it went."""

    card: str
    """Masked."""
    amount_minor: int
    stan: str
    rrn: str
    code: str
    """Response code; empty when no answer came in time, which was reversed then."""
    auth_code: str
    ms: float
    reversed: bool
    """The reversal was acknowledged."""


def pay(dialect: Dialect, address: tuple[str, int], policy: Policy, sale: Sale) -> Paid:
    """Sells once. Raises: UnreachableError when the switch is not there or does not sign us on."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_pay(dialect, address, policy, sale))


async def _pay(dialect: Dialect, address: tuple[str, int], policy: Policy, sale: Sale) -> Paid:
    rng = Random()
    acquirer = Acquirer(dialect, [address], sale.institution_code, policy, rng)
    acquirer.start()
    try:
        await acquirer.ready(CONNECT_S)
        return await _sell(acquirer, sale, rng)
    finally:
        await acquirer.stop()


async def _sell(acquirer: Acquirer, sale: Sale, rng: Random) -> Paid:
    moment = acquirer.calendar.now()
    stan = rng.randint(1, 999_998)
    values: dict[str, str | bytes] = {
        "pan": card_number(sale.prefix, int(sale.digits), rng.randint(1, 99_999)),
        "processing_code": "000000",
        "amount": f"{sale.amount_minor:012d}",
        "transmission_time": moment.transmission,
        "stan": f"{stan:06d}",
        "local_time": moment.local_time,
        "local_date": moment.local_date,
        "mcc": "5411",
        "entry_mode": "071",
        "condition_code": "00",
        "acquirer_code": sale.institution_code,
        "rrn": f"{int(time.time()) % 1_000_000:06d}{stan:06d}",
        "terminal_id": sale.terminal,
        "merchant_id": sale.merchant,
        "currency": CURRENCY,
    }
    began_ns = time.monotonic_ns()
    exchange = acquirer.open("0200", values)
    if exchange is None:
        raise UnreachableError("the connection went before the purchase was sent")
    answer: Answer | None = None
    try:
        answer = await exchange.answer(sale.patience_s)
    except (TimeoutError, ConnectionBrokenError):
        exchange.give_up()
    ms = (time.monotonic_ns() - began_ns) / 1e6
    exchange.close()
    taken_back = sale.take_back or answer is None
    if taken_back:
        numbers = f"{next_stan(stan):06d}", acquirer.calendar.now().transmission
        async with asyncio.timeout(sale.patience_s):
            taken_back = (
                await acquirer.reverse(reversal_values("0200", values, *numbers))
            ).approved
    return Paid(
        card=mask(str(values["pan"])),
        amount_minor=sale.amount_minor,
        stan=str(values["stan"]),
        rrn=str(values["rrn"]),
        code=answer.code if answer else "",
        auth_code=answer.auth_code if answer else "",
        ms=round(ms, 1),
        reversed=taken_back,
    )
