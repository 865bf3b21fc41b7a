"""Test cards: Luhn-valid numbers of the test range 6299, and what the terminals buy with them.

Layout of a number: issuer's prefix (6), magic digits (4, see `switch.sim.magic`), serial (5), check
digit (1).
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import msgspec

from switch.sim.devices import CEILING, Device, Pocket
from switch.sim.magic import CODE_MIN, TABLE, Act, Trick

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

_DOUBLED: Final = str.maketrans("0123456789", "0246813579")

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


TAP_SHARE: Final = 0.9
"""Of the sales of a fleet that has devices; the rest are plain cards."""
TRICK_SHARE: Final = 0.03
"""Of the taps of a mixture with misbehaviour: something is wrong with them."""


class Purchase(msgspec.Struct, frozen=True, gc=False):
    """A card, or a device with its token, and an amount in minor units."""

    pan: str
    """What the terminal sends as the number: of a device, the token."""
    amount: int
    device: Device | None = None


def check_digit(digits: str) -> str:
    """The Luhn digit that makes `digits` + digit valid. **Source:** ISO/IEC 7812-1 annex B."""
    flat = digits[-1::-2].translate(_DOUBLED) + digits[-2::-2]
    return str((ord("0") * len(flat) - sum(flat.encode())) % 10)


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
    mixture. With a pocket of devices, most of them are taps.
    """

    def __init__(
        self,
        prefixes: Sequence[str],
        mixture: Mixture,
        rng: Random,
        pocket: Pocket | None = None,
        tap_share: float = TAP_SHARE,
    ) -> None:
        if not prefixes or sum(mixture.values()) > 1:
            raise ValueError("a wallet needs a prefix, and shares that sum to at most 1")
        self._rng = rng
        self._pocket = pocket
        self._tap_share = tap_share
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
        # Tricks are part of every mixture that has misbehaviour at all.
        self._tricks = TRICK_SHARE if mixture else 0.0

    def draw(self) -> Purchase:
        """One purchase of 1.00 to 89.99, or of a magic amount in the same order of size."""
        rng = self._rng
        pocket = self._pocket if rng.random() < self._tap_share else None
        if pocket is not None and rng.random() < self._tricks:
            return self._trick(pocket)
        amount = rng.randrange(100, CODE_MIN)
        if rng.random() < self._ordinary:
            return self._pay(pocket, 0, amount)
        act = rng.choices(self._acts, self._shares)[0]
        digits = rng.choice(self._rows[act])
        if rng.random() < 0.5:
            return self._pay(pocket, digits, amount)
        return self._pay(pocket, 0, digits)

    def _pay(self, pocket: Pocket | None, digits: int, amount: int) -> Purchase:
        device = pocket.draw(digits) if pocket is not None else None
        if device is not None:
            return Purchase(device.token, amount, device)
        cards = self._magic_cards[digits] if digits else self._cards
        return Purchase(self._rng.choice(cards), amount)

    def _trick(self, pocket: Pocket) -> Purchase:
        device = pocket.draw_trick()
        if device is None:
            return self._pay(pocket, 0, self._rng.randrange(100, CODE_MIN))
        above = device.magic is not None and device.magic.trick is Trick.ABOVE_CEILING
        low = CEILING + 1 if above else 100
        return Purchase(device.token, self._rng.randrange(low, CODE_MIN), device)
