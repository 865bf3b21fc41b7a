"""Devices of payers: each a secure element in software that holds one token.

A token file says which tokens there are: CSV with the columns of `TOKEN_COLUMNS`. Devices come into
being when they are first drawn, of the card masters of a node with demo keys.
"""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from switch.crypto.masters import DEMO_INDEX, CardMasters
from switch.crypto.profiles import Element, Tapped
from switch.errors import OperatorError
from switch.sim.magic import TAPS, MagicTap, Trick, find_tap

__all__ = ["CEILING", "TOKEN_COLUMNS", "Device", "Pocket"]

TOKEN_COLUMNS: Final = ("token", "token_sequence", "token_expiry", "requestor", "profile")
CEILING: Final = 5_000
"""What a token that is used above its ceiling allows, in minor units."""
COPIED: Final = 3
"""Devices of a fleet of which there are copies."""
TOLD: Final = "5F34 9F19"
"""What devices tell beside their cryptogram."""


class Device(msgspec.Struct, gc=False):
    """One token in somebody's hand."""

    token: str
    sequence: int
    expiry: str
    element: Element
    magic: MagicTap | None
    spent: int = 0
    """A counter that the switch has certainly seen; 0 for none."""

    @property
    def trick(self) -> Trick:
        """What is wrong with its next tap."""
        if self.magic is None or (self.magic.trick is Trick.REPLAYED_COUNTER and not self.spent):
            return Trick.NOTHING
        return self.magic.trick

    def tap(self, amount: int, currency: int, date: int, rng: Random) -> Tapped:
        """Signs a purchase; `date` is YYMMDD as a number."""
        trick = self.trick
        return self.element.tap(
            amount=amount,
            currency=currency,
            country=currency,
            date=date,
            unpredictable=rng.randbytes(4),
            tell=TOLD,
            spoiled=trick is Trick.WRONG_CRYPTOGRAM,
            counter=self.spent if trick is Trick.REPLAYED_COUNTER else None,
        )

    def proved(self, tapped: Tapped) -> None:
        """The switch has proved this tap: its counter is used up there."""
        self.spent = max(self.spent, tapped.counter)


class Pocket:
    """The devices of one fleet: every `of`-th token of a file, from the `part`-th on.

    Two fleets with parts of their own never use one token, so each device's counter has one owner.
    `counter` is the last one that a device used before: a fleet that starts again must not begin
    below. Raises OperatorError for what is no token file.
    """

    def __init__(
        self,
        masters: CardMasters,
        file: Path,
        rng: Random,
        part: tuple[int, int] = (0, 1),
        counter: int = 0,
    ) -> None:
        self._masters = masters
        self._rng = rng
        self._counter = counter
        self._rows: dict[str, list[str]] = {}
        self._devices: dict[str, Device] = {}
        self._by_digits: dict[int, list[str]] = {}
        number, of = part
        for line, row in enumerate(_read(file)):
            if line % of == number:
                token = row[0]
                self._rows[token] = row
                self._by_digits.setdefault(_digits(token), []).append(token)
        self._tricks = [digits for digits in TAPS if digits in self._by_digits]
        self._ordinary = [
            token
            for digits, tokens in self._by_digits.items()
            if digits < min(TAPS)
            for token in tokens
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, digits: int = 0) -> Device | None:
        """A device whose card has these magic digits, with 0 an ordinary one; None without any."""
        tokens = self._by_digits.get(digits, ()) if digits else self._ordinary
        return self._device(self._rng.choice(tokens)) if tokens else None

    def draw_trick(self) -> Device | None:
        """A device with which something is wrong; every trick as often as the others."""
        if not self._tricks:
            return None
        digits = self._rng.choice(self._tricks)
        tokens = self._by_digits[digits]
        if TAPS[digits].trick is Trick.REPLAYED_COUNTER:
            # A device signs rightly until a tap of it was proved: few of them are soon worn in.
            tokens = tokens[:COPIED]
        return self._device(self._rng.choice(tokens))

    def _device(self, token: str) -> Device:
        device = self._devices.get(token)
        if device is None:
            _, sequence, expiry, requestor, profile = self._rows[token]
            element = self._masters.element(
                profile,
                DEMO_INDEX,
                token,
                int(sequence),
                expiry,
                requestor=requestor,
                counter=self._counter,
            )
            device = Device(token, int(sequence), expiry, element, find_tap(token))
            self._devices[token] = device
        return device


def _digits(token: str) -> int:
    return int(token[6:10])


def _read(file: Path) -> Sequence[list[str]]:
    try:
        with file.open(encoding="ascii", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            if tuple(next(reader, ())) != TOKEN_COLUMNS:
                raise OperatorError(
                    "this is no token file", file=str(file), help=",".join(TOKEN_COLUMNS)
                )
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no CSV"
        raise OperatorError(f"the token file cannot be read: {why}", file=str(file)) from None
    for line, row in enumerate(rows, 2):
        if len(row) != len(TOKEN_COLUMNS) or not (row[0] + row[1] + row[2]).isdecimal():
            raise OperatorError("this is no token", file=str(file), line=line, column=1)
    return rows
