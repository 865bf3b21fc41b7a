"""What commands share that give orders to a running worker: options, asking, showing."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from switch.control.order import Answer, Order

__all__ = ["ask", "common", "show"]

A = TypeVar("A", bound="Answer")


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command here: --config, -o."""
    for option in (
        click.option("-o", "output", type=click.Choice(["text", "json"]), default="text"),
        click.option("--config", "config", required=True, type=click.Path(exists=True)),
    ):
        function = option(function)
    return function


def ask(config: str, order: "Order", answer: type[A]) -> A:
    """Sends one order to the node of the configuration directory; see `switch.control.remote`."""
    from switch.control.remote import ask as ask_worker
    from switch.settings.load import load

    return ask_worker(load(config), order, answer)


def show(answer: "Answer", output: str, lines: Callable[[], list[str]]) -> None:
    """The answer on stdout: as JSON, or as the lines that `lines` makes of it."""
    if output == "json":
        click.echo(json.dumps(msgspec.to_builtins(answer), indent=2))
    else:
        for line in lines():
            click.echo(line)
