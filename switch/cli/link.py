"""`tapswitch link`: what a member's connections have brought that could not be read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from switch.cli.order import ask, by, common, show

if TYPE_CHECKING:
    from switch.control.link_errors import FramesShown
    from switch.runtime.faults import FrameFault

__all__ = ["command"]

ROW_BYTES: Final = 16


@click.group("link")
def command() -> None:
    """Show what came on a member's connections and could not be read."""


@command.command("errors")
@click.argument("link")
@click.option("--limit", type=click.IntRange(1, 64), default=64, show_default=True)
@click.option("--reason", default="", help="Why; kept in the audit.")
@common
def errors(config: str, output: str, link: str, limit: int, reason: str) -> None:
    """Show the last frames of LINK, a member's id, that could not be decoded, or whose message code
    does not hold.

    Each with its bytes and a caret under the fault. Bytes of sensitive fields, and all that cannot
    be attributed, are shown as **. They are kept in the worker's memory, 64 for each member.
    """
    from switch.control.link_errors import FramesShown, LinkErrors

    order = LinkErrors(by=by(reason), member=link, limit=limit)
    answer = ask(config, order, FramesShown)
    show(answer, output, lambda: list(_lines(answer)))


def _lines(answer: "FramesShown") -> Iterator[str]:
    if not answer.frames:
        yield f"{answer.member}: every frame could be decoded and proved"
        return
    for frame in answer.frames:
        yield from _frame(frame)
        yield ""
    kept = len(answer.frames)
    yield f"{answer.member}: {answer.total} since the worker's start, {kept} shown, the newest last"


def _frame(frame: "FrameFault") -> Iterator[str]:
    at = datetime.fromtimestamp(frame.at_ms / 1000, tz=UTC)
    mti = f"  {frame.mti}" if frame.mti else ""
    yield (
        f"{at:%Y-%m-%dT%H:%M:%S}.{frame.at_ms % 1000:03}Z  link {frame.slot}  {frame.peer}"
        f"  {frame.dialect}{mti}"
    )
    where = f"byte {frame.offset} of {frame.bytes}"
    if frame.kind == "framing":
        where = f"byte {frame.offset} of the stream, which was lost there"
    yield f"  {frame.path}, {where}: found {frame.found}, expected {frame.expected}"
    yield from dump(frame.image, frame.image_from, 0 if frame.kind == "framing" else frame.offset)


def dump(image: str, first: int, fault: int) -> Iterator[str]:
    """Rows of hexadecimal, and a caret under byte `fault`; the image begins at byte `first`. Rows
    far from the fault in which nothing is shown are left out."""
    pairs = [image[at : at + 2] for at in range(0, len(image), 2)]
    skipped = False
    for start in range(0, max(len(pairs), fault - first + 1), ROW_BYTES):
        row = pairs[start : start + ROW_BYTES]
        here = 0 <= fault - first - start < ROW_BYTES
        if not here and all(pair == "**" for pair in row):
            if not skipped:
                yield "        …"
            skipped = True
            continue
        skipped = False
        yield f"  {first + start:04x}  {' '.join(row)}".rstrip()
        if here:
            yield " " * (8 + 3 * (fault - first - start)) + "^^"
