"""`tapswitch keys`: make a node's keys, show which they are."""

import json
import os
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from switch.crypto.keyfile import Keys
    from switch.crypto.links import Components
    from switch.crypto.masters import Place

__all__ = ["command"]

CHECK_DIGITS: Final = 6
LINK_CHECK_DIGITS: Final = 8


@click.group("keys")
def command() -> None:
    """Make a node's keys, show which they are. Key bytes are never printed."""


@command.command("create")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
def create(directory: Path) -> None:
    """Make the sealing key and the sealed key file that the settings name.

    Then move the sealing key to another device, or hand it over as a descriptor ("fd:N").
    """
    from switch.control.witness import witnessed
    from switch.crypto.keyfile import create_keys
    from switch.settings.load import load

    settings = load(directory)
    keys = settings.keys
    with witnessed(settings.node.data_dir, "keys-create"):
        create_keys(keys.file, keys.sealing_key_file)
    click.echo(f"{keys.file}\n{keys.sealing_key_file}")
    click.echo("keep the sealing key away from the other file, and a copy of both safe", err=True)


@command.command("show")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def show(directory: Path, output: str) -> None:
    """Check values of the keys, and whether they are demo keys."""
    from switch.crypto.keyfile import open_keys
    from switch.settings.load import load

    settings = load(directory).keys
    keys = open_keys(settings.file, settings.sealing_key_file)
    if output == "json":
        click.echo(json.dumps({"demo": keys.demo, "check_values": keys.check_values}))
        return
    for name, value in keys.check_values.items():
        click.echo(f"{name:10} {value}")
    if keys.demo:
        click.echo("these are DEMO keys: loopback only")


@command.group("card-master")
def card_master() -> None:
    """Issuers' master keys, with which taps are proved. Key bytes are never arguments nor printed.

    A key is named by scheme, card range, derivation key index and usage. A worker reads the file
    when it starts.
    """


def _place(function: Any) -> Any:
    """Options that name a place, and the configuration."""
    options = (
        click.option("--config", "directory", type=click.Path(path_type=Path), required=True),
        click.option("--scheme", type=click.Choice(["unionpay", "visa"]), required=True),
        click.option("--prefix", required=True, help="Leading digits of the tokens or cards."),
        click.option(
            "--index",
            type=click.IntRange(0, 255),
            required=True,
            help="Derivation key index, as the cards say it in tag 9F10.",
        ),
        click.option(
            "--usage",
            type=click.Choice(["cryptogram", "script-mac", "script-secret"]),
            default="cryptogram",
            show_default=True,
            help="What the key may do; only the first proves taps.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@card_master.command("add")
@_place
@click.option("--institution", required=True, help="Whose key: an id of up to 16 characters.")
@click.option(
    "--option",
    type=click.Choice(["A", "B"]),
    required=True,
    help="How card keys come from it, as the issuer says; never guessed.",
)
@click.option("--check-value", required=True, help="Six hexadecimal digits the key must have.")
@click.option("--version", type=click.IntRange(1, 65_535), help="Default: the next one.")
@click.option(
    "--key",
    "source",
    metavar="FILE|fd:N",
    help="16 bytes or 32 hexadecimal digits, in a file of mode 0600 or behind a descriptor; "
    "without it the terminal asks.",
)
def add(
    directory: Path,
    scheme: str,
    prefix: str,
    index: int,
    usage: str,
    institution: str,
    option: str,
    check_value: str,
    version: int | None,
    source: str | None,
) -> None:
    """Enter a key. During a rotation an index has two versions: both are tried, the newer first."""
    from switch.control.witness import witnessed
    from switch.crypto.masters import add_master
    from switch.crypto.profiles import Option

    digits = check_value.strip()
    if len(digits) != CHECK_DIGITS or set(digits.upper()) - set("0123456789ABCDEF"):
        raise click.UsageError("--check-value is six hexadecimal digits")
    file, keys, place = _named(directory, scheme, prefix, index, usage)
    about: dict[str, str | int] = {
        "scheme": scheme,
        "prefix": prefix,
        "index": index,
        "usage": usage,
    }
    with (
        witnessed(_data_dir(directory), "keys-card-master-add", **about, check_value=digits),
        _descriptor(source) as descriptor,
    ):
        key = (descriptor, digits)
        made = add_master(
            file, keys, place, institution, Option(option), int(time.time()), key, version or 0
        )
    click.echo(f"{scheme} {prefix} index {index} {usage} version {made}: {digits.upper()}")


@card_master.command("list")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def list_(directory: Path, output: str) -> None:
    """Show every key by check value, retired ones included."""
    import msgspec

    from switch.crypto.masters import open_masters, rows

    found = rows(open_masters(*_opened(directory)))
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    for row in found:
        state = "in use" if not row.retired_s else f"retired {_day(row.retired_s)}"
        click.echo(
            f"{row.institution:16} {row.scheme:8} {row.prefix:12} index {row.index:<3} "
            f"version {row.version:<3} {row.usage:13} {row.algorithm} option {row.option} "
            f"{row.check_value}  added {_day(row.added_s)}  {state}"
        )


@card_master.command("retire")
@_place
@click.option("--version", type=click.IntRange(1, 65_535), required=True)
@click.option("--last", is_flag=True, help="Also when no other key of these cards is in use.")
def retire(
    directory: Path, scheme: str, prefix: str, index: int, usage: str, version: int, last: bool
) -> None:
    """Take a key out of use for good: its bytes leave the file, its row stays."""
    from switch.control.witness import witnessed
    from switch.crypto.masters import retire_master

    file, keys, place = _named(directory, scheme, prefix, index, usage)
    about: dict[str, str | int] = {
        "scheme": scheme,
        "prefix": prefix,
        "index": index,
        "usage": usage,
    }
    with witnessed(_data_dir(directory), "keys-card-master-retire", **about, version=version):
        retire_master(file, keys, place, version, int(time.time()), last=last)
    click.echo(f"{scheme} {prefix} index {index} {usage} version {version}: retired")


def _data_dir(directory: Path) -> str:
    from switch.settings.load import load

    return load(directory).node.data_dir


def _day(at_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_s))


def _opened(directory: Path) -> "tuple[str, Keys]":
    """The file of card master keys that the settings name, and the node's keys."""
    from switch.crypto.keyfile import open_keys
    from switch.errors import SettingsError
    from switch.settings.load import load

    settings = load(directory)
    if settings.tokens is None:
        raise SettingsError(
            "there is no table [tokens]", file=settings.file, help="it names the file of these keys"
        )
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    return settings.tokens.card_masters_file, keys


def _named(
    directory: Path, scheme: str, prefix: str, index: int, usage: str
) -> "tuple[str, Keys, Place]":
    from switch.crypto.masters import Place, Usage
    from switch.crypto.profiles import Scheme

    return *_opened(directory), Place(Scheme(scheme), prefix, index, Usage(usage))


@command.group("link")
def link() -> None:
    """Keys that hosts share: message codes of links, and what terminals' master keys come under.

    A key is named; `key` in a table mac of the settings names it. Key bytes are never arguments nor
    printed. A worker reads the file when it starts.
    """


@link.command("add")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
@click.argument("name")
@click.option(
    "--usage",
    type=click.Choice(["mac", "transport"]),
    default="mac",
    show_default=True,
    help="mac: message codes of a link; transport: master keys of terminals come under it.",
)
@click.option(
    "--cipher", type=click.Choice(["des", "3des", "sm4"]), default="3des", show_default=True
)
@click.option("--check-value", help="Eight hexadecimal digits the whole key must have.")
@click.option(
    "--components",
    type=click.IntRange(1, 5),
    default=2,
    show_default=True,
    help="Parts that people type, each its own, combined by exclusive or.",
)
@click.option(
    "--component",
    "sources",
    metavar="FILE|fd:N",
    multiple=True,
    help="A part in a file of mode 0600 or behind a descriptor; several times; nothing is asked.",
)
def link_add(
    directory: Path,
    name: str,
    usage: str,
    cipher: str,
    check_value: str | None,
    components: int,
    sources: tuple[str, ...],
) -> None:
    """Enter a key in parts. In a rotation a name has two: both prove, the newer one is used."""
    from switch.control.witness import witnessed
    from switch.crypto.links import Usage, add_link_key

    digits = check_value.strip() if check_value else None
    if digits is not None and (
        len(digits) != LINK_CHECK_DIGITS or set(digits.upper()) - set("0123456789ABCDEF")
    ):
        raise click.UsageError("--check-value is eight hexadecimal digits")
    file, keys = _links(directory)
    key = entered(cipher, sources, components, name)
    about = {"name": name, "usage": usage, "check_value": key.check_value}
    with witnessed(_data_dir(directory), "keys-link-add", **about):
        made = add_link_key(file, keys, name, Usage(usage), key, int(time.time()), digits)
    click.echo(f"{name} version {made} for {usage}, {cipher}: {key.check_value}")


@link.command("list")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def link_list(directory: Path, output: str) -> None:
    """Show every key by check value, retired ones included."""
    import msgspec

    from switch.crypto.links import link_rows, open_link_keys

    found = link_rows(open_link_keys(*_links(directory)))
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(found)))
        return
    for row in found:
        state = "in use" if not row.retired_s else f"retired {_day(row.retired_s)}"
        click.echo(
            f"{row.name:16} version {row.version:<3} {row.usage:9} {row.cipher:4} "
            f"{row.check_value}  added {_day(row.added_s)}  {state}"
        )


@link.command("retire")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
@click.argument("name")
@click.option("--version", type=click.IntRange(1, 65_535), required=True)
@click.option("--last", is_flag=True, help="Also when no other key of the name is in use.")
def link_retire(directory: Path, name: str, version: int, last: bool) -> None:
    """Take a key out of use for good: its bytes leave the file, its row stays."""
    from switch.control.witness import witnessed
    from switch.crypto.links import retire_link_key

    file, keys = _links(directory)
    with witnessed(_data_dir(directory), "keys-link-retire", name=name, version=version):
        retire_link_key(file, keys, name, version, int(time.time()), last=last)
    click.echo(f"{name} version {version}: retired")


def entered(cipher: str, sources: tuple[str, ...], parts: int, what: str) -> "Components":
    """A key in parts: from the sources that are named, else so many that people type. The check
    value of each is shown."""
    from switch.crypto.links import Components

    key = Components(cipher)
    for number, source in enumerate(sources or (None,) * parts, 1):
        with _descriptor(source, f"component {number} of {what}") as descriptor:
            value = key.enter(descriptor)
        click.echo(f"component {number}: check value {value}", err=True)
    return key


def _links(directory: Path) -> "tuple[str, Keys]":
    """The file of link keys that the settings name, and the node's keys."""
    from switch.crypto.keyfile import open_keys
    from switch.settings.load import load

    settings = load(directory).keys
    return settings.link_keys_file, open_keys(settings.file, settings.sealing_key_file)


@contextmanager
def _descriptor(source: str | None, what: str = "card master key") -> Iterator[int]:
    """Where native code reads the key: the named source, or the terminal without echo."""
    from switch.crypto.masters import key_source

    if source is not None:
        with key_source(source) as descriptor:
            yield descriptor
        return
    if not sys.stdin.isatty():
        raise click.UsageError("name a FILE or fd:N to read it from; there is no terminal to ask")
    terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
        click.echo(f"{what}, in hexadecimal digits (not shown): ", nl=False, err=True)
        yield terminal
        click.echo(err=True)
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
        os.close(terminal)
