"""Making tokens, one or fifty thousand: what is given is judged, card numbers are sealed and hashed
natively, and all rows go into the vault in one transaction."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from switch.database.pool import Transaction
from switch.errors import TokenError
from switch.model.token import (
    REQUESTOR_DIGITS,
    TOKEN_DIGITS_MAX,
    TOKEN_DIGITS_MIN,
    TokenState,
)
from switch.native import index
from switch.tokens.numbers import Ranges, is_expiry, luhn_valid
from switch.tokens.orders import CardGiven, Provision
from switch.tokens.record import TokenRow, text_of
from switch.tokens.vault import Vault

__all__ = ["Cards", "KnownCard", "card_problem", "make", "problem"]

PAR_CHARACTERS: Final = 29
"""Four of the BIN controller, 25 of its own (EMV Payment Tokenisation framework 2.3)."""
SEQUENCE_MAX: Final = 99
DRAWS_MAX: Final = 20
"""A range in which so many draws in a row are taken is as good as full."""
DRAWN_MIN: Final = 64
"""Numbers of one draw at least: of a range that is nearly full the last ones are found too."""


def card_problem(card: CardGiven, ranges: Ranges) -> str:
    """Why the card cannot stand behind a token; '' when it can. Quotes nothing."""
    pan = card.pan
    if not (pan.isascii() and pan.isdecimal()):
        return "the card number has other characters than digits"
    if not TOKEN_DIGITS_MIN <= len(pan) <= TOKEN_DIGITS_MAX:
        return (
            f"the card number has {len(pan)} digits, not {TOKEN_DIGITS_MIN} to {TOKEN_DIGITS_MAX}"
        )
    if not luhn_valid(pan):
        return "the card number's check digit is wrong"
    if ranges.touches(pan):
        return "the card number lies in a token range"
    if not is_expiry(card.expiry):
        return "the card's expiry is not YYMM"
    if card.sequence is not None and not 0 <= card.sequence <= SEQUENCE_MAX:
        return "the card's sequence number is not 0 to 99"
    if card.par and not (
        len(card.par) == PAR_CHARACTERS and card.par.isalnum() and card.par.isupper()
    ):
        return f"the PAR is not {PAR_CHARACTERS} upper-case letters and digits"
    return ""


def problem(wanted: Provision, ranges: Ranges) -> str:
    """Why the token cannot be made; '' when it can, as far as can be told without the vault."""
    token, requestor, assurance = wanted.token, wanted.requestor, wanted.assurance
    if found := card_problem(wanted.card, ranges):
        return found
    if not (len(requestor) == REQUESTOR_DIGITS and requestor.isascii() and requestor.isdecimal()):
        return f"the requestor is not {REQUESTOR_DIGITS} digits"
    if not (len(assurance) == 2 and assurance.isascii() and assurance.isalnum()):
        return "the assurance method is not two characters"
    if wanted.token_expiry and not is_expiry(wanted.token_expiry):
        return "the token's expiry is not YYMM"
    if not 0 <= wanted.token_sequence <= SEQUENCE_MAX:
        return "the token's sequence number is not 0 to 99"
    if token:
        if not (token.isascii() and token.isdecimal() and ranges.holds(token)):
            return "the token lies in no token range"
        if not luhn_valid(token):
            return "the token's check digit is wrong"
        if len(token) != len(wanted.card.pan):
            return "the token is not as long as its card number"
    return ""


class KnownCard(msgspec.Struct, frozen=True):
    """A card's row."""

    row: int
    sealed: bytes
    key_version: int
    par: str | None

    def __repr__(self) -> str:
        return f"<KnownCard {self.row}>"


class Cards:
    """Finds and adds cards by number."""

    def __init__(self, keys: index.VaultKeys, key_version: int) -> None:
        self._keys = keys
        self._version = key_version

    def hashes(self, pan: str) -> list[bytes]:
        """Under every key version, the newest first."""
        return [self._keys.hash(pan, version) for version in range(self._version, 0, -1)]

    async def enter(
        self, txn: Transaction, cards: Sequence[CardGiven], now_ms: int
    ) -> list[KnownCard]:
        """The row of each card, made where there is none. Raises: TokenError when a card has
        another PAR already."""
        hashed = [self.hashes(card.pan) for card in cards]
        wanted = {one for hashes in hashed for one in hashes}
        known = {
            one: KnownCard(*values)
            for one, values in (await Vault.cards_by_hash(txn, list(wanted))).items()
        }
        last, _ = await Vault.last_ids(txn)
        fresh: list[tuple[object, ...]] = []
        entered = []
        for card, hashes in zip(cards, hashed, strict=True):
            found = next((known[one] for one in hashes if one in known), None)
            if found is None:
                last += 1
                sealed = self._keys.seal(card.pan, last, self._version)
                found = KnownCard(last, sealed, self._version, card.par or None)
                fresh.append((last, sealed, hashes[0], self._version, found.par, now_ms))
                known[hashes[0]] = found
            elif card.par and card.par != found.par:
                found = await self._with_par(txn, found, card.par, fresh)
                known[hashes[0]] = found
            entered.append(found)
        await Vault.add_cards(txn, fresh)
        return entered

    @staticmethod
    async def _with_par(
        txn: Transaction, found: KnownCard, par: str, fresh: list[tuple[object, ...]]
    ) -> KnownCard:
        if found.par or any(row[0] == found.row for row in fresh):
            raise TokenError("the card has another PAR", help="a PAR never changes")
        await Vault.set_par(txn, found.row, par)
        return msgspec.structs.replace(found, par=par)

    async def rows(self, txn: Transaction, pan: str) -> list[int]:
        """Rows of the cards with this number."""
        found = await Vault.cards_by_hash(txn, self.hashes(pan))
        return [row for row, *_ in found.values()]


async def _numbers(txn: Transaction, wanted: Sequence[Provision], ranges: Ranges) -> list[str]:
    """A token for each, given or drawn. Raises: TokenError when one is taken, or a range is
    full."""
    given = [one.token for one in wanted if one.token]
    if len(set(given)) < len(given) or await Vault.taken(txn, given):
        raise TokenError("a token that is given exists already", help="give another, or none")
    used = set(given)
    drawn: dict[int, list[str]] = {}
    for length in {len(one.card.pan) for one in wanted if not one.token}:
        count = sum(1 for one in wanted if not one.token and len(one.card.pan) == length)
        found: set[str] = set()
        for _ in range(DRAWS_MAX):
            wanting = count - len(found)
            candidates = set(ranges.draw(length, max(wanting, DRAWN_MIN))) - used - found
            free = candidates - await Vault.taken(txn, list(candidates))
            found |= set(islice(free, wanting))
            if len(found) == count:
                break
        else:
            raise TokenError(
                f"the token range of {length} digits is as good as full",
                help="add a range to [tokens] ranges",
            )
        drawn[length] = list(found)
    return [one.token or drawn[len(one.card.pan)].pop() for one in wanted]


async def make(
    txn: Transaction,
    wanted: Sequence[Provision],
    cards: Cards,
    ranges: Ranges,
    change: int,
    now_ms: int,
) -> list[TokenRow]:
    """Makes the tokens; their rows in the order of `wanted`. Raises: TokenError."""
    numbers = await _numbers(txn, wanted, ranges)
    known = await cards.enter(txn, [one.card for one in wanted], now_ms)
    _, last = await Vault.last_ids(txn)
    # Rows in the order of their numbers: neighbours in the index of numbers are written together.
    place = {number: last + n for n, number in enumerate(sorted(numbers), 1)}
    rows = [
        _row(one, number, place[number], card, change, now_ms)
        for one, number, card in zip(wanted, numbers, known, strict=True)
    ]
    await Vault.add_tokens(txn, sorted(map(_values, rows)))
    return rows


def _row(
    one: Provision, number: str, row: int, card: KnownCard, change: int, now_ms: int
) -> TokenRow:
    domain = one.domain
    return TokenRow(
        row,
        number,
        int(TokenState.SUSPENDED if one.suspended else TokenState.ACTIVE),
        one.token_sequence,
        one.token_expiry or one.card.expiry,
        one.requestor,
        one.assurance,
        int(one.medium),
        domain.requestor_bound,
        domain.channels,
        list(domain.mccs),
        domain.ceiling_minor,
        domain.ceiling_currency,
        list(domain.currencies),
        domain.not_before_s,
        domain.not_after_s,
        card.row,
        one.card.expiry,
        one.card.sequence,
        1,
        change,
        now_ms,
        now_ms,
        card.sealed,
        card.key_version,
        card.par,
    )


def _values(row: TokenRow) -> tuple[object, ...]:
    """Columns of the table tokens."""
    values = msgspec.structs.astuple(row)
    return (
        *values[:10],
        text_of(values[10]),
        *values[11:13],
        text_of(values[13]),
        *values[14:23],
    )
