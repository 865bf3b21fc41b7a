"""What commands share that give orders to a running worker: options, asking, showing."""

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from switch.control.order import Answer, By, Order
    from switch.settings.schema import Settings

__all__ = ["ask", "by", "changing", "common", "confirm", "show"]

A = TypeVar("A", bound="Answer")


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command here: --config, -o."""
    for option in (
        click.option("-o", "output", type=click.Choice(["text", "json"]), default="text"),
        click.option("--config", "config", required=True, type=click.Path(exists=True)),
    ):
        function = option(function)
    return function


def changing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command that changes something: --reason, --yes, --dry-run."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Only say what would be done."),
        click.option("--yes", is_flag=True, help="Do not ask (needed without a terminal)."),
        click.option("--reason", required=True, help="Why; kept in the audit."),
    ):
        function = option(function)
    return function


def by(reason: str) -> "By":
    """On whose account: behind sudo, the person who called it. The worker knows our uid itself."""
    from switch.control.order import ACTOR_CHARACTERS_MAX, REASON_CHARACTERS_MAX, By

    if len(reason) > REASON_CHARACTERS_MAX:
        raise click.UsageError(f"--reason has more than {REASON_CHARACTERS_MAX} characters")
    return By(actor=os.environ.get("SUDO_USER", "")[:ACTOR_CHARACTERS_MAX], reason=reason)


def confirm(word: str, effect: str) -> None:
    """Has the user type `word` after reading what will happen. Without a terminal: a usage error
    that names --yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{effect} Say --yes to do it without being asked.")
    typed = click.prompt(
        f"{effect}\nType {word} to do it", err=True, default="", show_default=False
    )
    if typed != word:
        raise click.Abort


def ask(config: str, order: "Order", answer: type[A]) -> A:
    """Sends one order to the node of the configuration directory; see `switch.control.remote`."""
    from switch.control.remote import ask as ask_worker

    return ask_worker(_settings(config), order, answer)


def _settings(config: str) -> "Settings":
    """Those of the node's files; those in force where the files cannot be read, since orders reach
    a node whatever somebody is just writing there."""
    from pathlib import Path

    from switch.errors import OperatorError
    from switch.settings.load import load
    from switch.settings.sources import in_force_file

    try:
        return load(config)
    except OperatorError:
        place = Path(config).absolute()
        base = place if place.is_dir() else place.parent
        file = in_force_file(base / "data")
        if file.exists() and load(file).sources.origin == str(place):
            return load(file)
        raise


def show(answer: "Answer", output: str, lines: Callable[[], list[str]]) -> None:
    """The answer on stdout: as JSON, or as the lines that `lines` makes of it."""
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(answer), indent=2))
    else:
        for line in lines():
            click.echo(line)
