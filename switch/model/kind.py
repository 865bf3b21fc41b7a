"""Kinds of messages and what the static rules say of one.

Mirrored by native/src/codec/kind.rs; a test compares.
"""

from enum import IntEnum, unique
from typing import Final

__all__ = ["ADVICES", "FORWARDED", "REVERSIBLE", "Check", "Kind"]


@unique
class Kind(IntEnum):
    """The closed table of what a message is: by MTI, first two digits of field 3, field 25 and,
    where a dialect has one, its transaction type."""

    UNKNOWN = 0
    AUTHORISATION = 1
    PURCHASE = 2
    REVERSAL_REQUEST = 3
    REVERSAL_ADVICE = 4
    NETWORK = 5
    REPLY = 6
    REVERSAL_REPLY = 7
    NETWORK_REPLY = 8
    BALANCE = 9
    """What an account holds: no money moves."""
    PREAUTHORISATION = 10
    """An amount is put aside."""
    PREAUTHORISATION_CANCEL = 11
    """It is given back."""
    COMPLETION = 12
    """It is taken, as a request."""
    COMPLETION_ADVICE = 13
    """It was taken: the bank is told."""
    COMPLETION_VOID = 14
    """A completion is undone."""
    AUTHORISATION_ADVICE = 15
    """An authorisation was given without the bank: it is told."""
    PURCHASE_ADVICE = 16
    """A purchase was made without the bank (a terminal off line): it is told."""
    ADVICE_REPLY = 17


FORWARDED: Final = frozenset(
    {
        Kind.AUTHORISATION,
        Kind.PURCHASE,
        Kind.BALANCE,
        Kind.PREAUTHORISATION,
        Kind.PREAUTHORISATION_CANCEL,
        Kind.COMPLETION,
        Kind.COMPLETION_VOID,
    }
)
"""Requests that go to a bank."""

ADVICES: Final = frozenset(
    {Kind.COMPLETION_ADVICE, Kind.AUTHORISATION_ADVICE, Kind.PURCHASE_ADVICE}
)
"""What an acquirer tells: accepted at once, and delivered to the bank for as long as it takes."""

REVERSIBLE: Final = FORWARDED - {Kind.BALANCE}
"""What an acquirer's reversal may name. A balance moves no money, and an advice tells of what has
happened."""


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
