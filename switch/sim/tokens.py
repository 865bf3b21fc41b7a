"""Tokens for simulators: which are to be issued for which test cards, and the files that say so.

A test token is laid out as a test card (`switch.sim.cards`): range (6), four digits, serial (5),
check digit. From 9000 on the digits are those of its card; below they are ordinary, or a row of
`switch.sim.magic.TAPS`.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import msgspec

from switch.sim.cards import card_number
from switch.sim.devices import CEILING, TOKEN_COLUMNS
from switch.sim.magic import TABLE, TAPS, Act, Trick

__all__ = ["IMPORT_COLUMNS", "Issued", "issue", "write_import", "write_tokens"]

REQUESTOR: Final = "62900000001"
EXPIRY: Final = "3112"
PASSED: Final = "2001"
"""Expiry of a token whose month has passed."""
MAGIC_EACH: Final = 50
"""Tokens of each magic row."""
SERIALS: Final = 100_000
PROFILES: Final = ("unionpay-01", "unionpay-01", "visa-10", "visa-18")
"""Half of the devices are of one scheme."""
BUSES: Final = "4111"
"""Merchant category of local transport."""
CURRENCY: Final = 156
IMPORT_COLUMNS: Final = (
    "pan", "card_expiry", "card_sequence", "token", "token_expiry", "token_sequence", "requestor",
    "assurance", "suspended", "mccs", "ceiling_minor", "ceiling_currency",
)  # fmt: skip
"""Of what `tapswitch token import` reads."""


class Issued(msgspec.Struct, frozen=True):
    """One token and the card behind it."""

    token: str
    pan: str
    profile: str
    expiry: str = EXPIRY
    sequence: int = 1
    trick: Trick = Trick.NOTHING

    @property
    def known(self) -> bool:
        """False for a number that the switch never hears of."""
        return self.trick is not Trick.UNKNOWN


def issue(token_range: str, prefixes: Sequence[str], count: int) -> Iterator[Issued]:
    """`count` tokens of a six-digit range for cards of these banks, some of them magic.

    Raises ValueError when the range has no room for so many.
    """
    if count > min(TAPS) * SERIALS:
        raise ValueError(f"range {token_range} has no room for {count} tokens")
    magic = [digits for digits, row in TABLE.items() if row.act is not Act.APPROVE]
    each = min(MAGIC_EACH, count // 20 // (len(magic) + len(TAPS)))
    number = 0
    for digits in (*TAPS, *magic):
        for serial in range(each):
            yield _issued(token_range, prefixes, digits, serial, number)
            number += 1
    for serial in range(count - number):
        # Ordinary tokens go on behind the hundred thousand serials of their first four digits.
        digits, rest = divmod(serial, SERIALS)
        yield _issued(token_range, prefixes, digits, rest, number + serial)


def _issued(
    token_range: str, prefixes: Sequence[str], digits: int, serial: int, number: int
) -> Issued:
    row = TAPS.get(digits)
    trick = row.trick if row else Trick.NOTHING
    prefix = prefixes[number % len(prefixes)]
    return Issued(
        card_number(token_range, digits, serial),
        card_number(prefix, digits, serial),
        PROFILES[number % len(PROFILES)],
        PASSED if trick is Trick.EXPIRED else EXPIRY,
        trick=trick,
    )


def write_import(stream: TextIO, tokens: Iterable[Issued]) -> int:
    """Writes what `tapswitch token import` reads; returns how many tokens. It holds card numbers:
    keep it in memory."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(IMPORT_COLUMNS)
    count = 0
    for one in tokens:
        if one.known:
            writer.writerow(_import_row(one))
            count += 1
    return count


def _import_row(one: Issued) -> tuple[object, ...]:
    bound = one.trick is Trick.ABOVE_CEILING
    return (
        one.pan, EXPIRY, "1", one.token, one.expiry, one.sequence, REQUESTOR, "1A",
        "yes" if one.trick is Trick.SUSPENDED else "no",
        BUSES if one.trick is Trick.WRONG_MERCHANT else "",
        CEILING if bound else "", CURRENCY if bound else "",
    )  # fmt: skip


def write_tokens(file: Path, tokens: Iterable[Issued]) -> None:
    """The file that `tapswitch sim terminal --tokens` reads; tokens only, no card numbers."""
    with file.open("w", encoding="ascii", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(TOKEN_COLUMNS)
        writer.writerows(
            (one.token, one.sequence, one.expiry, REQUESTOR, one.profile) for one in tokens
        )
