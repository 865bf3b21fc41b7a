"""A card number that cannot be printed by accident.

On the walk no PAN ever becomes a Python object: native code routes, hashes and encrypts it. This
type is for the edges where a person or a file gives one: simulators, tokens, tools.
"""

from typing import Final

from switch.errors import UsageError

__all__ = ["PAN_DIGITS_MAX", "PAN_DIGITS_MIN", "Pan", "luhn_digit"]

PAN_DIGITS_MIN: Final = 12
PAN_DIGITS_MAX: Final = 19
"""ISO/IEC 7812-1 allows 8 to 19 digits; no card scheme issues fewer than 12."""

_SHOWN_FIRST: Final = 6
_SHOWN_LAST: Final = 4
"""What PCI DSS v4.0.1, requirement 3.4.1, lets a screen show at most (with an 8-digit BIN it would
let eight; six is enough to tell cards apart)."""


def luhn_digit(digits: str) -> str:
    """The check digit that makes `digits` plus it a number of ISO/IEC 7812-1, annex B."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character)
        if place % 2 == 0:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return str(-total % 10)


class Pan:
    """12 to 19 digits, held back: repr, str and format give the mask, and there is no iteration.

    Equal numbers are equal and hash alike, so that it can key a dictionary.
    """

    __slots__ = ("__digits",)

    def __init__(self, digits: str) -> None:
        """Raises UsageError when `digits` is no card number; the message does not quote it."""
        if not (digits.isascii() and digits.isdigit()):
            raise UsageError("a card number has digits only")
        if not PAN_DIGITS_MIN <= len(digits) <= PAN_DIGITS_MAX:
            raise UsageError(
                f"a card number has {PAN_DIGITS_MIN} to {PAN_DIGITS_MAX} digits, not {len(digits)}"
            )
        self.__digits = digits

    def reveal(self) -> str:
        """The number itself. Whoever calls this answers for where it goes."""
        return self.__digits

    @property
    def masked(self) -> str:
        """First six and last four digits, ``*`` between."""
        digits = self.__digits
        hidden = "*" * (len(digits) - _SHOWN_FIRST - _SHOWN_LAST)
        return digits[:_SHOWN_FIRST] + hidden + digits[-_SHOWN_LAST:]

    @property
    def luhn_valid(self) -> bool:
        """True when its last digit is the check digit."""
        return luhn_digit(self.__digits[:-1]) == self.__digits[-1]

    def __repr__(self) -> str:
        return f"Pan({self.masked})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and other.__digits == self.__digits

    def __hash__(self) -> int:
        return hash(self.__digits)

    def __reduce__(self) -> str:
        raise UsageError("a card number is not pickled")
