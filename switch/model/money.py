"""An amount of one currency, in its minor unit; never a float."""

from typing import Final

import msgspec

from switch.errors import UsageError

__all__ = ["AMOUNT_MINOR_MAX", "Money"]

AMOUNT_MINOR_MAX: Final = 999_999_999_999
"""Field 4 has twelve digits."""

_EXPONENTS: Final = {
    "048": 3,
    "152": 0,
    "392": 0,
    "400": 3,
    "410": 0,
    "414": 3,
    "512": 3,
    "704": 0,
    "788": 3,
}
"""Currencies whose minor unit is not a hundredth. Source: ISO 4217, table A.1."""


class Money(msgspec.Struct, frozen=True, order=False):
    """`amount_minor` in units of the currency's exponent; `currency` as three digits (ISO 4217)."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        """Raises UsageError for an amount that field 4 cannot carry, or an odd currency."""
        if not 0 <= self.amount_minor <= AMOUNT_MINOR_MAX:
            raise UsageError(f"amount {self.amount_minor} does not fit twelve digits")
        if len(self.currency) != 3 or not (self.currency.isascii() and self.currency.isdigit()):
            raise UsageError(f"currency {self.currency!r} is not three digits")

    @property
    def exponent(self) -> int:
        """Digits behind the decimal point."""
        return _EXPONENTS.get(self.currency, 2)

    def __add__(self, other: "Money") -> "Money":
        """Raises UsageError for two currencies, and when the sum does not fit."""
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Raises UsageError for two currencies, and below zero."""
        return Money(self.amount_minor - self._same(other), self.currency)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise UsageError(f"currencies {self.currency} and {other.currency} do not add")
        return other.amount_minor

    def __str__(self) -> str:
        digits = str(self.amount_minor).rjust(self.exponent + 1, "0")
        if not self.exponent:
            return f"{digits} {self.currency}"
        return f"{digits[: -self.exponent]}.{digits[-self.exponent :]} {self.currency}"
