"""States that native and Python share by number.

Mirrored by native/src/walk/state.rs; a test compares.
"""

from enum import IntEnum, unique
from typing import Final

__all__ = ["UNSETTLED", "Cause", "Duty", "KeyState", "ReversalEffect"]


@unique
class KeyState(IntEnum):
    """State of a request key in the duplicates table."""

    NEW = 0
    IN_FLIGHT = 1
    APPROVED = 2
    DECLINED = 3
    """Declines and technical answers."""
    REVERSED = 4
    """Approved, then undone (by the acquirer or by us)."""
    TOMBSTONE = 5
    """A reversal came for a request never seen; the late original is refused."""
    TURNED_AWAY = 6
    """Refused without a record a moment ago: no entry, and its repeat is told the same."""


@unique
class Cause(IntEnum):
    """Why a reversal is owed to a bank."""

    NONE = 0
    TIMEOUT = 1
    ACQUIRER = 2
    UNUSABLE_ANSWER = 3
    """Partial approval, unknown code, or an answer that fails its checks."""
    LINK_LOST = 4
    RESTART = 5
    UNDELIVERABLE = 6


@unique
class ReversalEffect(IntEnum):
    """What an acquirer's reversal did to its original."""

    TOMBSTONE = 0
    CANCEL_UNSENT = 1
    SUPPRESS = 2
    """In flight: its approval is suppressed and the bank reversed."""
    REVERSE = 3
    NOTHING = 4
    """Original declined or already reversed: acknowledged, no bank traffic."""


@unique
class Duty(IntEnum):
    """What a bank is owed: at most one of each for a transaction, and in this order."""

    REVERSAL = 0
    """The reversal of a request that went to it."""
    ADVICE = 1
    """Word of what was decided without it."""
    WITHDRAWAL = 2
    """The reversal of that."""


UNSETTLED: Final = frozenset({"parked", "dead", "held", "released", "retried"})
"""Results of a SETTLED record after which something is still owed. Mirrors
native/src/journal/record.rs; a test compares."""
