"""`tapswitch top`: the members of a node, live."""

import json
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from switch.apps.top import Board, Sampler

__all__ = ["command"]

SCHEMA: Final = "tapswitch.top/1"
SORTS: Final = ("member", "rate", "p99", "approved", "timeouts", "waiting", "flight")


@click.command("top")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="Configuration directory: names the members and the data directory.",
)
@click.option("--once", is_flag=True, help="One look over one interval, then end.")
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 60),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--sort", type=click.Choice(SORTS), default="member", show_default=True)
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text")
def command(config: Path, once: bool, interval: float, sort: str, output: str) -> int:
    """Show members, rates, times, approvals, time-outs and waiting reversals of a node on this
    machine.

    Reads the worker's meter file and asks nothing of it; a dead worker is said so. On a
    terminal the keys m r p a t w f sort, q ends. Exit code 4: no worker runs (--once).
    """
    from switch.apps.top import Sampler
    from switch.settings.load import load

    sampler = Sampler(load(config))
    sampler.look()
    if once:
        time.sleep(interval)
        board = sampler.look()
        _print(board, sort, output)
        return 0 if board.worker == "running" else 4
    if output == "text" and sys.stdout.isatty():
        _live(sampler, sort, interval)
        return 0
    while True:
        time.sleep(interval)
        _print(sampler.look(), sort, output)
        sys.stdout.flush()


def _print(board: "Board", sort: str, output: str) -> None:
    from switch.apps.board import plain
    from switch.apps.top import ordered

    if output == "json":
        import msgspec

        board.members = ordered(board.members, sort)
        said = {"schema": SCHEMA, **msgspec.to_builtins(board)}
        click.echo(json.dumps(said, ensure_ascii=False))
    else:
        click.echo("\n".join(plain(board, sort)))


def _live(sampler: "Sampler", sort: str, interval: float) -> None:
    """Until q or Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    from switch.apps.board import KEYS, screen

    board = sampler.look()
    with _keys() as listening, Live(console=Console(), auto_refresh=False, screen=True) as live:
        due = time.monotonic()
        while True:
            live.update(screen(board, sort), refresh=True)
            key = _key(max(0.0, due - time.monotonic()), listening)
            if key == "q":
                return
            sort = KEYS.get(key, sort)
            if time.monotonic() >= due:
                board = sampler.look()
                due = time.monotonic() + interval


@contextmanager
def _keys() -> Iterator[bool]:
    """The terminal gives single keys; False when there is none to listen to."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _key(seconds: float, listening: bool) -> str:
    """A key that was pressed within the time, else ''."""
    if not listening:
        time.sleep(seconds)
        return ""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.read(1) if ready else ""
