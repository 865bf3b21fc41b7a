"""End codes: in two letters, how a request ended. A bounded set, fit for a metric's label.

The first letter says who: ``-`` nobody, A acquirer, I issuer, S switch, T timer, R resource, D
duplicate, J journal. The second says in which phase. Each has a page in the reference.
"""

from typing import Final

__all__ = [
    "ACQUIRER_GONE",
    "ALL",
    "ANSWERED",
    "BANK_DOWN",
    "CAP",
    "CRYPTOGRAM",
    "EXPIRED",
    "FIELD_RULE",
    "INDEX",
    "JOURNAL",
    "LATE",
    "LINK_LOST",
    "NO_ROUTE",
    "REPEAT",
    "TIMEOUT",
    "TOKEN",
    "UNUSABLE",
]

ANSWERED: Final = "--"
"""The bank's answer went to the acquirer."""
TIMEOUT: Final = "TW"
"""The bank did not answer in time; reversed."""
EXPIRED: Final = "TQ"
"""Its deadline had passed before we could look at it; nothing was sent."""
LATE: Final = "TL"
"""The bank's answer came after the deadline and only marked the reversal."""
LINK_LOST: Final = "IW"
"""The bank's link went while we waited; reversed where the request may have left."""
UNUSABLE: Final = "IB"
"""The bank's answer cannot be passed on; reversed."""
BANK_DOWN: Final = "IR"
"""No signed-on connection of the bank when it was to be forwarded; nothing was sent."""
NO_ROUTE: Final = "SR"
FIELD_RULE: Final = "SV"
"""Refused by the rules of the message itself."""
TOKEN: Final = "ST"
"""The token's state, expiry or domain forbids it."""
CRYPTOGRAM: Final = "SC"
"""The cryptogram, its counter, or what the message says against it."""
INDEX: Final = "SI"
"""The token index has no answer: ours."""
CAP: Final = "RW"
"""The bank's in-flight cap."""
REPEAT: Final = "DV"
"""A repeat answered from the table of keys, or refused because the key is taken."""
JOURNAL: Final = "JV"
"""The journal did not take it."""
ACQUIRER_GONE: Final = "AB"
"""The acquirer took it back or could not be answered; reversed where the bank may hold it."""

ALL: Final = (
    ANSWERED,
    TIMEOUT,
    EXPIRED,
    LATE,
    LINK_LOST,
    UNUSABLE,
    BANK_DOWN,
    NO_ROUTE,
    FIELD_RULE,
    TOKEN,
    CRYPTOGRAM,
    INDEX,
    CAP,
    REPEAT,
    JOURNAL,
    ACQUIRER_GONE,
)
