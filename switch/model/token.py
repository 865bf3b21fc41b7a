"""Tokens: their states, the channels they may be used on, the limits of a domain.

Numbers are shared with native code (native/src/index/record.rs, native/src/tap); a test compares.
"""

from enum import IntEnum, IntFlag, unique
from typing import Final

import msgspec

from switch.errors import UsageError

__all__ = [
    "CHANNEL_OF_ENTRY_MODE",
    "CURRENCIES_MAX",
    "MCCS_MAX",
    "REQUESTOR_DIGITS",
    "TOKEN_DIGITS_MAX",
    "TOKEN_DIGITS_MIN",
    "Channel",
    "Domain",
    "Medium",
    "TokenState",
]

TOKEN_DIGITS_MIN: Final = 13
TOKEN_DIGITS_MAX: Final = 19
"""EMV Payment Tokenisation framework 2.3: a token has 13 to 19 digits, like the card number."""

REQUESTOR_DIGITS: Final = 11
"""Token requestor id: three digits of the token service provider, eight of its own (tag 9F19)."""

MCCS_MAX: Final = 16
CURRENCIES_MAX: Final = 8
"""What a record of the index has room for."""


@unique
class TokenState(IntEnum):
    """Life of a token. Expired is not among them: it follows from the date."""

    REQUESTED = 1
    """Made, and not yet released by whoever must agree to it."""
    ACTIVE = 2
    SUSPENDED = 3
    DELETED = 4
    """For good. The number is never given out again."""


@unique
class Channel(IntFlag):
    """How a token reaches us. A domain with none of them allows all."""

    CONTACTLESS = 1
    CHIP = 2
    QR = 4
    ECOMMERCE = 8
    STRIPE = 16


CHANNEL_OF_ENTRY_MODE: Final[dict[str, Channel]] = {
    "07": Channel.CONTACTLESS,
    "91": Channel.CONTACTLESS,
    "05": Channel.CHIP,
    "95": Channel.CHIP,
    "03": Channel.QR,
    "01": Channel.ECOMMERCE,
    "81": Channel.ECOMMERCE,
    "02": Channel.STRIPE,
    "90": Channel.STRIPE,
}
"""First two digits of field 22; an entry mode that is not here is on no channel."""


@unique
class Medium(IntEnum):
    """Where a token lives."""

    SECURE_ELEMENT = 1
    HCE = 2
    """Host card emulation: in the application's own memory."""
    QR = 3
    CARD_ON_FILE = 4


class Domain(msgspec.Struct, frozen=True, kw_only=True):
    """What a token may be used for. Empty lists, 0 and None restrict nothing."""

    requestor_bound: bool = False
    """Only with its own requestor in the message."""
    channels: int = 0
    """Bits of `Channel`."""
    mccs: tuple[int, ...] = ()
    """Merchant categories (ISO 18245)."""
    ceiling_minor: int | None = None
    """Highest amount of one payment, in minor units of `ceiling_currency`."""
    ceiling_currency: int = 0
    currencies: tuple[int, ...] = ()
    """Numeric codes of ISO 4217."""
    not_before_s: int = 0
    """Unix time from which it may be used."""
    not_after_s: int = 0
    """Unix time from which it may be used no more."""

    def __post_init__(self) -> None:
        """Raises UsageError for what the index cannot hold or what contradicts itself."""
        if len(self.mccs) > MCCS_MAX or len(self.currencies) > CURRENCIES_MAX:
            raise UsageError(
                f"a domain names at most {MCCS_MAX} merchant categories "
                f"and {CURRENCIES_MAX} currencies"
            )
        if any(not 0 < mcc <= 9_999 for mcc in self.mccs):
            raise UsageError("a merchant category has four digits")
        if any(not 0 < code <= 999 for code in (*self.currencies, self.ceiling_currency or 1)):
            raise UsageError("a currency is a numeric code of three digits")
        if (self.ceiling_minor is None) != (not self.ceiling_currency):
            raise UsageError("a ceiling is an amount with its currency")
        if self.ceiling_minor is not None and not 0 <= self.ceiling_minor < 10**12:
            raise UsageError("a ceiling does not fit twelve digits")
        if not (0 <= self.not_before_s < 1 << 32 and 0 <= self.not_after_s < 1 << 32):
            raise UsageError("a date of a domain is no Unix time of 32 bits")
        if self.not_after_s and self.not_after_s <= self.not_before_s:
            raise UsageError("a domain ends before it begins")
