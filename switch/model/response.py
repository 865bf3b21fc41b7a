"""Response codes: their classes and the switch's own. Mirrored by native/src/codec/dialect.rs."""

from enum import IntEnum, unique
from typing import Final

__all__ = [
    "ABOVE_CEILING",
    "APPROVED",
    "BANK_DOWN",
    "DUPLICATE",
    "EXPIRED_TOKEN",
    "FORMAT_ERROR",
    "INACTIVE_TOKEN",
    "INVALID_AMOUNT",
    "INVALID_MERCHANT",
    "INVALID_TRANSACTION",
    "IN_PROGRESS",
    "MAC_ERROR",
    "NOT_GENUINE",
    "NOT_SIGNED_ON",
    "NO_ROUTE",
    "OUTSIDE_DOMAIN",
    "PIN_UNSUPPORTED",
    "SYSTEM_ERROR",
    "TIMED_OUT",
    "TOO_BUSY",
    "UNKNOWN_TERMINAL",
    "UNKNOWN_TOKEN",
    "UNUSABLE_ANSWER",
    "WITHDRAWN",
    "WITHDRAWN_IN_FLIGHT",
    "RcClass",
]


@unique
class RcClass(IntEnum):
    """What a response code means to us; listed per dialect, all else is UNKNOWN."""

    NONE = 0
    APPROVE = 1
    PARTIAL = 2
    DECLINE = 3
    TECHNICAL = 4
    UNKNOWN = 5


APPROVED: Final = "00"
INVALID_MERCHANT: Final = "03"
"""The terminal is another merchant's."""
INVALID_TRANSACTION: Final = "12"
INVALID_AMOUNT: Final = "13"
FORMAT_ERROR: Final = "30"
PIN_UNSUPPORTED: Final = "57"
"""Transaction not permitted to terminal class; a PIN cannot be translated yet."""
IN_PROGRESS: Final = "09"
"""An advice under the numbers of a request that its bank has not answered yet: tell it again."""
NOT_SIGNED_ON: Final = "91"
BANK_DOWN: Final = "91"
NO_ROUTE: Final = "92"
DUPLICATE: Final = "94"
SYSTEM_ERROR: Final = "96"
TIMED_OUT: Final = "91"
TOO_BUSY: Final = "91"
"""Refused before it was looked at; its acquirer may ask again, or stand in."""
UNUSABLE_ANSWER: Final = "91"
"""The bank's fault, not ours: an answer that cannot be passed on is no better than none."""
WITHDRAWN_IN_FLIGHT: Final = "91"
"""The acquirer took the request back while it was in flight; whoever still waits for it gets a
decline."""
WITHDRAWN: Final = "94"
"""The key is used up: its acquirer has taken the request back (before it came, or after its
approval)."""
NOT_GENUINE: Final = "05"
"""The cryptogram does not hold, was seen before, or the message contradicts the token. The acquirer
is not told which."""
UNKNOWN_TOKEN: Final = "14"
EXPIRED_TOKEN: Final = "54"
OUTSIDE_DOMAIN: Final = "57"
ABOVE_CEILING: Final = "61"
INACTIVE_TOKEN: Final = "62"
MAC_ERROR: Final = "A0"
"""The message authentication code is wrong or missing."""
UNKNOWN_TERMINAL: Final = "97"
