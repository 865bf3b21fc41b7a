"""`tapswitch version`: what runs here."""

import json
import platform

import click

from switch import native

__all__ = ["command"]


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(as_json: bool) -> None:
    """Version, build profile and interpreter."""
    facts = {
        "version": native.__version__,
        "native": native.BUILD_PROFILE,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo(f"tapswitch {facts['version']} ({facts['native']} build of the extension)")
        click.echo(f"{facts['implementation']} {facts['python']} on {facts['machine']}")
    if native.BUILD_PROFILE != "release":
        click.echo("warning: a debug build is many times slower; run `make setup`", err=True)
