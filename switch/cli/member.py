"""`tapswitch member`: the institutions of a running node, and orders about them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from switch.cli.order import ask, by, changing, common, confirm, show

if TYPE_CHECKING:
    from switch.control.member_echo import Echoes
    from switch.control.member_list import MemberShown
    from switch.control.members import MemberDone, OneMember

__all__ = ["command"]


@click.group("member")
def command() -> None:
    """Show the institutions of a running node; sign on and off, drain, test lines.

    Orders go to the worker's control socket in the data directory, as the user that the node runs
    as. Each is audited, with --reason: tapswitch audit show. Exit code 4: no worker runs; 5: the
    worker refused.
    """


@command.command("list")
@common
def list_(config: str, output: str) -> None:
    """List all members with what they have open and in flight."""
    from switch.control.member_list import MemberList, MembersShown

    answer = ask(config, MemberList(by=by("")), MembersShown)
    show(answer, output, lambda: _table(answer.members))


@command.command("show")
@click.argument("member")
@common
def show_(config: str, output: str, member: str) -> None:
    """Show one member with its connections."""
    from switch.control.member_show import MemberShow
    from switch.control.members import MemberDone

    answer = ask(config, MemberShow(by=by(""), member=member), MemberDone)
    show(answer, output, lambda: _lines(answer))


@command.command("echo")
@click.argument("member")
@click.option("--count", type=click.IntRange(1, 20), default=1, show_default=True)
@click.option("--limit-ms", type=click.IntRange(10, 9_000), default=3_000, show_default=True)
@click.option("--reason", default="", help="Why; kept in the audit.")
@common
def echo(config: str, output: str, member: str, count: int, limit_ms: int, reason: str) -> int:
    """Test every line of a member (0800 301) and show how long the answers took.

    Exit code 1 when a line did not answer or none could be tested.
    """
    from switch.control.member_echo import Echoes, MemberEcho

    order = MemberEcho(by=by(reason), member=member, count=count, limit_ms=limit_ms)
    answer = ask(config, order, Echoes)
    show(answer, output, lambda: _echoes(answer))
    missed = any(link.missed for link in answer.links)
    return 1 if missed or not any(link.took_us for link in answer.links) else 0


@command.command("sign-on")
@click.argument("member")
@changing
@common
def sign_on(member: str, **given: Any) -> None:
    """Send a bank 0800 001 on its standing connections; takes a sign-off back."""
    from switch.control.member_sign_on import MemberSignOn

    _change(member, given, MemberSignOn, "signs on to", dangerous=False)


@command.command("sign-off")
@click.argument("member")
@changing
@common
def sign_off(member: str, **given: Any) -> None:
    """Send a bank 0800 002 on its standing connections; they stay, and nothing new is sent.

    It holds, over a restart too, until sign-on or enable.
    """
    from switch.control.member_sign_off import MemberSignOff

    _change(member, given, MemberSignOff, "signs off from", dangerous=True)


@command.command("drain")
@click.argument("member")
@changing
@common
def drain(member: str, **given: Any) -> None:
    """Take a member out: nothing new, what is in flight ends, sign-off, connections end.

    It holds, over a restart too, until enable.
    """
    from switch.control.member_drain import MemberDrain

    _change(member, given, MemberDrain, "drains", dangerous=True)


@command.command("enable")
@click.argument("member")
@changing
@common
def enable(member: str, **given: Any) -> None:
    """Let a drained or signed-off member take part again."""
    from switch.control.member_enable import MemberEnable

    _change(member, given, MemberEnable, "enables", dangerous=False)


@command.command("suspend-stand-in")
@click.argument("member")
@changing
@common
def suspend_stand_in(member: str, **given: Any) -> None:
    """Approve nothing in a bank's name any more, whatever its rules of stand-in say.

    It holds, over a restart too, until resume-stand-in. What was approved stays approved.
    """
    from switch.control.stand_in import StandInSuspend

    _change(member, given, StandInSuspend, "approves nothing in the name of", dangerous=False)


@command.command("resume-stand-in")
@click.argument("member")
@changing
@common
def resume_stand_in(member: str, **given: Any) -> None:
    """Approve in a bank's name again, as its rules of stand-in say."""
    from switch.control.stand_in import StandInResume

    _change(member, given, StandInResume, "approves in the name of", dangerous=True)


def _change(
    member: str,
    given: dict[str, Any],
    order: "Callable[..., OneMember]",
    verb: str,
    *,
    dangerous: bool,
) -> None:
    from switch.control.members import MemberDone

    config, dry_run = given["config"], given["dry_run"]
    if dangerous and not dry_run and not given["yes"]:
        told = ask(config, order(by=by(""), member=member, dry_run=True), MemberDone)
        confirm(member, f"This {verb} {member}: it {told.did}.")
    wanted = order(by=by(given["reason"]), member=member, dry_run=dry_run)
    answer = ask(config, wanted, MemberDone)
    show(answer, given["output"], lambda: _lines(answer))


def _table(members: "list[MemberShown]") -> list[str]:
    from switch.cli.table import table

    rows = [
        [
            one.id,
            one.role,
            one.state,
            f"{len(one.links)}/{one.links_max}",
            f"{one.signed_on}",
            f"{one.in_flight}/{one.in_flight_max}",
            f"{one.reversals_owed}",
            f"{one.messages:,}",
        ]
        for one in members
    ]
    head = ["MEMBER", "ROLE", "STATE", "LINKS", "SIGNED ON", "IN FLIGHT", "REVERSALS", "MESSAGES"]
    return table([head, *rows], right=(3, 4, 5, 6, 7))


def _lines(answer: "MemberDone") -> list[str]:
    from switch.cli.table import table

    one = answer.member
    lines = [f"{one.id}: {answer.did}", ""] if answer.did else []
    lines += [
        f"member     {one.id}  {one.role}  {one.state}",
        f"in flight  {one.in_flight} of {one.in_flight_max}",
        f"reversals  {one.reversals_owed} not acknowledged",
        f"messages   {one.messages:,}",
    ]
    if one.circuit:
        why = f" ({one.circuit_why})" if one.circuit_why else ""
        since = f" since {one.circuit_since_ms / 1000:.0f} s" if one.circuit_why else ""
        lines.append(f"circuit    {one.circuit.replace('_', '-')}{why}{since}")
    for stood in one.stand_in:
        total = f"{stood.sum_minor:,} minor units of {stood.currency}"
        lines.append(f"stand-in   {stood.count:,} today, {total} ({stood.rules} rules)")
    if one.stand_in_suspended:
        lines.append(f"stand-in   suspended since {one.stand_in_suspended}")
    if one.hold:
        who = f" by {one.hold_by}" if one.hold_by else ""
        lines.append(f"held       {one.hold} since {one.hold_since}{who}: {one.hold_reason}")
    rows = [
        [
            f"{link.slot}",
            link.peer,
            link.session,
            "yes" if link.open else "no",
            link.health or "-",
            f"{link.answered:,}",
            f"{link.expired:,}",
            f"{link.silent_ms / 1000:.1f} s",
            f"{link.since_ms / 1000:.0f} s",
            f"{link.unread_bytes}",
        ]
        for link in one.links
    ]
    head = [
        *("LINK", "PEER", "SESSION", "OPEN", "HEALTH", "ANSWERED", "EXPIRED"),
        *("SILENT", "STANDS", "UNREAD"),
    ]
    return [*lines, "", *table([head, *rows], right=(0, 5, 6, 7, 8, 9))]


def _echoes(answer: "Echoes") -> list[str]:
    from switch.cli.table import table

    rows = []
    for link in answer.links:
        took = link.took_us
        times = ["-"] * 3
        if took:
            three = (min(took), sum(took) / len(took), max(took))
            times = [f"{value / 1000:.2f}" for value in three]
        rows.append(
            [f"{link.slot}", link.peer, link.session, f"{len(took)}", f"{link.missed}", *times]
        )
    head = ["LINK", "PEER", "SESSION", "ANSWERED", "MISSED", "MIN MS", "MEAN MS", "MAX MS"]
    return table([head, *rows], right=(0, 3, 4, 5, 6, 7))
