"""A worker's beginning: its command line, what its starter learns of it, a disk that has no room
yet, and where its numbers go on."""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from switch.constants import LANE_BITS, NODE_BITS, TXN_COUNTER_BITS
from switch.crypto.terminals import Terminals
from switch.errors import JournalError
from switch.native import journal as journals
from switch.runtime import ready
from switch.settings.schema import Settings

__all__ = ["Told", "next_txn", "open_with_room", "parsed", "terminals_of"]

log = structlog.get_logger("worker")

LANE: Final = 0
"""Of the one worker that decides per node for now."""
ROOM_S: Final = 1.0
"""Between two looks for room on the journal's disk at a start."""

assert LANE < 1 << LANE_BITS


@dataclass(slots=True)
class Told:
    """The two ways in which a starter learns that we are ready."""

    file: Path
    descriptor: int

    def prepared(self) -> None:
        """To the starter: all but the journal is there."""
        self._say(b'{"prepared": true}\n')

    def waiting(self) -> None:
        """To the starter: it lasts, and is no fault of ours."""
        self._say(b'{"waiting": "room"}\n')

    def _say(self, line: bytes) -> None:
        if self.descriptor >= 0:
            os.write(self.descriptor, line)

    def ready(self, line: dict[str, Any]) -> None:
        """Says so: the first time to the starter too, later in the file."""
        descriptor, self.descriptor = self.descriptor, -1
        problem = ready.tell({"ready": True, **line}, self.file, descriptor)
        if problem:
            log.error(
                "ready.untold",
                file=str(self.file),
                reason=problem,
                help="mend the file system, then tapswitch restart",
            )

    def withdraw(self) -> None:
        """Says that we are not any longer."""
        ready.withdraw(self.file)


def open_with_room(act: Callable[[], None], journal: Path, told: Told) -> None:
    """Opens a worker, as `act` does.

    A disk without room for the next segment is waited for, when there is a journal to go on with:
    ending would only start the next one, which would find the same.

    Raises: OperatorError, JournalError.
    """
    began = any(journal.glob("*.seg"))
    said = False
    while True:
        try:
            act()
        except JournalError as error:
            if not (began and error.no_room):
                raise
            if not said:
                said = True
                told.waiting()
                log.error("journal.shortage", reason=str(error))  # noqa: TRY400
            time.sleep(ROOM_S)
        else:
            return


def parsed(about: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What a worker's command line says."""
    parser = argparse.ArgumentParser(prog="python -m switch.apps.worker", description=about)
    parser.add_argument("--config", required=True, help="configuration directory")
    parser.add_argument("--ready-fd", type=int, default=-1, help="descriptor for the ready line")
    parser.add_argument("--bind", action="append", default=[], metavar="NAME=HOST:PORT")
    parser.add_argument("--listening", action="append", default=[], metavar="NAME=FD")
    parser.add_argument("--heir-fd", type=int, default=-1, help="who keeps our listeners")
    parser.add_argument("--wait-fd", type=int, default=-1, help="begin when a byte comes there")
    parser.add_argument("--parent", type=int, default=0, help="end when this process has ended")
    return parser.parse_args(arguments)


def next_txn(node: int, last: int) -> int:
    """Node and lane in the upper bits; the counter goes on where the journal ended."""
    assert 0 < node < 1 << NODE_BITS
    counter = last & ((1 << TXN_COUNTER_BITS) - 1)
    return (node << LANE_BITS | LANE) << TXN_COUNTER_BITS | counter + 1


def terminals_of(settings: Settings, keys: journals.Keys) -> Terminals | None:
    """The registry of terminals; an empty one where no file is yet. Raises: KeyFileError."""
    if settings.terminals is None:
        return None
    terminals = Terminals(keys)
    if Path(settings.terminals.file).exists():
        terminals.install(settings.terminals.file, keys)
    else:
        log.warning("terminals.none", file=settings.terminals.file, help="tapswitch terminal add")
    return terminals
