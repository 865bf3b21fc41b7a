"""`tapswitch audit`: what was ordered of a node over its control socket, by whom, why, and what
became of it. Read from the file; no worker need run."""

import json
from collections import deque
from typing import TYPE_CHECKING, Final

import click

from switch.cli.order import common

if TYPE_CHECKING:
    from switch.control.audit import Record, Verdict

__all__ = ["command"]

SHOWN_MAX: Final = 100_000


@click.group("audit")
def command() -> None:
    """Show what was ordered of a node, and verify that record.

    Orders about tokens have an audit of their own in the vault: tapswitch token audit.
    """


@command.command("show")
@click.option("--limit", type=click.IntRange(1, SHOWN_MAX), default=100, show_default=True)
@click.option("--member", default="", help="Only orders about this member.")
@common
def show(config: str, output: str, limit: int, member: str) -> int:
    """Show the newest records, the newest last; exit code 1 when the chain is broken before."""
    from switch.control.audit import audit_file, read, verify
    from switch.settings.load import load

    file = audit_file(load(config).node.data_dir)
    wanted: deque[Record] = deque(maxlen=limit)
    of: set[int] = set()
    for record in read(file):
        if not member or record.order.get("member") == member or record.of in of:
            wanted.append(record)
            of.add(record.n)
    verdict = verify(file)
    if output == "json":
        import msgspec

        told = {"records": [msgspec.to_builtins(one) for one in wanted], **_told(verdict)}
        click.echo(json.dumps(told, indent=2))
    else:
        for record in wanted:
            click.echo(_line(record))
        if verdict.problem:
            click.echo(f"{file}: {verdict.problem}", err=True)
    return 1 if verdict.problem else 0


@command.command("verify")
@click.option(
    "--anchor",
    default="",
    metavar="N:HASH",
    help="A record's number and hash, kept elsewhere: it must still stand in the chain.",
)
@common
def verify_(config: str, output: str, anchor: str) -> int:
    """Check the chain from its first record to its newest; exit code 1 names the broken line."""
    from switch.control.audit import audit_file, read, verify
    from switch.settings.load import load

    number, _, told = anchor.partition(":")
    if anchor and not (number.isdecimal() and told):
        raise click.UsageError("--anchor is N:HASH, as `audit verify` prints it")
    file = audit_file(load(config).node.data_dir)
    verdict = verify(file)
    problem = verdict.problem
    if anchor and not problem:
        found = next((one.hash for one in read(file) if one.n == int(number)), "")
        if not found:
            problem = f"record {number} of the anchor is not there any more"
        elif found != told:
            problem = f"record {number} is another one than the anchor's: the file was written anew"
    if output == "json":
        click.echo(json.dumps({**_told(verdict), "problem": problem}, indent=2))
    elif problem:
        click.echo(f"{file}: {problem}")
    else:
        click.echo(f"{verdict.records} records, the chain holds; anchor {_anchor(verdict)}")
        if verdict.unfinished_bytes:
            click.echo(f"and {verdict.unfinished_bytes} bytes of a record that is not finished")
    return 1 if problem else 0


def _anchor(verdict: "Verdict") -> str:
    return f"{verdict.records}:{verdict.hash}"


def _told(verdict: "Verdict") -> dict[str, object]:
    return {
        "count": verdict.records,
        "anchor": _anchor(verdict),
        "broken_line": verdict.broken_line,
        "problem": verdict.problem,
        "unfinished_bytes": verdict.unfinished_bytes,
    }


def _line(record: "Record") -> str:
    head = f"{record.n:6}  {record.at}  "
    match record.kind:
        case "order" | "look":
            who = record.user or str(record.uid)
            if record.actor:
                who += f" for {record.actor}"
            order = dict(record.order)
            name = order.pop("order", "")
            given = "".join(f" {key}={value}" for key, value in order.items())
            why = f"  reason: {record.reason}" if record.reason else ""
            ended = f"  {record.outcome}" if record.outcome else ""
            return f"{head}{name}{given}{ended}  by {who} (pid {record.pid}){why}{_code(record)}"
        case "result":
            return f"{head}{record.outcome}: order {record.of}{_code(record)}"
        case "resumed":
            return f"{head}worker started behind an unfinished record of {record.torn_bytes} bytes"
        case "opened":
            return f"{head}worker started (pid {record.pid}, version {record.version})"
        case _:
            return f"{head}{record.kind}"


def _code(record: "Record") -> str:
    return f"  ({record.code} {record.problem})" if record.code else ""
