"""Tokens as rows of a vault, for tests that need no vault."""

import msgspec

from switch.model.pan import luhn_digit
from switch.native import index, journal

__all__ = ["TOKEN_PREFIX", "Row", "card", "row", "token"]

TOKEN_PREFIX = "629977"
CARD_PREFIX = "629900"


class Row(msgspec.Struct, frozen=True):
    """What `switch._native.index` reads of a token."""

    token: str
    pan_sealed: bytes
    card_row: int
    state: int = 2
    token_sequence: int = 1
    token_expiry: str = "3012"
    key_version: int = 1
    card_expiry: str = "3106"
    card_sequence: int | None = 2
    requestor: str = "12300000001"
    assurance: str = "1A"
    mapping_version: int = 1
    requestor_bound: bool = False
    channels: int = 0
    mccs: list[int] = []
    ceiling_minor: int | None = None
    ceiling_currency: int = 0
    currencies: list[int] = []
    not_before_s: int = 0
    not_after_s: int = 0


def _number(prefix: str, number: int) -> str:
    body = f"{prefix}{number:09d}"
    return body + luhn_digit(body)


def token(number: int) -> str:
    """Token `number`, 16 digits."""
    return _number(TOKEN_PREFIX, number)


def card(number: int) -> str:
    """The card behind it."""
    return _number(CARD_PREFIX, number)


def row(keys: journal.Keys, number: int, **changes: object) -> Row:
    """Token `number`, active and unrestricted unless `changes` says otherwise."""
    sealed = index.VaultKeys(keys).seal(card(number), number, 1)
    one = Row(token(number), sealed, number)
    return msgspec.structs.replace(one, **changes) if changes else one
