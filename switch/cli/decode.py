"""`tapswitch decode`: a capture taken apart, masked, with hints where it was read wrongly."""

import json
from typing import Any

import click

from switch.cli.captured import dialect_option, lang_option, language, open_dialect, read_input, say

__all__ = ["command"]


@click.command("decode")
@dialect_option
@click.option("--explain", is_flag=True, help="Say what was probably read wrongly, and why.")
@click.option("--raw", is_flag=True, help="The file or stdin holds the bytes as they are.")
@click.option("--unmask", is_flag=True, help="Show everything; for cards of 6299xx only.")
@lang_option
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
@click.argument("source", metavar="HEX|FILE|-")
def command(
    dialect: str,
    explain: bool,
    raw: bool,
    unmask: bool,
    lang: str | None,
    output: str,
    source: str,
) -> int:
    """Print offsets, bytes, names and values of messages.

    The input is hexadecimal (spaces, line breaks, 0x and the offsets of hexdump, xxd or Wireshark
    are tolerated), a file of it, or `-` for stdin; one message or several, with the length of the
    dialect's framing before each or without. Card numbers, tracks, PIN blocks and whatever the
    dialect classes above C1 are masked, in the bytes too.

    Exit code 0: every message fits; 1: one does not.
    """
    from switch.wire.anatomy import SCHEMA, anatomy
    from switch.wire.cut import cut

    script = open_dialect(dialect)
    capture = read_input(source, raw=raw)
    frames = cut(script, capture.data, capture.lines)
    taken = [anatomy(script, frame, hints=explain, bare=unmask) for frame in frames]
    if output == "json":
        known = {"name": script.dialect.name, "file": script.file, "digest": script.dialect.digest}
        whole = {"schema": SCHEMA, "dialect": known, "notes": capture.notes, "frames": taken}
        click.echo(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        for note in capture.notes:
            say(f"note: {note}")
        for number, one in enumerate(taken, 1):
            for line in _text(one, number, len(taken), language(lang)):
                click.echo(line)
    return 1 if any(one["fault"] for one in taken) else 0


def _text(taken: dict[str, Any], number: int, count: int, lang: str) -> list[str]:
    from switch.wire.describe import table

    head = f"message {number} of {count}: " if count > 1 else ""
    lines = [f"{head}{taken['bytes']} bytes, {taken['found']}"]
    lines += table(taken, lang)
    if taken["kind"] != "unknown" or taken["check"]:
        check = f"  ({taken['check']})" if taken["check"] else ""
        lines.append(f"kind  {taken['kind']}{check}")
    if fault := taken["fault"]:
        lines += _fault(fault)
        if any(row["hidden"] for row in taken["fields"]):
            lines.append("  values that could be part of a card number are hidden")
    lines += [f"doubtful: {doubt['path']}: {doubt['problem']}" for doubt in taken["doubts"]]
    if "readings_tried" in taken:
        lines += _hints(taken)
    return lines


def _fault(fault: dict[str, Any]) -> list[str]:
    where = f"  --> {fault['file']}:{fault['line']}" if fault["line"] else f"  --> {fault['file']}"
    return [
        f"{fault['offset']:04X}  error[{fault['code']}]: {fault['path']}: found {fault['found']},"
        + f" expected {fault['expected']}",
        where,
    ]


def _hints(taken: dict[str, Any]) -> list[str]:
    if not taken["fault"] and not taken["doubts"]:
        return []
    lines = []
    for at, hint in enumerate(taken["hints"]):
        lines.append(f"{'likely' if at == 0 else 'or'}: {hint['path']}: {hint['problem']}")
        lines.append(f"  = evidence: {hint['evidence']}")
        if hint["mend"]:
            place = f" ({hint['file']}:{hint['line']})" if hint["line"] else ""
            lines.append(f"  = help: {hint['mend']}{place}")
    more = taken["readings_that_fit"] - len(taken["hints"])
    if more > 0:
        lines.append(f"{more} more readings of {taken['readings_tried']} tried fit too")
    if not taken["hints"]:
        better = "fits" if taken["fault"] else "fits without the doubt"
        lines.append(f"none of {taken['readings_tried']} other readings {better}: no hint")
    return lines
