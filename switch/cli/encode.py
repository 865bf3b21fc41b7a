"""`tapswitch encode`: names and values to the bytes of a test message."""

import json
from pathlib import Path

import click

from switch.cli.captured import dialect_option, open_dialect, read_text

__all__ = ["command"]

SCHEMA = "tapswitch.encode/1"


@click.command("encode")
@dialect_option
@click.option("--body", is_flag=True, help="Without length, TPDU and header.")
@click.option("--raw", is_flag=True, help="Write the bytes as they are.")
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
@click.argument("source", nargs=-1, required=True, metavar="NAME=VALUE…|FILE|-")
def command(dialect: str, body: bool, raw: bool, output: str, source: tuple[str, ...]) -> int:
    """Print a message in hexadecimal.

    The input is NAME=VALUE pairs, or a file (or `-`) of such lines, of TOML, or of what
    `tapswitch decode -o json --unmask` gave. A field goes by name or number, a sub-field or tag
    behind a dot: mti=0200 pan=6299… 4=000000001000 60.1=22 55.9F36=0001. Card numbers are of
    6299xx; others are refused.
    """
    from switch.wire.compose import compose, from_pairs, from_text, unframed

    script = open_dialect(dialect)
    if len(source) == 1 and (source[0] == "-" or Path(source[0]).is_file()):
        messages = from_text(script.dialect, read_text(source[0]), source[0])
    else:
        messages = [from_pairs(script.dialect, source)]
    frames = [compose(script.dialect, message) for message in messages]
    pieces = [unframed(script, frame) if body else frame for frame in frames]
    if raw:
        click.echo(b"".join(pieces), nl=False)
    elif output == "json":
        rows = [{"hex": piece.hex().upper(), "bytes": len(piece)} for piece in pieces]
        click.echo(json.dumps({"schema": SCHEMA, "dialect": script.dialect.name, "messages": rows}))
    else:
        for piece in pieces:
            click.echo(piece.hex().upper())
    return 0
