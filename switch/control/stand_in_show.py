"""Order `stand-in-show`: by which rules the switch approves in banks' names, what each allows, and
what was approved today.

Limits are of a card and of a bank, over all rules, so that rules never add up: what is spent is
told by bank and currency. A rule has what became of the requests that it covered since the
worker's start. No card is shown, and of a rule's prefixes no more than their first digits.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from switch.control.holds import Suspended
from switch.control.order import Answer, Node, Order
from switch.control.saf import bank_named
from switch.engine.ports import StandIn as Fit

if TYPE_CHECKING:
    from switch.runtime.member import Bank
    from switch.settings.schema import Issuer
    from switch.settings.stand_in import StandIn

__all__ = ["BankStandIn", "RuleShown", "Spent", "StandInShow", "StandInShown", "perform"]

DIGITS_SHOWN: Final = 6
"""Of a prefix: of a longer one a token's or card's number would lack little."""


class StandInShow(Order, frozen=True, kw_only=True, tag="stand-in-show"):
    """Answered by `StandInShown`."""

    changes = False
    member: str = ""
    """One bank; '': all that have rules."""


class RuleShown(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, in the words of the settings."""

    name: str
    when: Sequence[str]
    cards: Sequence[str]
    kinds: Sequence[str]
    prefixes: Sequence[str]
    """Six digits at most, then an x for each one more; none: any card of the bank."""
    mccs: Sequence[str]
    processing_codes: Sequence[str]
    entry_modes: Sequence[str]
    currency: str
    amount_minor_max: int
    count_max: int
    sum_minor_max: int
    bank_sum_minor_max: int
    """0: no limit."""
    bank_sum_minor_left: int | None
    """Of it, for the rest of the business day; None without a limit."""
    results: dict[str, int]
    """What became of the requests that it covered since the worker's start: stood, or why not."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Approved in a bank's name on this business date, over all rules and cards."""

    currency: str
    count: int
    sum_minor: int


class BankStandIn(msgspec.Struct, frozen=True, kw_only=True):
    """One bank's."""

    member: str
    suspended: Suspended | None
    """An operator wants nothing approved; None: the rules hold."""
    today: Sequence[Spent]
    rules: Sequence[RuleShown]
    """In their order: the first that covers a request decides."""


class StandInShown(Answer, frozen=True, kw_only=True, tag="stand-in"):
    """All that is asked for."""

    business_date: str
    """YYYYMMDD; limits begin anew with the next one."""
    counted: int
    """Totals that are kept, of cards and banks, of two business days."""
    counted_max: int
    """Of the settings; beyond it no further card is approved."""
    banks: Sequence[BankStandIn]


async def perform(order: StandInShow, node: Node) -> StandInShown:
    """Raises: OrderError: no such bank."""
    indexes = [bank_named(node, order.member)] if order.member else list(node.banks)
    issuers = {one.id: one for one in node.settings.issuers}
    banks = [_bank(node, node.banks[index], issuers[node.banks[index].name]) for index in indexes]
    gate = node.driver.gate
    return StandInShown(
        business_date=gate.business_date,
        counted=gate.stood_in_totals,
        counted_max=node.settings.limits.stand_in_cards_max,
        banks=[one for one in banks if one.rules or order.member],
    )


def _bank(node: Node, bank: "Bank", issuer: "Issuer") -> BankStandIn:
    today = {}
    for currency in sorted({rule.currency for rule in issuer.stand_in}):
        count, sum_minor = node.driver.gate.stood_in_today(bank.index, currency)
        today[currency] = Spent(currency=currency, count=count, sum_minor=sum_minor)
    return BankStandIn(
        member=bank.name,
        suspended=node.holds.of(bank.name).stand_in,
        today=list(today.values()),
        rules=[_rule(bank, rule, today[rule.currency].sum_minor) for rule in issuer.stand_in],
    )


def _rule(bank: "Bank", rule: "StandIn", spent_minor: int) -> RuleShown:
    limit = rule.bank_sum_minor_max
    results = {
        Fit(fit).name.lower(): count
        for (name, fit), count in sorted(bank.stand_ins.items())
        if name == rule.name
    }
    return RuleShown(
        name=rule.name,
        when=rule.when,
        cards=rule.cards,
        kinds=rule.kinds,
        prefixes=[one[:DIGITS_SHOWN].ljust(len(one), "x") for one in rule.prefixes],
        mccs=rule.mccs,
        processing_codes=rule.processing_codes,
        entry_modes=rule.entry_modes,
        currency=rule.currency,
        amount_minor_max=rule.amount_minor_max,
        count_max=rule.count_max,
        sum_minor_max=rule.sum_minor_max,
        bank_sum_minor_max=limit,
        bank_sum_minor_left=max(0, limit - spent_minor) if limit else None,
        results=results,
    )
