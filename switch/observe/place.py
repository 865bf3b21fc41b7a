"""Where a node's meter files lie: on a memory file system, found by all its processes from the
settings alone.

A store into a page that the kernel is writing back waits for the disk, and a counter must never do
that.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from switch.errors import OperatorError

__all__ = ["GATEWAY", "meter_directory", "meter_file", "meter_files"]

GATEWAY: Final = "gateway"
"""Name of the gateway's meter file; all others are workers'."""
_SUFFIX: Final = ".meter"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - its owner is checked


def meter_directory(data_dir: str | Path) -> Path:
    """The directory of a node's meter files, made if need be, ours alone.

    systemd's RUNTIME_DIRECTORY where it is set, else one in /dev/shm named after user and data
    directory, else (no memory file system) `run` in the data directory. Raises OperatorError when
    somebody else made it first.
    """
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime:
        directory = Path(runtime) / "meters"
    elif os.access(_MEMORY, os.W_OK | os.X_OK):
        name = hashlib.sha256(str(Path(data_dir).absolute()).encode()).hexdigest()[:16]
        directory = _MEMORY / f"tapswitch-{os.getuid()}-{name}"
    else:
        directory = Path(data_dir) / "run"
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.mkdir(exist_ok=True, mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise OperatorError(
            "the directory of the meter files belongs to somebody else",
            file=str(directory),
            help="remove it, or set RUNTIME_DIRECTORY",
        )
    return directory


def meter_file(data_dir: str | Path, worker: str) -> Path:
    """The meter file of one worker, or of the gateway."""
    return meter_directory(data_dir) / f"{worker}{_SUFFIX}"


def meter_files(data_dir: str | Path) -> list[Path]:
    """The meter files of all processes of a node."""
    return sorted(meter_directory(data_dir).glob(f"*{_SUFFIX}"))
