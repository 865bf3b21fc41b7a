"""`tapswitch keys`: make a node's keys, show which they are."""

import json
from pathlib import Path

import click

__all__ = ["command"]


@click.group("keys")
def command() -> None:
    """Make a node's keys, show which they are. Key bytes are never printed."""


@command.command("create")
@click.option("--config", "directory", type=click.Path(path_type=Path), required=True)
def create(directory: Path) -> None:
    """Make the sealing key and the sealed key file that the settings name.

    Then move the sealing key to another device, or hand it over as a descriptor ("fd:N").
    """
    from switch.crypto.keyfile import create_keys
    from switch.settings.load import load

    keys = load(directory).keys
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
