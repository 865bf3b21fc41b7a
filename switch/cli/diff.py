"""`tapswitch diff`: two messages field by field, by canonical name, masked."""

import json
from typing import TYPE_CHECKING

import click

from switch.cli.captured import dialect_option, lang_option, language, open_dialect, read_input, say
from switch.errors import CaptureError

if TYPE_CHECKING:
    from switch.wire import Message
    from switch.wire.difference import Difference

__all__ = ["command"]

SIGNS = {"same": " ", "changed": "~", "only-in-a": "-", "only-in-b": "+"}


@click.command("diff")
@dialect_option
@click.option("--dialect-b", metavar="NAME|FILE", help="Dialect of B (default: of A).")
@click.option("--raw", is_flag=True, help="Files hold the bytes as they are.")
@click.option("--all", "everything", is_flag=True, help="Also what is the same.")
@lang_option
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
def command(
    dialect: str,
    dialect_b: str | None,
    raw: bool,
    everything: bool,
    lang: str | None,
    output: str,
    a: str,
    b: str,
) -> int:
    """Compare messages A and B, each HEX, FILE or `-`, also of two dialects.

    Fields are compared by canonical name in normal form, hidden ones too, though only that they
    differ is said. Exit code 0: the same; 1: they differ.
    """
    from switch.wire.difference import SCHEMA, difference

    left = _one(dialect, a, raw)
    right = _one(dialect_b or dialect, b, raw)
    rows = list(difference(left, right))
    shown = [row for row in rows if everything or row.state != "same"]
    differ = [row for row in rows if row.state != "same"]
    if output == "json":
        listed = [row._asdict() for row in shown]
        whole = {"schema": SCHEMA, "same": not differ, "differences": listed}
        click.echo(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        for row in shown:
            click.echo(_line(row, language(lang)))
        say(f"{len(differ)} of {len(rows)} fields differ")
    return 1 if differ else 0


def _one(dialect: str, source: str, raw: bool) -> "Message":
    """The one message of an input."""
    from switch.wire.cut import cut
    from switch.wire.source import read

    script = open_dialect(dialect)
    capture = read_input(source, raw=raw)
    frames = cut(script, capture.data, capture.lines)
    if len(frames) != 1:
        raise CaptureError(f"{len(frames)} messages where one is compared")
    found = read(script.dialect, frames[0].body)
    if isinstance(found, Exception):
        raise CaptureError(
            f"a message does not fit its dialect: {found}", help="tapswitch decode --explain"
        )
    return found


def _line(row: "Difference", lang: str) -> str:
    number = row.number_a if row.number_a == row.number_b else f"{row.number_a}/{row.number_b}"
    title = {"en": row.title_en, "zh": row.title_zh}.get(lang, f"{row.title_en} {row.title_zh}")
    values = {
        "changed": f"{row.a} -> {row.b}" if row.a != row.b else f"{row.a}, and they differ",
        "only-in-a": row.a,
        "only-in-b": row.b,
        "same": row.a,
    }
    cells = (f"{SIGNS[row.state]} F{number.strip('/')}", row.name, values[row.state], title)
    return "  ".join(cells).rstrip()
