"""`tapswitch config`: what is in force, and what a reload would change."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from switch.control.diff import Change
    from switch.control.show import Shown
    from switch.settings.load import Places
    from switch.settings.schema import Settings

__all__ = ["change_row", "change_text", "command"]

SCHEMA = 1
"""Of the JSON that is printed."""


@click.group("config")
def command() -> None:
    """Show a configuration; say beforehand what a reload would do.

    DIR is a configuration directory, a settings file, or a snapshot (data/run/in-force.json).
    """


@command.command("show")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--effective", is_flag=True, help="Defaults too.")
@click.option("--origin", is_flag=True, help="Where each value comes from: file and line.")
@click.option("--in-force", is_flag=True, help="What the node of DIR runs, not its files.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def show(directory: Path, effective: bool, origin: bool, in_force: bool, output: str) -> int:
    """Show the settings as TOML; secrets only as paths and fingerprints."""
    from switch.control.show import dialect_fingerprint, shown
    from switch.settings.load import load, load_placed

    if in_force:
        directory = _in_force(load(directory))
    settings, places = load_placed(directory)
    rows = [row for row in shown(settings, places) if effective or row.table or row.file]
    dialects = [
        {"name": name, "file": file, "fingerprint": dialect_fingerprint(settings, name)}
        for name, file in settings.dialects.items()
    ]
    if output == "json":
        keys = [_key_row(row) for row in rows if not row.table]
        whole = {"schema": SCHEMA, "config": settings.digest, "origin": settings.sources.origin}
        click.echo(json.dumps(whole | {"keys": keys, "dialects": dialects}, ensure_ascii=False))
        return 0
    click.echo(f"# config {settings.digest} of {settings.sources.origin}")
    for line in _toml_lines(rows, effective, origin):
        click.echo(line)
    click.echo()
    for dialect in dialects:
        click.echo(f"# {dialect['file']}  {dialect['fingerprint']}")
    return 0


@command.command("diff")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="Another configuration instead of the one in force.",
)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def diff(directory: Path, against: Path | None, output: str) -> int:
    """Say what a reload of DIR would change: live, by bouncing a link, or not without a restart.

    With OTHER, the files of DIR are read as if they lay where those of OTHER do.

    Exit code 0: nothing; 1: something differs; 3: a reload would refuse the files of DIR.
    """
    import msgspec

    from switch.control.check import check_placed
    from switch.control.diff import bounced, compare, restarts
    from switch.settings.load import load, load_placed, parse
    from switch.settings.sources import read_sources

    old, old_places = load_placed(against or _in_force(load(directory)))
    staged = msgspec.structs.replace(read_sources(directory), base=old.sources.base)
    new, places = parse(staged)
    changes = compare(old, new)
    errors = sum(p.finding.severity == "error" for p in check_placed(new, places))
    if output == "json":
        whole = {
            "schema": SCHEMA,
            "before": old.digest,
            "after": new.digest,
            "changes": [change_row(change, places, old_places) for change in changes],
            "bounces": bounced(changes),
            "restart": bool(restarts(changes)),
            "errors": errors,
        }
        click.echo(json.dumps(whole, ensure_ascii=False))
    else:
        click.echo(f"config {old.digest} ({old.sources.root}) -> {new.digest} ({directory})")
        for line in change_text(changes, places, old_places):
            click.echo(line)
        click.echo(_verdict(changes, errors, directory))
    return 3 if errors else int(bool(changes))


def _in_force(settings: "Settings") -> Path:
    """The snapshot that the node of these settings keeps."""
    from switch.errors import UnreachableError
    from switch.settings.sources import in_force_file

    file = in_force_file(settings.node.data_dir)
    if not file.exists():
        raise UnreachableError(
            "no configuration is in force: the node has not run yet",
            file=str(file),
            help="name another one with --against",
        )
    return file


def _verdict(changes: "list[Change]", errors: int, directory: Path) -> str:
    from switch.control.diff import bounced, restarts

    if errors:
        return f"{errors} errors: a reload would change nothing (tapswitch check {directory})"
    if not changes:
        return "nothing differs"
    if refused := restarts(changes):
        return f"{len(refused)} of {len(changes)} need a restart: a reload would change nothing"
    links = bounced(changes)
    return f"{len(changes)} changes, " + (f"bounces {', '.join(links)}" if links else "all live")


def change_row(change: "Change", places: "Places", old_places: "Places") -> dict[str, Any]:
    """A change as JSON has it."""
    place = (old_places if change.removed else places).find(change.at)
    return {
        "key": change.key,
        "effect": change.effect.name.lower(),
        "before": change.before,
        "after": change.after,
        "bounces": list(change.bounces),
        "note": change.note,
        "file": place.file,
        "line": place.line,
    }


def change_text(changes: "list[Change]", places: "Places", old_places: "Places") -> list[str]:
    """Changes in groups by effect, one a line."""
    lines: list[str] = []
    for index, change in enumerate(changes):
        if index == 0 or change.effect is not changes[index - 1].effect:
            lines.append(f"{change.effect}:")
        place = (old_places if change.removed else places).find(change.at)
        sign = "+" if not change.before else "-" if not change.after else "~"
        values = " -> ".join(filter(None, (change.before, change.after)))
        lines.append(f"  {sign} {change.key}  {values}")
        about = [f"{place.file}:{place.line}" if place.line else place.file]
        if change.bounces:
            about.append(f"bounces {', '.join(change.bounces)}")
        if change.note:
            about.append(change.note)
        lines.append(f"      {'; '.join(about)}")
    return lines


def _key_row(row: "Shown") -> dict[str, Any]:
    origin = {"file": row.file, "line": row.line} if row.file else None
    shown: dict[str, Any] = {"key": row.key, "value": row.value, "origin": origin}
    return shown | ({"fingerprint": row.fingerprint} if row.fingerprint else {})


def _toml_lines(rows: "list[Shown]", effective: bool, origin: bool) -> list[str]:
    from switch.settings.example import toml

    lines: list[str] = []
    head = ""
    for row in rows:
        if row.table:
            # The head of a table that says nothing is left out.
            name = row.row.replace(".*", "")
            head = f"[[{name}]]" if row.row.endswith(".*") else f"[{name}]"
            if row.row.endswith(".*") or effective:
                lines += ["", head]
                head = ""
            continue
        if head:
            lines += ["", head]
            head = ""
        line = f"{row.key.rpartition('.')[2]} = {toml(row.value)}"
        notes = [row.fingerprint] if row.fingerprint else []
        if origin:
            notes.append(f"{row.file}:{row.line}" if row.file else "default")
        lines.append(f"{line}  # {', '.join(notes)}" if notes else line)
    return lines
