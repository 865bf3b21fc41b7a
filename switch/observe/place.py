"""Where a node's meter files lie: on a memory file system, found by all its processes from the
settings alone.

A store into a page that the kernel is writing back waits for the disk, and a counter must never do
that.

Nobody sweeps memory as systemd does a runtime directory, so every process locks the directory that
it uses, a clean end removes it, and the start of a node removes those whose processes are dead.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import weakref
from pathlib import Path
from typing import Final

from switch.errors import OperatorError

__all__ = ["GATEWAY", "Hold", "meter_directory", "meter_file", "meter_files", "sweep"]

GATEWAY: Final = "gateway"
"""Name of the gateway's meter file; all others are workers'."""
_SUFFIX: Final = ".meter"
_LOCKED: Final = ".locked"
"""Marks a directory in memory whose users lock it."""
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - its owner is checked


def _where(data_dir: str | Path) -> Path:
    """systemd's RUNTIME_DIRECTORY where it is set, else one in /dev/shm named after user and data
    directory, else (no memory file system) `run` in the data directory."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime:
        return Path(runtime) / "meters"
    if os.access(_MEMORY, os.W_OK | os.X_OK):
        name = hashlib.sha256(str(Path(data_dir).absolute()).encode()).hexdigest()[:16]
        return _MEMORY / f"{_ours()}{name}"
    return Path(data_dir) / "run"


def _ours() -> str:
    """How names of this user's directories begin."""
    return f"tapswitch-{os.getuid()}-"


def meter_directory(data_dir: str | Path) -> Path:
    """The directory of a node's meter files, made if need be, ours alone.

    Raises OperatorError when somebody else made it first.
    """
    directory = _where(data_dir)
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


class Hold:
    """A process uses a directory of meter files: a lock that ends with the process, however it
    ends. A directory in memory that nobody holds is that of a dead node."""

    def __init__(self, directory: Path) -> None:
        """Makes the directory, if somebody has just removed it. Raises: OSError."""
        self.directory = directory
        while True:
            directory.mkdir(exist_ok=True, mode=0o700)
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(fd, fcntl.LOCK_SH)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), directory.stat()):
                    break
            os.close(fd)
        if directory.parent == _MEMORY:
            (directory / _LOCKED).touch(mode=0o600)
        self._fd = fd
        self._close = weakref.finalize(self, os.close, fd)

    def release(self) -> None:
        """A clean end: the last one to go removes a directory in memory. A second call is none."""
        if self._close.alive and self.directory.parent == _MEMORY:
            _remove(self._fd, self.directory)
        self._close()


def _remove(fd: int, directory: Path) -> bool:
    """Removes a directory that is open as `fd`, unless somebody holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        # The mark goes last: what is left half removed is found again.
        for name in sorted(os.listdir(fd), key=lambda name: name == _LOCKED):
            os.unlink(name, dir_fd=fd)
        directory.rmdir()
        return True
    return False


def sweep() -> int:
    """Removes this user's directories in memory whose processes are all dead; how many. Those that
    carry no mark are an earlier version's, which took no lock: they stay until the next boot."""
    removed = 0
    for directory in _MEMORY.glob(f"{_ours()}*") if _MEMORY.is_dir() else ():
        with contextlib.suppress(OSError):
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(fd).st_uid == os.getuid() and _LOCKED in os.listdir(fd):
                    removed += _remove(fd, directory)
            finally:
                os.close(fd)
    return removed


def meter_file(data_dir: str | Path, worker: str) -> Path:
    """The meter file of one worker, or of the gateway."""
    return meter_directory(data_dir) / f"{worker}{_SUFFIX}"


def meter_files(data_dir: str | Path) -> list[Path]:
    """The meter files of all processes of a node; of one that does not run, none."""
    return sorted(_where(data_dir).glob(f"*{_SUFFIX}"))
