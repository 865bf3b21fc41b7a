"""Crash points that the environment names: for drills and tests. docs/reference/crash-points.md has
their names.

``TAPSWITCH_CRASH_AT`` names a death, ``NAME:N``, or several with commas between, one for each life:
a worker that dies is followed by one that dies at the next of them, and the last by one that goes
on. What stands in the environment of a node is handed out by its supervisor; no process that it
starts inherits it.
"""

import os
from collections.abc import Mapping
from typing import Final

import structlog

from switch.errors import OperatorError, UsageError
from switch.native import hook

__all__ = ["CRASH_AT", "Lives", "arm"]

log = structlog.get_logger("drill")

CRASH_AT: Final = "TAPSWITCH_CRASH_AT"
_GATEWAY: Final = ("vault.", "index.")
"""Points that only the process with the vault can reach."""


def arm() -> None:
    """Arms the crash point that the environment names, if any. Raises: OperatorError."""
    named = os.environ.get(CRASH_AT, "")
    try:
        hook.arm(named)
    except UsageError as error:
        raise OperatorError(
            f"{CRASH_AT}: {error}", help="docs/reference/crash-points.md has the names"
        ) from None
    if named:
        log.warning(
            "crash.armed", at=named, help=f"this process will kill itself: unset {CRASH_AT}"
        )


class Lives:
    """The deaths that a node's environment asks for, each of one life."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._left = {name: value for name, value in environment.items() if name != CRASH_AT}
        named = [one.strip() for one in environment.get(CRASH_AT, "").split(",")]
        self._worker = [one for one in named if one and not one.startswith(_GATEWAY)]
        self._gateway = [one for one in named if one.startswith(_GATEWAY)]

    def worker(self) -> dict[str, str]:
        """The environment of the next worker: with its death, if there is one left."""
        return self._next(self._worker)

    def beside(self, *, keyed: bool) -> dict[str, str]:
        """The environment of a process beside it; `keyed`: it opens keys, as the gateway does."""
        return self._next(self._gateway if keyed else [])

    def _next(self, deaths: list[str]) -> dict[str, str]:
        return self._left | ({CRASH_AT: deaths.pop(0)} if deaths else {})
