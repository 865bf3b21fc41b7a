"""`tapswitch saf`: what banks are owed of a running node, and an operator's word about it."""

import os
from typing import TYPE_CHECKING, Any

import click

from switch.cli.order import ask, by, changing, common, confirm, show

if TYPE_CHECKING:
    from switch.control.order import By
    from switch.control.saf import OneDelivery, SafDone, SafRow
    from switch.control.saf_list import SafShown

__all__ = ["command"]

WHATS = ("reversal", "advice", "withdrawal")
STAGES = ("dead", "held", "parked", "sent", "owed")


@click.group("saf")
def command() -> None:
    """Store and forward: reversals and advices that banks have not acknowledged.

    A delivery is parked when it was sent as often as it may, and goes on when its bank returns. It
    is a dead letter when it is too old, its bank refuses it, or its dialect cannot say it: only an
    order moves it then. Each order is audited, with --reason. Exit code 4: no worker runs; 5: the
    worker refused.
    """


@command.command("list")
@click.option("--member", default="", help="Only what this bank is owed.")
@click.option("--stage", type=click.Choice(STAGES), default=None, help="Only what stands there.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@click.option("--after", default="", metavar="PLACE", help="The next page, as the one before says.")
@common
def list_(config: str, output: str, member: str, stage: str | None, limit: int, after: str) -> None:
    """List what is owed, a page at a time: dead letters first, then held ones, then the rest by
    age."""
    from switch.control.saf_list import SafList, SafShown

    order = SafList(by=by(""), member=member, stage=stage or "", limit=limit, after=after)
    answer = ask(config, order, SafShown)
    show(answer, output, lambda: _listed(answer))


@command.command("show")
@click.argument("transaction")
@common
def show_(config: str, output: str, transaction: str) -> None:
    """Show all that a bank is owed of TRANSACTION (its id, as 1-0-42)."""
    from switch.control.saf import SafDone
    from switch.control.saf_show import SafShow

    answer = ask(config, SafShow(by=by(""), id=transaction), SafDone)
    show(answer, output, lambda: _done(answer))


@command.command("retry")
@click.argument("transaction", required=False)
@click.option("--what", type=click.Choice(WHATS), default=None, help="Which, if there are several.")
@click.option("--member", default="", help="All that rest of this bank, at most 1,000 at a time.")
@changing
@common
def retry(transaction: str | None, what: str | None, member: str, **given: Any) -> None:
    """Send a delivery now: one that rests counts its attempts and its age anew."""
    from switch.control.saf import SafDone
    from switch.control.saf_retry import SafRetry

    if bool(transaction) == bool(member):
        raise click.UsageError("name a transaction, or --member")
    order = SafRetry(
        by=_account(given["reason"]),
        id=transaction or "",
        what=what or "",
        member=member,
        dry_run=given["dry_run"],
    )
    answer = ask(given["config"], order, SafDone)
    show(answer, given["output"], lambda: _done(answer))


@command.command("hold")
@click.argument("transaction")
@click.option("--what", type=click.Choice(WHATS), default=None, help="Which, if there are several.")
@changing
@common
def hold(transaction: str, what: str | None, **given: Any) -> None:
    """Keep a delivery back, over a restart too, until `saf release`."""
    from switch.control.saf_hold import SafHold

    _change(SafHold, transaction, what, given, dangerous=False)


@command.command("release")
@click.argument("transaction")
@click.option("--what", type=click.Choice(WHATS), default=None, help="Which, if there are several.")
@changing
@common
def release(transaction: str, what: str | None, **given: Any) -> None:
    """Keep a delivery back no longer: it goes with the next of its bank."""
    from switch.control.saf_release import SafRelease

    _change(SafRelease, transaction, what, given, dangerous=False)


@command.command("write-off")
@click.argument("transaction")
@click.option("--what", type=click.Choice(WHATS), default=None, help="Which, if there are several.")
@click.option("--confirm", "agreed", is_flag=True, help="Agree to what another operator asked for.")
@changing
@common
def write_off(transaction: str, what: str | None, agreed: bool, **given: Any) -> None:
    """Say the final word about a delivery: it is never sent again, and owed no longer.

    For what was settled with the bank by hand. It takes two operators: the first asks, another
    (behind sudo, or as another user) gives the same order with --confirm within 15 minutes. With
    node.four_eyes = false one is enough. The journal keeps who and why.
    """
    from switch.control.saf_write_off import SafWriteOff

    _change(SafWriteOff, transaction, what, given, dangerous=True, more={"confirm": agreed})


def _change(
    order: "type[OneDelivery]",
    transaction: str,
    what: str | None,
    given: dict[str, Any],
    *,
    dangerous: bool,
    more: dict[str, Any] | None = None,
) -> None:
    from switch.control.saf import SafDone

    config, account, dry_run = given["config"], _account(given["reason"]), given["dry_run"]
    wanted: dict[str, Any] = {"id": transaction, "what": what or "", "by": account, **(more or {})}
    if dangerous and not dry_run and not given["yes"]:
        told = ask(config, order(**wanted, dry_run=True), SafDone)
        confirm(transaction, f"The {told.did}, for good.")
    answer = ask(config, order(**wanted, dry_run=dry_run), SafDone)
    show(answer, given["output"], lambda: _done(answer))


def _account(reason: str) -> "By":
    """As `by`, with a name in any case: the journal keeps it."""
    import msgspec

    from switch.runtime.local import user_of

    account = by(reason)
    name = account.actor or user_of(os.getuid()) or f"uid {os.getuid()}"
    return msgspec.structs.replace(account, actor=name)


def _listed(answer: "SafShown") -> list[str]:
    from switch.cli.table import table

    queues = [
        [one.member, f"{one.moving:,}", f"{one.parked:,}", f"{one.held:,}", f"{one.dead:,}"]
        for one in answer.queues
    ]
    head = ["MEMBER", "MOVING", "PARKED", "HELD", "DEAD"]
    lines = [*table([head, *queues], right=(1, 2, 3, 4)), ""]
    if not answer.deliveries:
        return [*lines, "nothing to show"]
    lines += _rows(list(answer.deliveries))
    return [*lines, "", f"there are more: --after {answer.next}"] if answer.more else lines


def _done(answer: "SafDone") -> list[str]:
    lines = [answer.did] if answer.did else []
    if answer.deliveries:
        lines += ["", *_rows(list(answer.deliveries))] if lines else _rows(list(answer.deliveries))
    return lines


def _rows(rows: "list[SafRow]") -> list[str]:
    from switch.cli.table import table

    shown = [
        [
            row.id,
            row.what,
            row.member,
            row.stage,
            row.stan,
            row.time,
            str(row.attempts),
            _age(row.age_s),
            _next(row),
        ]
        for row in rows
    ]
    head = ["TRANSACTION", "WHAT", "MEMBER", "STAGE", "STAN", "TIME", "ATTEMPTS", "AGE", "NEXT"]
    return table([head, *shown], right=(6, 7))


def _age(age_s: int) -> str:
    days, hours, minutes = age_s // 86_400, age_s // 3_600 % 24, age_s // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {age_s % 60} s"


def _next(row: "SafRow") -> str:
    if row.write_off_by:
        return f"write-off to be confirmed ({row.write_off_by} asked)"
    if row.stage == "dead":
        return f"by order ({row.why})" if row.why else "by order"
    if row.stage == "held":
        return "when released"
    if row.stage == "parked":
        return "when its bank returns"
    if row.behind:
        return f"after the {row.behind}"
    return f"in {row.next_s:.0f} s" if row.next_s is not None else "as soon as its bank takes it"
