"""Which rule, if any, lets the switch approve in a bank's name.

Pure look-ups over a request that its bank does not answer. A rule says when, what and up to which
amount; what a card has spent today is the gate's to know (`ports.Gate.stand_in`), because counting
and recording are one act.

Never, whatever a rule says: a request with a PIN block (nobody verified it), a plain card with chip
data (its cryptogram is the bank's to verify, and nobody did), a repeat whose first presentation we
do not know (it may have been declined), and whatever has got an answer of its bank: then there is
no question left.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from switch.engine.effects import Effect, StandIn
from switch.engine.events import Event
from switch.engine.forward import CONCLUSIONS
from switch.engine.ports import Forwarding
from switch.model.kind import Kind
from switch.model.state import Cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from switch.engine.transaction import Transaction
    from switch.wire import Message

__all__ = ["FORWARDING", "KINDS", "Cards", "StandInRule", "Why", "rule_for", "wish"]


@unique
class Why(StrEnum):
    """What keeps the bank from answering."""

    UNREACHABLE = "unreachable"
    """No line takes the request, or its last line went."""
    CIRCUIT = "circuit"
    """Its circuit is open."""
    TIMEOUT = "timeout"
    """It had the request, and its deadline passed."""


FORWARDING: Final = {Forwarding.DOWN: Why.UNREACHABLE, Forwarding.OPEN: Why.CIRCUIT}
"""Why the gate did not take a bank's leg, where that is a case for stand-in. A full cap is none:
the bank answers, and more would come than it can take."""

KINDS: Final = {
    "purchase": Kind.PURCHASE,
    "authorisation": Kind.AUTHORISATION,
    "preauthorisation": Kind.PREAUTHORISATION,
}
"""What a rule may name. What stands on an earlier transaction, moves no money or undoes something
is never approved in a bank's name."""


class Cards(Protocol):
    """Prefixes of real cards (see switch._native.walk.Routes)."""

    def has(self, message: Message) -> bool:
        """The card of the message, or the one behind its token, begins with one of them."""


class StandInRule(msgspec.Struct, frozen=True):
    """One rule of a bank, in plain values; see settings/stand_in.py."""

    name: str
    when: frozenset[Why]
    kinds: frozenset[int]
    currency: str
    amount_minor_max: int
    count_max: int
    sum_minor_max: int
    bank_sum_minor_max: int = 0
    """0: no limit."""
    tokens: bool = True
    plain: bool = False
    cards: Cards | None = None
    """None: any card of the bank."""
    mccs: frozenset[str] = frozenset()
    processing_codes: tuple[str, ...] = ()
    """Beginnings; none: any. So are entry modes."""
    entry_modes: tuple[str, ...] = ()


def rule_for(
    rules: Sequence[StandInRule], message: Message, why: Why, *, proved: bool
) -> StandInRule | None:
    """The first rule that covers the request; None: it is not approved. `proved`: a token whose
    cryptogram we have verified."""
    if message.repeat or message.has("pin_block") or (not proved and message.has("icc")):
        return None
    for rule in rules:
        if why in rule.when and _covers(rule, message, proved=proved):
            return rule
    return None


def wish(
    rules: Sequence[StandInRule],
    txn: Transaction,
    why: Why,
    event: Event,
    refusal: tuple[str, str],
    *,
    proved: bool,
) -> list[Effect]:
    """The effect that approves `txn`, for whom nobody is there any more left out; empty when no
    rule covers it or nobody is left to be told. See `effects.StandIn`."""
    if txn.slot < 0 and not txn.waiters:
        return []
    rule = rule_for(rules, txn.request, why, proved=proved)
    if rule is None:
        return []
    cause = Cause.NONE if event is Event.REFUSED else CONCLUSIONS[event][2]
    return [StandIn(txn, rule, why, event, cause, refusal)]


def _covers(rule: StandInRule, message: Message, *, proved: bool) -> bool:
    return (
        (rule.tokens if proved else rule.plain)
        and message.kind in rule.kinds
        and 0 < message.amount_minor <= rule.amount_minor_max
        and _text(message, "currency") == rule.currency
        and (not rule.mccs or _text(message, "mcc") in rule.mccs)
        and _begins(message, "processing_code", rule.processing_codes)
        and _begins(message, "entry_mode", rule.entry_modes)
        and (rule.cards is None or rule.cards.has(message))
    )


def _text(message: Message, name: str) -> str:
    """A field; '' when it, or its dialect, lacks it."""
    return (message.get(name) or "") if message.has(name) else ""


def _begins(message: Message, name: str, beginnings: tuple[str, ...]) -> bool:
    return not beginnings or _text(message, name).startswith(beginnings)
