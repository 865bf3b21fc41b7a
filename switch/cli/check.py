"""`tapswitch check`: the findings of a configuration directory."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from switch.control.check import Placed

__all__ = ["command"]


@click.command("check")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--strict", is_flag=True, help="Warnings count as findings too.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def command(directory: Path, strict: bool, output: str) -> int:
    """Find what would fail at run time, in a configuration DIR or a settings file.

    Exit code 0: nothing; 1: findings; 3: the settings cannot be read at all.
    """
    from switch.control.check import check_node

    found = check_node(directory)
    counted = [p for p in found if strict or p.finding.severity == "error"]
    if output == "json":
        rows = [_row(placed) for placed in found]
        click.echo(json.dumps({"ok": not counted, "findings": rows}, ensure_ascii=False))
    else:
        for placed in found:
            click.echo(_text(placed))
        errors = sum(p.finding.severity == "error" for p in found)
        click.echo(f"{errors} errors, {len(found) - errors} warnings")
        if found:
            click.echo("more: tapswitch explain RULE, the word in brackets", err=True)
    return 1 if counted else 0


def _row(placed: "Placed") -> dict[str, object]:
    finding = placed.finding
    return {
        "severity": finding.severity,
        "rule": finding.rule,
        "key": finding.key,
        "problem": finding.problem,
        "help": finding.help,
        "file": placed.file,
        "line": placed.line,
        "column": placed.column,
    }


def _text(placed: "Placed") -> str:
    from switch.cli.report import describe
    from switch.errors import SettingsError

    finding = placed.finding
    error = SettingsError(
        finding.problem,
        file=placed.file,
        line=placed.line,
        column=placed.column,
        key=finding.key,
        help=finding.help,
    )
    return describe(f"{finding.severity}[{finding.rule}]", error)
