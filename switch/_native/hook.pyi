"""Named points at which a process can be made to die. See native/src/hook.rs and docs/reference/crash-points.md."""

from typing import final

__all__ = ["Crashed", "arm", "armed", "given", "handing", "points", "reach", "reached"]

@final
class Crashed(BaseException):
    """A simulated process has died; the argument is the point's name. No `Exception`, so that no product code survives
    it."""

def points() -> list[tuple[str, str]]:
    """Every point: its name, and what has happened when it is reached."""

def arm(at: str) -> None:
    """``"name:n"``: the n-th arrival at that point from now on kills; ``""`` disarms and forgets what was reached.

    A real process kills itself by SIGKILL; in a simulation the arrival raises `Crashed`. Raises
    switch.errors.UsageError for what is no point.
    """

def armed() -> bool: ...
def reach(point: str) -> None:
    """Python code has come to this point. Unarmed it looks at nothing, not even the name."""

def handing() -> bool:
    """A point is armed at or behind the hand-over to the kernel: hand over one peer at a turn of the loop."""

def given() -> None:
    """What the gate's releases gave out so far is with the kernel."""

def reached() -> str | None:
    """The point at which the simulated process died, since the last `arm`."""
