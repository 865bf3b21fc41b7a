"""The ready signal: one JSON object, as a line on a descriptor and as a file.

``{"ready": true, "pid": 4711, "worker": "w0", "acquirers": {"ACQ01": "127.0.0.1:4001"}, "issuers":
{}, …}``: addresses as they were bound, so that port 0 can be configured.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

__all__ = ["tell", "withdraw"]


def tell(told: dict[str, Any], file: Path, descriptor: int = -1) -> str:
    """Writes the file (atomically replaced), then the line, then closes the descriptor.

    Returns why there is no file, '' when there is: payments go on without it on a full disk.
    """
    line = json.dumps(told, sort_keys=True) + "\n"
    problem = ""
    fresh = file.with_suffix(".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_text(line, encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        problem = error.strerror or str(error)
    if descriptor >= 0:
        try:
            # A starter that has gone does not matter: its death ends us in another way.
            with contextlib.suppress(BrokenPipeError):
                os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    return problem


def withdraw(file: Path) -> None:
    """A clean end: whoever finds the file may connect, so it goes first."""
    file.unlink(missing_ok=True)
