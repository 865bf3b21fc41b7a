"""A terminal's sign-on, sans-IO: what came of it and where it stands in, what to do out.

A link of terminals has no session of its own: each terminal signs on, downloads its work keys and
signs off by itself, many on one connection or one on many. Where it stands is looked up natively
(`walk.Gate.standing`); this is the table of what follows.

**Source:** the POS terminals of China UnionPay as public captures show them: 0800 with field 60.3
001, 003 or 004 (keys in field 62), 0820 with 002 (sign-off), 301 (echo).
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

from switch.model import end
from switch.model.response import (
    APPROVED,
    INVALID_MERCHANT,
    INVALID_TRANSACTION,
    MAC_ERROR,
    UNKNOWN_TERMINAL,
)

__all__ = [
    "SIGN_ON_AGAIN",
    "TABLE",
    "TERMINAL_CODES",
    "Act",
    "Standing",
    "Wanted",
    "refusal",
    "wanted",
]


@unique
class Standing(IntEnum):
    """Where a terminal stands. Mirrored by native/src/terminal/signed.rs."""

    UNKNOWN = 0
    """Nobody's terminal, or a retired one."""
    MERCHANT = 1
    """It is another merchant's."""
    KEYLESS = 2
    """It has no work keys: never signed on, or signed off."""
    SIGNED_ON = 3


@unique
class Wanted(IntEnum):
    """What a network management message of a terminal asks for."""

    SIGN_ON = 0
    SIGN_OFF = 1
    ECHO = 2
    ODD = 3
    """Something that we do not do."""


@unique
class Act(IntEnum):
    """What is done about it."""

    ISSUE = 0
    """New work keys, recorded before they are told; what was good stays good until they are
    used."""
    FORGET = 1
    """Its work keys are void."""
    ANSWER = 2
    REFUSE_TERMINAL = 3
    REFUSE_MERCHANT = 4
    REFUSE_ODD = 5


SIGN_ON_CODES: Final = frozenset({"001", "003", "004"})
CODES: Final[Mapping[str, Wanted]] = {
    **dict.fromkeys(SIGN_ON_CODES, Wanted.SIGN_ON),
    "002": Wanted.SIGN_OFF,
    "301": Wanted.ECHO,
}

_NOBODY: Final = dict.fromkeys(Wanted, Act.REFUSE_TERMINAL)
_STRANGE: Final = dict.fromkeys(Wanted, Act.REFUSE_MERCHANT)

TABLE: Final[Mapping[Standing, Mapping[Wanted, Act]]] = {
    Standing.UNKNOWN: _NOBODY,
    Standing.MERCHANT: _STRANGE,
    Standing.KEYLESS: {
        Wanted.SIGN_ON: Act.ISSUE,
        # Whoever signed off and did not hear of it signs off again.
        Wanted.SIGN_OFF: Act.ANSWER,
        Wanted.ECHO: Act.ANSWER,
        Wanted.ODD: Act.REFUSE_ODD,
    },
    Standing.SIGNED_ON: {
        Wanted.SIGN_ON: Act.ISSUE,
        Wanted.SIGN_OFF: Act.FORGET,
        Wanted.ECHO: Act.ANSWER,
        Wanted.ODD: Act.REFUSE_ODD,
    },
}

TERMINAL_CODES: Final[Mapping[Act, str]] = {
    Act.ANSWER: APPROVED,
    Act.REFUSE_TERMINAL: UNKNOWN_TERMINAL,
    Act.REFUSE_MERCHANT: INVALID_MERCHANT,
    Act.REFUSE_ODD: INVALID_TRANSACTION,
}
"""The code that an act answers; `ISSUE` and `FORGET` answer by their record."""

SIGN_ON_AGAIN: Final = ("processing_request", 3)
"""Part and digit of the header by which an answer asks a terminal to sign on again."""


def wanted(network_code: str | None) -> Wanted:
    """By field 60.3."""
    return CODES.get(network_code or "", Wanted.ODD)


def refusal(reason: str) -> tuple[str, str, bool]:
    """For a financial message whose code was not proved, by the guard's `reason`: response code,
    end code, and whether signing on again may help."""
    if reason == "unknown":
        return UNKNOWN_TERMINAL, end.FIELD_RULE, False
    if reason == "merchant":
        return INVALID_MERCHANT, end.FIELD_RULE, False
    if reason == "keyless":
        return MAC_ERROR, end.NOT_SIGNED_ON, True
    return MAC_ERROR, end.PROOF, True
