"""`tapswitch stand-in`: what is approved in banks' names, by which rules, what is left."""

from typing import TYPE_CHECKING, Any

import click

from switch.cli.order import ask, by, common, show

if TYPE_CHECKING:
    from switch.control.stand_in_show import BankStandIn, RuleShown, StandInShown

__all__ = ["command"]


@click.group("stand-in")
def command() -> None:
    """Show what is approved in banks' names.

    It is suspended and resumed by tapswitch member suspend-stand-in and resume-stand-in. Exit code
    4: no worker runs; 5: the worker refused.
    """


@command.command("show")
@click.argument("member", default="")
@common
def show_(config: str, output: str, member: str) -> None:
    """Show the rules of a bank, or of all that have some, with their limits and what was approved
    today."""
    from switch.control.stand_in_show import StandInShow, StandInShown

    answer = ask(config, StandInShow(by=by(""), member=member), StandInShown)
    show(answer, output, lambda: _lines(answer))


def _lines(answer: "StandInShown") -> list[str]:
    date = answer.business_date
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    counted = f"{answer.counted:,} of {answer.counted_max:,} totals of cards and banks in use"
    lines = [f"business date {day}, {counted}"]
    for bank in answer.banks:
        lines += ["", *_bank(bank)]
    if not answer.banks:
        lines.append("no bank has a rule: nothing is ever approved in a bank's name")
    return lines


def _bank(bank: "BankStandIn") -> list[str]:
    from switch.cli.table import table

    lines = [bank.member]
    if (suspended := bank.suspended) is not None:
        lines.append(
            f"  SUSPENDED since {suspended.since} by {suspended.by or '?'}: {suspended.reason}"
        )
    lines += [
        f"  approved today: {one.count:,}, {one.sum_minor:,} minor units of {one.currency}"
        for one in bank.today
    ]
    if not bank.rules:
        return [*lines, "  no rule: nothing is ever approved in its name"]
    head = ["RULE", "WHEN", "CARDS", "CURRENCY", "EACH", "A CARD, A DAY", "THE BANK, A DAY", "LEFT"]
    rows = [_row(rule) for rule in bank.rules]
    lines += ["", *(f"  {line}" for line in table([head, *rows], right=(4, 5, 6, 7)))]
    for rule in bank.rules:
        if only := _only(rule):
            lines.append(f"  {rule.name} only: {only}")
    for rule in bank.rules:
        became = ", ".join(f"{name} {count:,}" for name, count in rule.results.items())
        lines.append(f"  {rule.name} since the worker's start: {became or 'nothing'}")
    return lines


def _row(rule: "RuleShown") -> list[str]:
    left = rule.bank_sum_minor_left
    return [
        rule.name,
        ", ".join(rule.when),
        ", ".join(rule.cards),
        rule.currency,
        f"{rule.amount_minor_max:,}",
        f"{rule.count_max:,} and {rule.sum_minor_max:,}",
        f"{rule.bank_sum_minor_max:,}" if rule.bank_sum_minor_max else "no limit",
        f"{left:,}" if left is not None else "-",
    ]


def _only(rule: "RuleShown") -> str:
    kept: dict[str, Any] = {
        "kinds": rule.kinds,
        "prefixes": rule.prefixes,
        "mccs": rule.mccs,
        "processing codes": rule.processing_codes,
        "entry modes": rule.entry_modes,
    }
    return "; ".join(f"{name} {', '.join(values)}" for name, values in kept.items() if values)
