"""A token as the vault has it: what native code reads to write the index, and what may be shown."""

from typing import Any, Final

import msgspec

from switch.model.token import Domain, Medium, TokenState
from switch.native import index
from switch.tokens.orders import Mapping, Shown

__all__ = ["COLUMNS", "TokenRow", "numbers_of", "row_of", "shown", "text_of"]


class TokenRow(msgspec.Struct, frozen=True):
    """One row; the names are those that `switch._native.index.Row` reads. The card number is
    sealed."""

    id: int
    token: str
    state: int
    token_sequence: int
    token_expiry: str
    requestor: str
    assurance: str
    medium: int
    requestor_bound: bool
    channels: int
    mccs: list[int]
    ceiling_minor: int | None
    ceiling_currency: int
    currencies: list[int]
    not_before_s: int
    not_after_s: int
    card_row: int
    card_expiry: str
    card_sequence: int | None
    mapping_version: int
    change: int
    created_ms: int
    changed_ms: int
    pan_sealed: bytes
    key_version: int
    par: str | None

    def __repr__(self) -> str:
        return f"<TokenRow {self.id}>"


COLUMNS: Final = (
    "t.id, t.token, t.state, t.token_sequence, t.token_expiry, t.requestor, t.assurance, t.medium,"
    " t.requestor_bound, t.channels, t.mccs, t.ceiling_minor, t.ceiling_currency, t.currencies,"
    " t.not_before_s, t.not_after_s, t.card, t.card_expiry, t.card_sequence, t.mapping_version,"
    " t.change, t.created_ms, t.changed_ms, c.pan_sealed, c.key_version, c.par"
)
"""Columns of tokens t and cards c in the order of the fields."""

_BOUND: Final = 8
_MCCS: Final = 10
_CURRENCIES: Final = 13


def row_of(values: tuple[Any, ...]) -> TokenRow:
    """Of a row of COLUMNS."""
    fields = list(values)
    fields[_BOUND] = bool(fields[_BOUND])
    fields[_MCCS] = numbers_of(fields[_MCCS])
    fields[_CURRENCIES] = numbers_of(fields[_CURRENCIES])
    return TokenRow(*fields)


def numbers_of(text: str) -> list[int]:
    """Of a list as the vault keeps it: numbers with commas."""
    return [int(part) for part in text.split(",")] if text else []


def text_of(numbers: tuple[int, ...]) -> str:
    """A list as the vault keeps it."""
    return ",".join(map(str, numbers))


def shown(
    row: TokenRow,
    keys: index.VaultKeys,
    now_month: str,
    *,
    changed: bool = True,
    history: list[Mapping] | None = None,
) -> Shown:
    """What may be shown; `now_month` is YYMM in UTC. Raises: VaultError when the card's number does
    not open."""
    return Shown(
        token=row.token,
        state=TokenState(row.state).name.lower(),
        expired=row.token_expiry < now_month,
        token_expiry=row.token_expiry,
        token_sequence=row.token_sequence,
        pan=keys.masked(row.pan_sealed, row.card_row, row.key_version),
        card_expiry=row.card_expiry,
        card_sequence=row.card_sequence,
        par=row.par or "",
        requestor=row.requestor,
        assurance=row.assurance,
        medium=Medium(row.medium).name.lower(),
        domain=Domain(
            requestor_bound=row.requestor_bound,
            channels=row.channels,
            mccs=tuple(row.mccs),
            ceiling_minor=row.ceiling_minor,
            ceiling_currency=row.ceiling_currency,
            currencies=tuple(row.currencies),
            not_before_s=row.not_before_s,
            not_after_s=row.not_after_s,
        ),
        mapping_version=row.mapping_version,
        created_ms=row.created_ms,
        changed_ms=row.changed_ms,
        changed=changed,
        history=history or [],
    )
