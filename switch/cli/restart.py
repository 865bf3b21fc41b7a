"""`tapswitch restart`: the next worker takes the place of the one that runs."""

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from switch.cli.order import ask, by, common, show

if TYPE_CHECKING:
    from switch.control.restart import Restarting

__all__ = ["command"]

WAIT_S = 60.0


@click.command("restart")
@common
@click.option("--reason", default="", help="For the audit.")
@click.option("--wait", is_flag=True, help="Return when the next worker takes requests.")
def command(config: str, reason: str, wait: bool, output: str) -> int:
    """Replace the worker of a running node by a new one, with the configuration in force.

    The next one is started first, and stands ready before the other stops reading, answers what it
    has, signs its banks off and ends. Listening sockets stay open all the while: whoever connects
    waits, nobody is refused. For a new version of the program, and for keys that a reload cannot
    change.

    Exit code 4: no worker runs, or the next one did not come within a minute; 5: refused, because
    the next one could not start. Then nothing was changed.
    """
    from switch.control.restart import Restart, Restarting
    from switch.settings.load import load

    began = time.monotonic()
    answer = ask(config, Restart(by=by(reason)), Restarting)
    came = 0.0
    if wait:
        came = _wait(Path(load(config).node.data_dir) / "run" / "worker.json", answer.pid, began)
    show(answer, output, lambda: _lines(answer, came))
    return 0 if came or not wait else 4


def _wait(file: Path, before: int, began: float) -> float:
    """Seconds until another worker was ready; 0 when none came."""
    while time.monotonic() < began + WAIT_S:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(file.read_text(encoding="utf-8"))["pid"] != before:
                return time.monotonic() - began
        time.sleep(0.02)
    return 0.0


def _lines(answer: "Restarting", came: float) -> list[str]:
    line = f"worker {answer.pid} makes way; it answers {answer.in_flight} requests yet"
    return [line, f"the next one took over after {came:.2f} s"] if came else [line]
