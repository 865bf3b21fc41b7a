"""What is told of an error that nobody expected: its type and the places it went through.

Never its text, unless the error is one of our own: those carry no card data, any other may quote
what must not be logged.
"""

from pathlib import Path
from types import TracebackType
from typing import Final

from switch.errors import TapswitchError

__all__ = ["is_ours", "places", "reason"]

PACKAGE: Final = Path(__file__).resolve().parents[1]
PLACES_MAX: Final = 4


def _files(error: BaseException | None) -> list[tuple[Path, int]]:
    """File and line of every frame, outermost first."""
    found = []
    traceback: TracebackType | None = error.__traceback__ if error is not None else None
    while traceback is not None:
        found.append((Path(traceback.tb_frame.f_code.co_filename), traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


def places(error: BaseException | None) -> str:
    """File names and lines of the innermost frames; no text of the error, no values."""
    frames = _files(error)[-PLACES_MAX:]
    return " < ".join(f"{file.name}:{line}" for file, line in reversed(frames))


def reason(error: BaseException) -> str:
    """Why a process stops, in one line."""
    told = str(error) if isinstance(error, TapswitchError) else ""
    at = f"{type(error).__name__} at {places(error)}"
    return f"{told} ({at})" if told else at


def is_ours(error: BaseException | None) -> bool:
    """True for an exception that a callback of ours let out.

    A loop also reports what the system told it of a peer or of a listener (a time-out, no more
    descriptors): an OSError that came through none of our files, and no fault of ours.
    """
    if not isinstance(error, Exception):
        return False
    if not isinstance(error, OSError):
        return True
    return any(file.is_relative_to(PACKAGE) for file, _ in _files(error))
