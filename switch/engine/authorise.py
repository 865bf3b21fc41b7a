"""The request path: what we answer ourselves, before any bank is asked.

Pure tables and look-ups; `engine.py` walks them. Order of the checks: what the message says of
itself, whether its key is free, the verdict on the card, its age, the route, the bank. A refusal by
the first touches no state and needs no record, unless the request is a sound one that we decline on
its merits: that is remembered, so that its repeat gets the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from switch.engine.effects import Refuse
from switch.engine.ports import Forwarding
from switch.model import end
from switch.model.kind import ADVICES, Check
from switch.model.response import (
    ABOVE_CEILING,
    BANK_DOWN,
    DUPLICATE,
    EXPIRED_TOKEN,
    FORMAT_ERROR,
    IN_PROGRESS,
    INACTIVE_TOKEN,
    INVALID_AMOUNT,
    INVALID_TRANSACTION,
    NOT_GENUINE,
    OUTSIDE_DOMAIN,
    PIN_UNSUPPORTED,
    SYSTEM_ERROR,
    UNKNOWN_TOKEN,
)
from switch.model.state import KeyState

if TYPE_CHECKING:
    from switch.wire import Message

__all__ = [
    "ANOTHER_BODY",
    "FORWARDING",
    "REVERSAL_BLOCKERS",
    "STATIC",
    "TAPS",
    "WAITERS_MAX",
    "Refusal",
    "taken",
]

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


def taken(found: int, message: Message, slot: int, acquirer: int) -> Refuse:
    """Something else stands under the key. Of an advice that may be the request that it speaks of:
    while its bank has not answered, nobody knows whether the advice tells anything; it is to be
    told again. With any other answer its acquirer would take it for told."""
    if found == KeyState.IN_FLIGHT + ANOTHER_BODY and message.kind in ADVICES:
        return Refuse(message, slot, IN_PROGRESS, end.KEY_TAKEN)
    return Refuse(message, slot, DUPLICATE, end.KEY_TAKEN, acquirer)


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
    Forwarding.OPEN: (BANK_DOWN, end.CIRCUIT),
    Forwarding.FULL: (BANK_DOWN, end.CAP),
    Forwarding.UNFIT: (SYSTEM_ERROR, end.UNFIT),
    Forwarding.UNRECORDED: (SYSTEM_ERROR, end.JOURNAL),
}
"""Why the gate did not take the bank's leg: code and end code."""

_INDEX: Final = (SYSTEM_ERROR, end.INDEX)
_TOKEN: Final = (INACTIVE_TOKEN, end.TOKEN)
_DOMAIN: Final = (OUTSIDE_DOMAIN, end.TOKEN)
_PROOF: Final = (NOT_GENUINE, end.PROOF)
_COUNTER: Final = (NOT_GENUINE, end.COUNTER)

TAPS: Final = {
    "index_missing": _INDEX,
    "index_stale": _INDEX,
    "index_damaged": _INDEX,
    "index_sealed": _INDEX,
    "token_unknown": (UNKNOWN_TOKEN, end.TOKEN),
    "token_deleted": (UNKNOWN_TOKEN, end.TOKEN),
    "token_requested": _TOKEN,
    "token_suspended": _TOKEN,
    "token_expired": (EXPIRED_TOKEN, end.TOKEN),
    "expiry_differs": _PROOF,
    "sequence_differs": _PROOF,
    "track_differs": _PROOF,
    "chip_number_differs": _PROOF,
    "chip_track_differs": _PROOF,
    "chip_sequence_differs": _PROOF,
    "amount_missing": _PROOF,
    "currency_missing": _PROOF,
    "not_yet": _DOMAIN,
    "no_longer": _DOMAIN,
    "channel_missing": _DOMAIN,
    "channel_forbidden": _DOMAIN,
    "mcc_missing": _DOMAIN,
    "mcc_forbidden": _DOMAIN,
    "currency_forbidden": _DOMAIN,
    "requestor_missing": _DOMAIN,
    "requestor_differs": _DOMAIN,
    "above_ceiling": (ABOVE_CEILING, end.TOKEN),
    "chip_missing": _PROOF,
    "atc_seen": _COUNTER,
    "atc_old": _COUNTER,
    "atc_gap": _PROOF,
    "atc_spent": _PROOF,
    "field_format": _PROOF,
    "tag_missing": _PROOF,
    "tag_twice": _PROOF,
    "tag_length": _PROOF,
    "tag_format": _PROOF,
    "application_unknown": _PROOF,
    "applications_differ": _PROOF,
    "iad_format": _PROOF,
    "version_unknown": _PROOF,
    "algorithm_unknown": _PROOF,
    "key_unknown": _PROOF,
    "not_a_request": _PROOF,
    "amount_differs": _PROOF,
    "currency_differs": _PROOF,
    "cryptogram": _PROOF,
    "results": _PROOF,
}
"""Why a tap is refused (`switch._native.tap.REASONS`): what its acquirer is told, and the end code.
The engine refuses to start with a verifier that knows a reason which is not here."""
