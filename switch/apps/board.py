"""How `tapswitch top` shows a board: plain lines, or a live screen on a terminal. Pure."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from switch.apps.screen import milliseconds
from switch.apps.top import Board, Row, ordered

__all__ = ["HEADS", "KEYS", "cells", "head", "plain", "screen"]

HEADS: Final = (
    "member", "role", "links", "state", "rate/s", "flight", "p50", "p99", "appr", "t-o/min",
    "waiting", "circuit", "stand-in", "last",
)  # fmt: skip
KEYS: Final = {
    "m": "member", "r": "rate", "p": "p99", "a": "approved", "t": "timeouts", "w": "waiting",
    "f": "flight",
}  # fmt: skip
"""Key to the word of `top.SORTS`."""
_LEFT: Final = 4
"""So many columns are flush left."""


def head(board: Board) -> str:
    """The first line: the node as a whole."""
    if board.worker == "not running":
        return f"node {board.node}  THE WORKER IS NOT RUNNING: there is no meter file"
    dead = ""
    if board.worker == "dead":
        dead = "  THE WORKER IS DEAD: its process has gone"
    elif board.worker == "silent":
        dead = f"  THE WORKER IS DEAD OR STANDS STILL: no heartbeat for {board.silent_s} s"
    success = "–" if board.success is None else f"{100 * board.success:.3f} %"
    p50, p99 = (milliseconds(value) for value in board.ours_us)
    parked = f" ({board.parked} parked)" if board.parked else ""
    return (
        f"node {board.node}  {board.rate:,.0f}/s  success {success}  ours p50 {p50} p99 {p99}"
        f"  in flight {board.in_flight:,}  reversals waiting {board.waiting:,}{parked}"
        f"  business date {board.business_date}  config {board.config[:8]}{dead}"
    )


def cells(row: Row) -> tuple[str, ...]:
    """One member, in the order of `HEADS`; a dash is what is not known."""
    flight = "–"
    if row.in_flight is not None:
        flight = f"{row.in_flight:,}/{row.in_flight_max:,}"
    return (
        row.member,
        row.role,
        f"{row.connections}",
        ("" if row.state == "signed on" else "! ") + row.state,
        f"{row.rate:,.1f}",
        flight,
        milliseconds(row.p50_us or 0),
        milliseconds(row.p99_us or 0),
        "–" if row.approved is None else f"{100 * row.approved:.1f} %",
        "–" if row.timeouts_per_min is None else f"{row.timeouts_per_min:,.0f}",
        "–" if row.waiting is None else f"{row.waiting:,}",
        "–" if row.circuit is None else ("" if row.circuit == "closed" else "! ") + row.circuit,
        row.stand_in or "–",
        "–" if row.last_s is None else f"{row.last_s:.1f} s",
    )


def plain(board: Board, sort: str) -> list[str]:
    """Lines for pipes and `--once`."""
    rows: Sequence[tuple[str, ...]] = [HEADS, *map(cells, ordered(board.members, sort))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = [head(board)]
    for row in rows:
        line = "  ".join(
            cell.ljust(width) if column < _LEFT else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(line.rstrip())
    return lines


def screen(board: Board, sort: str) -> RenderableType:
    """The live screen."""
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for column, name in enumerate(HEADS):
        table.add_column(name, justify="left" if column < _LEFT else "right", no_wrap=True)
    for row in ordered(board.members, sort):
        shown: list[str | Text] = list(cells(row))
        colour = {"signed on": "green", "held": "yellow"}.get(row.state, "red")
        shown[3] = Text(str(shown[3]), colour)
        if row.waiting:
            shown[10] = Text(str(shown[10]), "bold yellow")
        if row.circuit not in {None, "closed"}:
            shown[11] = Text(str(shown[11]), "bold red")
        if row.stand_in in {"stands in", "suspended"}:
            shown[12] = Text(str(shown[12]), "bold yellow")
        table.add_row(*shown)
    style = "bold" if board.worker == "running" else "bold white on red"
    keys = "  ".join(f"{key} {word}" for key, word in KEYS.items())
    return Group(
        Text(head(board), style),
        table,
        Text(f"sorted by {sort};  {keys}  q ends it", "dim"),
    )
