"""The key file and the sealing key that opens it: who may read them, and opening them natively.

No key byte passes through here: Python opens descriptors, native code reads them (reliability: a
key is never a Python object, a log line or part of a core dump).
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from switch.errors import KeyFileError
from switch.native import journal

__all__ = ["Keys", "create_keys", "keys_absent", "open_keys", "sealing_key", "secret"]

Keys = journal.Keys

INHERITED: Final = "fd:"
"""``fd:N`` in the settings names a descriptor that the parent process opened."""


@contextmanager
def sealing_key(name: str) -> Iterator[int]:
    """A descriptor of the sealing key: a path, or ``fd:N``; an inherited one stays open.

    Raises: KeyFileError when the file is absent, a link, somebody else's, or open to others.
    """
    with secret(name, "sealing key", again=True) as descriptor:
        yield descriptor


@contextmanager
def secret(name: str, what: str, *, again: bool) -> Iterator[int]:
    """A descriptor to read a key from: a path, or ``fd:N``, which stays open. `what` it is, for
    errors; `again`: an inherited one must be readable more than once.

    Raises: KeyFileError when the file is absent, a link, somebody else's, or open to others.
    """
    if name.startswith(INHERITED):
        yield _inherited(name, again=again)
        return
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise KeyFileError(
            f"the {what} cannot be opened: {error.strerror}",
            file=name,
            help="a regular file of mode 0600 that holds the key",
        ) from None
    try:
        _refuse_open_to_others(os.fstat(descriptor), name, what)
        yield descriptor
    finally:
        os.close(descriptor)


def open_keys(file: str, sealing_key_file: str) -> Keys:
    """Opens the sealed key file. Raises: KeyFileError."""
    with sealing_key(sealing_key_file) as descriptor:
        return Keys.open(file, descriptor)


def keys_absent(file: str, sealing_key_file: str) -> bool:
    """True when neither of the two exists yet: only then may demo keys be made."""
    if Path(file).exists():
        return False
    return not sealing_key_file.startswith(INHERITED) and not Path(sealing_key_file).exists()


def create_keys(file: str, sealing_key_file: str, *, demo: bool = False) -> None:
    """A new sealing key (mode 0600) and the key file sealed under it, in directories of mode 0700.

    Raises: KeyFileError when one of the two exists already: keys are never overwritten, because a
    journal that was written under them could not be read any more.
    """
    if not keys_absent(file, sealing_key_file):
        raise KeyFileError(
            "there are keys already, or the sealing key is inherited",
            file=file,
            help="move both files away first; what they sealed needs them to be read",
        )
    for path in (file, sealing_key_file):
        Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    journal.create_sealing_key(sealing_key_file)
    with sealing_key(sealing_key_file) as descriptor:
        journal.create_key_file(file, descriptor, demo)


def _inherited(name: str, *, again: bool) -> int:
    number = name.removeprefix(INHERITED)
    if not number.isdecimal():
        raise KeyFileError(f'"{name}" names no descriptor', help='for example "fd:3"')
    descriptor = int(number)
    try:
        status = os.fstat(descriptor)
    except OSError:
        raise KeyFileError(
            f"descriptor {descriptor} is not open",
            help="the parent process must pass it on",
        ) from None
    if again and not stat.S_ISREG(status.st_mode):
        raise KeyFileError(
            f"descriptor {descriptor} can be read once only",
            help="pass a file or a memfd, no pipe: every restart of the worker reads it again",
        )
    return descriptor


def _refuse_open_to_others(status: os.stat_result, name: str, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"the {what} is not a regular file", file=name)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise KeyFileError(
            f"the {what} has mode {mode:04o}: others may read it",
            file=name,
            help=f"chmod 600 {name}",
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(
            f"the {what} belongs to user {status.st_uid}", file=name, help="it must be ours"
        )
