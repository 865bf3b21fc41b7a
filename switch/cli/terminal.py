"""`tapswitch terminal`: who may sign on, and with which master key. Keys are never shown."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from switch.crypto.keyfile import Keys
    from switch.settings.schema import Settings

__all__ = ["command"]


@click.group("terminal")
def command() -> None:
    """Terminals that sign on by themselves: their registry. Master keys are never shown.

    A running worker notices a change within a second.
    """


def _named(function: Any) -> Any:
    """Options that name a terminal, and the configuration."""
    options = (
        click.option("--config", "directory", type=click.Path(path_type=Path), required=True),
        click.option("--acquirer", required=True, help="Id of the acquirer in the settings."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command.command("add")
@_named
@click.argument("terminal_id")
@click.option("--merchant", required=True, help="Field 42 of its messages.")
@click.option("--capability", default="", help="Field 60.4, what it can read.")
@click.option("--zone", default="", help="A word of yours for where it stands.")
@click.option("--check-value", default="", help="Eight hexadecimal digits its key must have.")
@click.option(
    "--component",
    "sources",
    metavar="FILE|fd:N",
    multiple=True,
    help="A part of the master key in a file of mode 0600 or behind a descriptor; several times. "
    "Without it the terminal asks for two.",
)
@click.option("--replace", is_flag=True, help="Also one that is there: it gets this key.")
def add(
    directory: Path,
    acquirer: str,
    terminal_id: str,
    merchant: str,
    capability: str,
    zone: str,
    check_value: str,
    sources: tuple[str, ...],
    replace: bool,
) -> None:
    """Enter one terminal with its master key, in parts."""
    from switch.cli.keys import entered
    from switch.control.witness import witnessed
    from switch.crypto.terminals import Given, add_terminal

    settings, file, keys = _opened(directory)
    _known_acquirer(settings, acquirer)
    key = entered("3des", sources, 2, f"the master key of {terminal_id}")
    given = Given(acquirer, terminal_id, merchant, capability, zone, check_value)
    about = {"acquirer": acquirer, "terminal": terminal_id, "check_value": key.check_value}
    with witnessed(settings.node.data_dir, "terminal-add", **about, replace=int(replace)):
        add_terminal(file, keys, given, key, int(time.time()), replace=replace)
    click.echo(f"{acquirer} {terminal_id}: {key.check_value}")


@command.command("import")
@_named
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--transport-key",
    "name",
    required=True,
    help="Name of the link key (usage transport) under which the master keys are.",
)
@click.option("--replace", is_flag=True, help="Also those that are there.")
def import_(directory: Path, acquirer: str, source: Path, name: str, replace: bool) -> None:
    """Enter many, from CSV (with a head line) or NDJSON: all of them, or none.

    Columns: terminal_id, merchant_id, master_key (32 hexadecimal digits, sealed under the transport
    key), and if you like check_value, capability, zone.
    """
    from switch.control.witness import witnessed
    from switch.crypto.links import open_link_keys
    from switch.crypto.terminals import bring_terminals, read_import

    settings, file, keys = _opened(directory)
    _known_acquirer(settings, acquirer)
    transport = open_link_keys(settings.keys.link_keys_file, keys)
    given = read_import(source, acquirer)
    about: dict[str, str | int] = {
        "acquirer": acquirer,
        "terminals": len(given),
        "transport_key": name,
    }
    with witnessed(settings.node.data_dir, "terminal-import", **about, replace=int(replace)):
        by = (transport, name)
        count = bring_terminals(file, keys, given, by, int(time.time()), replace=replace)
    click.echo(f"{count} terminals of {acquirer}")


@command.command("list")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
@click.option("--acquirer", help="Those of one acquirer only.")
@click.option("--all", "retired", is_flag=True, help="Retired ones too.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def list_(directory: Path, acquirer: str | None, retired: bool, output: str) -> None:
    """Show terminals, one a line; with -o json as NDJSON."""
    import msgspec

    from switch.crypto.terminals import open_registry, terminal_rows

    _, file, keys = _opened(directory)
    for row in terminal_rows(open_registry(file, keys)):
        if (acquirer and row.acquirer != acquirer) or (row.retired_s and not retired):
            continue
        if output == "json":
            click.echo(json.dumps(msgspec.to_builtins(row)))
        else:
            click.echo(_line(row))


@command.command("show")
@_named
@click.argument("terminal_id")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def show(directory: Path, acquirer: str, terminal_id: str, output: str) -> None:
    """Show one terminal."""
    import msgspec

    from switch.crypto.terminals import TerminalRow, open_registry
    from switch.errors import KeyFileError

    _, file, keys = _opened(directory)
    found = open_registry(file, keys).find(acquirer, terminal_id)
    if found is None:
        raise KeyFileError(f"there is no terminal {terminal_id} of {acquirer}", file=file)
    if output == "json":
        click.echo(json.dumps(found))
    else:
        click.echo(_line(msgspec.convert(found, TerminalRow)))


@command.command("retire")
@_named
@click.argument("terminal_id")
def retire(directory: Path, acquirer: str, terminal_id: str) -> None:
    """Take a terminal out of use for good: its master key leaves the file, its row stays."""
    from switch.control.witness import witnessed
    from switch.crypto.terminals import retire_terminal

    settings, file, keys = _opened(directory)
    about = {"acquirer": acquirer, "terminal": terminal_id}
    with witnessed(settings.node.data_dir, "terminal-retire", **about):
        retire_terminal(file, keys, acquirer, terminal_id, int(time.time()))
    click.echo(f"{acquirer} {terminal_id}: retired")


@command.command("sign-off")
@_named
@click.argument("terminal_id")
@click.option("--reason", default="", help="Why, for the audit.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def sign_off(directory: Path, acquirer: str, terminal_id: str, reason: str, output: str) -> None:
    """Void the work keys of a terminal at a running node; it must sign on again."""
    from switch.cli.order import ask, by, show
    from switch.control.terminal_sign_off import TerminalDone, TerminalSignOff

    order = TerminalSignOff(acquirer=acquirer, terminal_id=terminal_id, by=by(reason))
    done = ask(str(directory), order, TerminalDone)
    show(done, output, lambda: [f"{done.acquirer} {done.terminal_id}: {done.did}"])


def _line(row: Any) -> str:
    state = "in use" if not row.retired_s else f"retired {_day(row.retired_s)}"
    return (
        f"{row.acquirer:16} {row.terminal_id:8} {row.merchant_id:15} {row.capability or '-'} "
        f"{row.zone or '-':16} {row.check_value}  added {_day(row.added_s)}  {state}"
    )


def _day(at_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_s))


def _opened(directory: Path) -> "tuple[Settings, str, Keys]":
    """Settings, the registry's file, and the node's keys."""
    from switch.crypto.keyfile import open_keys
    from switch.errors import SettingsError
    from switch.settings.load import load

    settings = load(directory)
    if settings.terminals is None:
        raise SettingsError(
            "there is no table [terminals]", file=settings.file, help="it names the registry"
        )
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    return settings, settings.terminals.file, keys


def _known_acquirer(settings: "Settings", acquirer: str) -> None:
    from switch.errors import SettingsError
    from switch.settings.nearest import suggest

    ids = [one.id for one in settings.acquirers]
    if acquirer not in ids:
        raise SettingsError(
            f'no acquirer "{acquirer}"', file=settings.file, help=suggest(acquirer, ids)
        )
