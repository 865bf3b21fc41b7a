"""`tapswitch member`: the institutions of a running node, and orders about them."""

from typing import TYPE_CHECKING

import click

from switch.cli.order import ask, common, show

if TYPE_CHECKING:
    from switch.control.member_list import MemberShown

__all__ = ["command"]


@click.group("member")
def command() -> None:
    """Show the institutions of a running node; sign on and off, drain, test lines.

    Orders go to the worker's control socket in the data directory, as the user that the node runs
    as. Exit code 4: no worker runs; 5: the worker refused.
    """


@command.command("list")
@common
def list_(config: str, output: str) -> None:
    """List all members with what they have open and in flight."""
    from switch.control.member_list import MemberList, MembersShown

    answer = ask(config, MemberList(), MembersShown)
    show(answer, output, lambda: _table(answer.members))


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
            f"{one.messages:,}",
        ]
        for one in members
    ]
    head = ["MEMBER", "ROLE", "STATE", "LINKS", "SIGNED ON", "IN FLIGHT", "MESSAGES"]
    return table([head, *rows], right=(3, 4, 5, 6))
