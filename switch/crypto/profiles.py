"""Cryptogram profiles: whose cards, how keys are made, why a tap is refused. All work is native.

A ring of card master keys proves a tap in one native call (`Ring.verify`) and gives a `Proof`,
which also makes the issuer's answer, or a `Refusal`. An `Element` is the other side of a tap: the
device, in software.
"""

from enum import StrEnum
from typing import Final

from switch.native import emv

__all__ = [
    "FOUND",
    "PROFILES",
    "REASONS",
    "CardMaster",
    "Element",
    "Option",
    "Proof",
    "Refusal",
    "Ring",
    "Scheme",
    "Tapped",
    "card_master",
]

FOUND: Final = emv.FOUND
PROFILES: Final = ("unionpay-01", "visa-10", "visa-18")
REASONS: Final = emv.REASONS
CardMaster = emv.CardMaster
Element = emv.Element
Proof = emv.Proof
Refusal = emv.Refusal
Ring = emv.Ring
Tapped = emv.Tapped


class Scheme(StrEnum):
    """Who defines a card's application data; known by application identifier or by card range."""

    UNIONPAY = "unionpay"
    VISA = "visa"


class Option(StrEnum):
    """How a card's key comes from its master: a setting of the key, not a guess by length."""

    A = "A"
    B = "B"


def card_master(descriptor: int, option: Option, check_value: str) -> CardMaster:
    """Reads a card master key that never is a Python object from an open descriptor.

    `check_value` is six hexadecimal digits. Raises: KeyFileError when the descriptor holds no such
    key; ValueError when the check value is not hexadecimal.
    """
    return CardMaster.read(descriptor, option.value, bytes.fromhex(check_value))
