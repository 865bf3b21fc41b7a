"""A small disk of its own for a test: a tmpfs in a mount namespace that only this process sees."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.debian import lacking

__all__ = ["Ballast", "small_disk"]

CLONE_NEWNS: Final = 0x0002_0000
_apart: list[bool] = []


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"mount {' '.join(words)}: {done.stderr.strip()}")


def _step_apart() -> None:
    """Mounts of this process and its children are its own from now on."""
    if not _apart:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS) != 0:
            raise PermissionError(f"unshare: {os.strerror(ctypes.get_errno())}")
        _mount("--make-rprivate", "/")
        _apart.append(True)


@contextlib.contextmanager
def small_disk(place: Path, kib: int) -> Iterator[None]:
    """`place` is a file system of so many KiB. Needs CAP_SYS_ADMIN, as root has it: without, the
    test is skipped and says so; with CI=true it fails instead."""
    place.mkdir(parents=True, exist_ok=True)
    try:
        _step_apart()
        _mount("-t", "tmpfs", "-o", f"size={kib}k,mode=0700", "tmpfs", str(place))
    except (PermissionError, OSError) as error:
        lacking(f"a full disk needs a mount of its own (CAP_SYS_ADMIN, run as root): {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


class Ballast:
    """A file that takes what room there is, and gives it back."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "ballast"

    def fill(self) -> None:
        """Until not a byte more fits."""
        with self.file.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def drop(self) -> None:
        self.file.unlink()
