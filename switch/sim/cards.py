"""Test cards: Luhn-valid numbers of the test range 6299, and what the terminals buy with them.

Layout of a number: issuer's prefix (6), magic digits (4, see `switch.sim.magic`), serial (5), check
digit (1).
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import msgspec

from switch.sim.magic import CODE_MIN, TABLE, Act

__all__ = [
    "APPROVING",
    "DEMO",
    "HARSH",
    "Mixture",
    "Purchase",
    "Wallet",
    "card_number",
    "check_digit",
    "luhn_valid",
    "mask",
]

ACCOUNTS_PER_PREFIX: Final = 1000
"""Ordinary cards of one bank; few enough that accounts are used again and again."""

Mixture = Mapping[Act, float]

APPROVING: Final[Mixture] = {}
"""Ordinary cards only."""

DEMO: Final[Mixture] = {
    Act.DECLINE: 0.05,
    Act.SLOW: 0.02,
    Act.SILENT: 0.005,
    Act.LOST: 0.002,
    Act.LATE: 0.004,
    Act.LATE_DECLINE: 0.001,
    Act.DUPLICATE: 0.003,
    Act.WRONG_STAN: 0.002,
    Act.WRONG_TERMINAL: 0.002,
    Act.PARTIAL: 0.003,
    Act.UNKNOWN_CODE: 0.002,
}
"""Share of each misbehaviour in the demonstration; the rest are ordinary purchases. Connections
stay up.
"""


HARSH: Final[Mixture] = dict.fromkeys(
    (act for act in Act if act not in (Act.ORDINARY, Act.APPROVE)), 0.04
)
"""Every misbehaviour equally often, broken connections included; for tests, not for looking at."""


class Purchase(msgspec.Struct, frozen=True, gc=False):
    """A card and an amount in minor units."""

    pan: str
    amount: int


def check_digit(digits: str) -> str:
    """The Luhn digit that makes `digits` + digit valid. **Source:** ISO/IEC 7812-1 annex B."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit)
        if index % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return str(-total % 10)


def luhn_valid(pan: str) -> bool:
    """True for a string of digits whose last one is its Luhn digit."""
    return len(pan) > 1 and pan.isdigit() and check_digit(pan[:-1]) == pan[-1]


def card_number(prefix: str, digits: int = 0, serial: int = 1) -> str:
    """A test card of the bank with this 6-digit prefix.

    `digits` 0 gives an ordinary card, else a row of the magic table; `serial` 0..99999 tells cards
    apart.
    """
    if not (len(prefix) == 6 and prefix.startswith("6299") and prefix.isdigit()):
        raise ValueError(f"test cards live in 629900..629999, not {prefix}")
    body = f"{prefix}{digits:04d}{serial:05d}"
    return body + check_digit(body)


def mask(pan: str) -> str:
    """First six and last four."""
    return f"{pan[:6]}{'*' * (len(pan) - 10)}{pan[-4:]}"


class Wallet:
    """Draws purchases: mostly ordinary, some magic by card and some by amount, in the shares of a
    mixture.
    """

    def __init__(self, prefixes: Sequence[str], mixture: Mixture, rng: Random) -> None:
        if not prefixes or sum(mixture.values()) > 1:
            raise ValueError("a wallet needs a prefix, and shares that sum to at most 1")
        self._rng = rng
        self._cards = [
            card_number(prefix, serial=serial)
            for prefix in prefixes
            for serial in range(ACCOUNTS_PER_PREFIX)
        ]
        rows = {act: [digits for digits, row in TABLE.items() if row.act is act] for act in mixture}
        self._acts = list(mixture)
        self._shares = [mixture[act] for act in self._acts]
        self._ordinary = 1 - sum(self._shares)
        self._rows = rows
        self._magic_cards = {
            digits: [
                card_number(prefix, digits, serial) for prefix in prefixes for serial in range(50)
            ]
            for several in rows.values()
            for digits in several
        }

    def draw(self) -> Purchase:
        """One purchase of 1.00 to 89.99, or of a magic amount in the same order of size."""
        rng = self._rng
        amount = rng.randrange(100, CODE_MIN)
        if rng.random() < self._ordinary:
            return Purchase(rng.choice(self._cards), amount)
        act = rng.choices(self._acts, self._shares)[0]
        digits = rng.choice(self._rows[act])
        if rng.random() < 0.5:
            return Purchase(rng.choice(self._magic_cards[digits]), amount)
        return Purchase(rng.choice(self._cards), digits)
