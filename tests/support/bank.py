"""A simulated bank on this loop, and an acquirer's client connected straight to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from switch.client.acquirer import Acquirer, Policy
from switch.sim.cards import card_number
from switch.sim.issuer import Issuer, IssuerPlan
from switch.sim.ledger import Booking, Ledger, read_bookings
from switch.sim.steering import load_dialect

__all__ = ["ACQUIRER_CODE", "PREFIX", "Bench", "bench", "purchase"]

PREFIX = "629901"
ACQUIRER_CODE = "00000010001"


class Bench(msgspec.Struct):
    """Both ends, and the bank's ledger."""

    issuer: Issuer
    acquirer: Acquirer
    path: Path

    def bookings(self) -> list[Booking]:
        return list(read_bookings(self.path))


@asynccontextmanager
async def bench(tmp_path: Path, policy: Policy | None = None, **plan: Any) -> AsyncIterator[Bench]:
    """A bank that answers within 2 ms unless `plan` says otherwise, and a signed-on client."""
    dialect = load_dialect(None)
    settings: dict[str, Any] = {
        "fast_ms": (0.5, 2.0),
        "slow_share": 0.0,
        "slow_ms": 60.0,
        "late_ms": 150.0,
    } | plan
    whole = IssuerPlan("BANK01", "00000020001", (PREFIX,), listen=("127.0.0.1", 0), **settings)
    path = tmp_path / "bank.jsonl"
    with Ledger(path) as ledger:
        issuer = Issuer(whole, dialect, ledger, Random(7))
        await issuer.start()
        assert issuer.address is not None
        quick = policy or Policy(connections=2, reversal_retry=0.1)
        acquirer = Acquirer(dialect, [issuer.address], ACQUIRER_CODE, quick, Random(8))
        acquirer.start()
        await acquirer.ready()
        try:
            yield Bench(issuer, acquirer, path)
        finally:
            await acquirer.stop()
            await issuer.stop()


def purchase(number: int, digits: int = 0, amount: int = 5000) -> dict[str, str | bytes]:
    """A purchase's values; `number` makes its STAN and reference, `digits` its magic."""
    return {
        "pan": card_number(PREFIX, digits),
        "processing_code": "000000",
        "amount": f"{amount:012d}",
        "transmission_time": "1123100000",
        "stan": f"{number:06d}",
        "entry_mode": "071",
        "condition_code": "00",
        "acquirer_code": ACQUIRER_CODE,
        "rrn": f"A{number:011d}",
        "terminal_id": "T0000001",
        "merchant_id": "M00000000000001",
        "currency": "156",
    }
