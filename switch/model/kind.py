"""Kinds of messages and what the static rules say of one.

Mirrored by native/src/codec/kind.rs; a test compares.
"""

from enum import IntEnum, unique

__all__ = ["Check", "Kind"]


@unique
class Kind(IntEnum):
    """The closed table of what a message is: by MTI, first two digits of field 3, and field 25."""

    UNKNOWN = 0
    AUTHORISATION = 1
    PURCHASE = 2
    REVERSAL_REQUEST = 3
    REVERSAL_ADVICE = 4
    NETWORK = 5
    REPLY = 6
    REVERSAL_REPLY = 7
    NETWORK_REPLY = 8


@unique
class Check(IntEnum):
    """Result of the dialect's static rules for a message of its kind."""

    OK = 0
    FORMAT = 1
    """A mandatory field is missing or malformed: 30."""
    UNKNOWN_KIND = 2
    """Not in the closed table: 12."""
    AMOUNT_ZERO = 3
    """13."""
    PIN_PRESENT = 4
    """Declined, not forwarded, not stored, until PIN translation exists."""
