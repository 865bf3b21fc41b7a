"""Token numbers: which ranges they come from, and what makes one sound.

Only ranges of the settings give tokens, and no card number may lie in one.
"""

from collections.abc import Sequence
from typing import Final

from switch.errors import TokenError
from switch.native import index
from switch.settings.schema import TokenRange

__all__ = ["Ranges", "is_expiry", "luhn_valid"]

_DOUBLED: Final = str.maketrans("0123456789", "0246813579")
_ZERO: Final = ord("0")


def luhn_valid(digits: str) -> bool:
    """True when the last digit is the check digit (ISO/IEC 7812-1, annex B) of the others."""
    flat = digits[-1::-2] + digits[-2::-2].translate(_DOUBLED)
    return (sum(flat.encode("ascii")) - _ZERO * len(flat)) % 10 == 0


def is_expiry(text: str) -> bool:
    """True for YYMM."""
    return len(text) == 4 and text.isascii() and text.isdecimal() and "01" <= text[2:] <= "12"


class Ranges:
    """The dedicated ranges of a node."""

    def __init__(self, ranges: Sequence[TokenRange]) -> None:
        self._by_length: dict[int, list[str]] = {}
        for one in ranges:
            self._by_length.setdefault(one.length, []).append(one.prefix)
        self._prefixes = tuple(one.prefix for one in ranges)

    def holds(self, number: str) -> bool:
        """True when the number is a token of ours, or would be."""
        return number.startswith(tuple(self._by_length.get(len(number), ())))

    def touches(self, number: str) -> bool:
        """True when the number lies in a range of any length."""
        return number.startswith(self._prefixes)

    def draw(self, length: int, count: int) -> list[str]:
        """Random tokens of that length, of the first range that has it; two may be equal.

        Raises: TokenError when there is no such range.
        """
        prefixes = self._by_length.get(length)
        if not prefixes:
            lengths = ", ".join(str(known) for known in sorted(self._by_length))
            raise TokenError(
                f"there is no token range for cards of {length} digits",
                help=f"[tokens] ranges has lengths {lengths}; a token is as long as its card",
            )
        return index.random_tokens(prefixes[0], length, count)
