"""The request path: what we answer ourselves, before any bank is asked.

Pure tables and look-ups; `engine.py` walks them. Order of the checks: what the message says of
itself, whether its key is free, the verdict on the card, its age, the route, the bank. A refusal by
the first touches no state and needs no record, unless the request is a sound one that we decline on
its merits: that is remembered, so that its repeat gets the same answer.
"""

from __future__ import annotations

from typing import Final

import msgspec

from switch.engine.ports import Forwarding
from switch.model import end
from switch.model.kind import Check
from switch.model.response import (
    BANK_DOWN,
    FORMAT_ERROR,
    INVALID_AMOUNT,
    INVALID_TRANSACTION,
    PIN_UNSUPPORTED,
    SYSTEM_ERROR,
)

__all__ = ["ANOTHER_BODY", "FORWARDING", "REVERSAL_BLOCKERS", "STATIC", "WAITERS_MAX", "Refusal"]

ANOTHER_BODY: Final = 16
"""Added to the KeyState by `Duplicates.claim` when the body differs from the one remembered."""

WAITERS_MAX: Final = 4
"""Repeats that may wait for one answer; the next is dropped and counted, since its acquirer repeats
again."""


class Refusal(msgspec.Struct, frozen=True):
    """What a check that fails is answered."""

    code: str
    end: str
    recorded: bool
    """Claim the key and record it."""


STATIC: Final = {
    Check.FORMAT: Refusal(FORMAT_ERROR, end.FIELD_RULE, recorded=False),
    Check.UNKNOWN_KIND: Refusal(INVALID_TRANSACTION, end.FIELD_RULE, recorded=False),
    Check.AMOUNT_ZERO: Refusal(INVALID_AMOUNT, end.FIELD_RULE, recorded=True),
    Check.PIN_PRESENT: Refusal(PIN_UNSUPPORTED, end.FIELD_RULE, recorded=True),
}
"""Static check to answer; OK is absent, for it is none."""

REVERSAL_BLOCKERS: Final = frozenset({Check.FORMAT, Check.UNKNOWN_KIND})
"""Checks that stop an acquirer's reversal. The others are for new money: a reversal that carries a
PIN block still gives money back, and an amount of zero is settled by comparing it with the
original's."""

FORWARDING: Final = {
    Forwarding.DOWN: (BANK_DOWN, end.BANK_DOWN),
    Forwarding.FULL: (BANK_DOWN, end.CAP),
    Forwarding.UNFIT: (SYSTEM_ERROR, end.FIELD_RULE),
    Forwarding.UNRECORDED: (SYSTEM_ERROR, end.JOURNAL),
}
"""Why the gate did not take the bank's leg: code and end code."""
