"""`tapswitch audit`: what was ordered of a node over its control socket, by whom, why, and what
became of it. Read from the file; no worker need run."""

import json
import os
import re
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from switch.cli.order import common

if TYPE_CHECKING:
    from switch.control.audit import Record, Verdict
    from switch.settings.schema import Settings

__all__ = ["command"]

SHOWN_MAX: Final = 100_000
_ANCHOR: Final = re.compile("[0-9]{1,15}:[0-9a-f]{64}")


@click.group("audit")
def command() -> None:
    """Show what was ordered of a node, and verify that record.

    Reading it is recorded in it too. Orders about tokens have an audit of their own in the vault
    (tapswitch token audit), which verify walks as well.
    """


@command.command("show")
@click.option("--limit", type=click.IntRange(1, SHOWN_MAX), default=100, show_default=True)
@click.option("--member", default="", help="Only orders about this member.")
@common
def show(config: str, output: str, limit: int, member: str) -> int:
    """Show the newest records, the newest last; exit code 1 when the chain is broken before."""
    from switch.control.audit import audit_file, read, verify
    from switch.settings.load import load

    data_dir = load(config).node.data_dir
    file = audit_file(data_dir)
    wanted: deque[Record] = deque(maxlen=limit)
    of: set[int] = set()
    for record in read(file):
        if not member or record.order.get("member") == member or record.of in of:
            wanted.append(record)
            of.add(record.n)
    verdict = verify(file)
    _looked(data_dir, "audit-show", limit=limit, member=member)
    if output == "json":
        import msgspec

        told = {"records": [msgspec.to_builtins(one) for one in wanted], **_told(verdict)}
        click.echo(json.dumps(told, indent=2))
    else:
        for record in wanted:
            click.echo(_line(record))
        if verdict.problem:
            click.echo(f"{file.with_name(verdict.file)}: {verdict.problem}", err=True)
    return 1 if verdict.problem else 0


@command.command("verify")
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="N:HASH|FILE",
    help="A record's number and hash that were kept elsewhere, or a file with such, one a line: "
    "each must still stand in the chain.",
)
@click.option("--orders-only", is_flag=True, help="Do not walk the vault's chain.")
@common
def verify_(config: str, output: str, anchors: tuple[str, ...], orders_only: bool) -> int:
    """Check the chain from its first record to its newest, and the vault's of token orders.

    Exit code 1 names the broken line. A chain whose oldest files were moved away needs the anchor
    of the last record that went with them.
    """
    from switch.control.audit import audit_file, verify
    from switch.settings.load import load

    settings = load(config)
    file = audit_file(settings.node.data_dir)
    held = _anchors(anchors)
    verdict = verify(file)
    problem = verdict.problem or _unanchored(file, verdict, held)
    tokens = {} if orders_only else _tokens(settings)
    _looked(settings.node.data_dir, "audit-verify")
    if output == "json":
        told = {**_told(verdict), "problem": problem, "tokens": tokens}
        click.echo(json.dumps(told, indent=2))
    elif problem:
        click.echo(f"{file.with_name(verdict.file or file.name)}: {problem}")
    else:
        begins = f" from {verdict.first}" if verdict.first > 1 else ""
        click.echo(f"{verdict.records} records{begins}, the chain holds; anchor {_anchor(verdict)}")
        if verdict.unfinished_bytes:
            click.echo(f"and {verdict.unfinished_bytes} bytes of a record that is not finished")
    if tokens and output == "text":
        bad = tokens["problem"]
        click.echo(f"vault: {bad}" if bad else f"vault: {tokens['count']} records, the chain holds")
    return 1 if problem or tokens.get("problem") else 0


@command.command("anchor")
@common
def anchor_(config: str, output: str) -> int:
    """Print number and hash of the newest record, to be kept on another machine.

    Whoever can write the audit's files can write them anew from their beginning, or cut them off;
    against an anchor that is out of reach neither holds. Best taken by a timer:

    tapswitch audit anchor --config DIR | ssh elsewhere 'cat >> anchors'
    """
    from switch.control.audit import audit_file, verify
    from switch.settings.load import load

    data_dir = load(config).node.data_dir
    file = audit_file(data_dir)
    verdict = verify(file)
    if verdict.problem:
        click.echo(f"{file.with_name(verdict.file)}: {verdict.problem}", err=True)
        return 1
    _looked(data_dir, "audit-anchor")
    if output == "json":
        click.echo(json.dumps({"anchor": _anchor(verdict), "count": verdict.records}))
    else:
        click.echo(_anchor(verdict))
    return 0


def _looked(data_dir: str, action: str, **facts: str | int) -> None:
    from switch.control.witness import looked

    unwritten = looked(data_dir, action, **facts)
    if unwritten:
        click.echo(f"this look is not recorded: {unwritten}", err=True)


def _anchors(given: tuple[str, ...]) -> dict[int, str]:
    held: dict[int, str] = {}
    for one in given:
        lines = [one]
        if not _ANCHOR.fullmatch(one):
            try:
                lines = Path(one).read_text(encoding="ascii").split()
            except (OSError, ValueError):
                lines = [one]
        for line in lines:
            if not _ANCHOR.fullmatch(line):
                raise click.UsageError(
                    "--anchor is N:HASH, as `audit anchor` prints it, or a file with such lines"
                )
            number, _, told = line.partition(":")
            held[int(number)] = told
    return held


def _unanchored(file: Path, verdict: "Verdict", held: dict[int, str]) -> str:
    """What speaks against anchors; '' when all hold."""
    from switch.control.audit import read

    before = verdict.first - 1
    if before and held.get(before) != verdict.before_hash:
        return f"the records up to {before} are not here; name their anchor {before}:HASH"
    wanted = {number: told for number, told in held.items() if number >= verdict.first}
    if not wanted:
        return ""
    found = {one.n: one.hash for one in read(file) if one.n in wanted}
    for number, told in sorted(wanted.items()):
        if number not in found:
            return f"record {number} of the anchor is not there any more"
        if found[number] != told:
            return f"record {number} is another one than the anchor's: the file was written anew"
    return ""


def _tokens(settings: "Settings") -> dict[str, Any]:
    """What the vault's own chain is worth; empty without a vault."""
    if settings.tokens is None or not Path(settings.tokens.vault_file).exists():
        return {}
    import asyncio

    from switch.control.tokens import connect
    from switch.tokens.orders import AuditVerdict, By, VerifyAudit

    async def ask() -> AuditVerdict:
        by = By(actor=os.environ.get("SUDO_USER", "") or "audit verify")
        async with connect(settings) as tokens:
            verdict = await tokens.perform(VerifyAudit(by=by))
        assert isinstance(verdict, AuditVerdict)
        return verdict

    verdict = asyncio.run(ask())
    return {"count": verdict.records, "broken_at": verdict.broken_at, "problem": verdict.problem}


def _anchor(verdict: "Verdict") -> str:
    return f"{verdict.records}:{verdict.hash}"


def _told(verdict: "Verdict") -> dict[str, object]:
    return {
        "count": verdict.records,
        "first": verdict.first,
        "anchor": _anchor(verdict),
        "broken_line": verdict.broken_line,
        "file": verdict.file,
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
        case "incident":
            told = dict(record.order)
            kind, member = told.pop("incident", ""), told.pop("member", "")
            return (
                f"{head}{member} sent {kind.replace('_', ' ')}, {told.get('count', 1)} times, the "
                f"last from {told.get('peer', '?')}"
            )
        case "refused":
            who = record.user or str(record.uid)
            times = record.order.get("times", 1)
            return f"{head}refused, and no order, {times} times  by {who}{_code(record)}"
        case "continued":
            return f"{head}goes on behind the file before"
        case _:
            return f"{head}{record.kind}"


def _code(record: "Record") -> str:
    return f"  ({record.code} {record.problem})" if record.code else ""
