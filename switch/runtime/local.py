"""Unix sockets for our own user alone: where they may lie, how they are made, who calls.

A path of more than 107 bytes does not fit into a socket's address (sun_path of unix(7), with its
final zero 108). On Linux such a path is reached through the descriptor of its directory; elsewhere
it is refused with what to do.
"""

import contextlib
import os
import pwd
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from switch.errors import OperatorError

__all__ = ["PATH_BYTES_MAX", "connect", "listen", "peer_of", "user_of"]

PATH_BYTES_MAX: Final = 107
_UCRED: Final = struct.Struct("3i")


@contextlib.contextmanager
def _address(file: Path) -> Iterator[str]:
    """A path of the socket that fits. Raises: OperatorError, OSError."""
    if len(os.fsencode(file)) <= PATH_BYTES_MAX:
        yield str(file)
        return
    if sys.platform != "linux":
        raise OperatorError(
            f"the path of the socket has more than {PATH_BYTES_MAX} bytes",
            file=str(file),
            key="node.data_dir",
            help="a shorter node.data_dir",
        )
    directory = os.open(file.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{file.name}"
    finally:
        os.close(directory)


def listen(file: Path) -> socket.socket:
    """A listening socket of mode 0600 from its first moment on; not blocking.

    Whoever calls holds the lock that makes it the only owner of `file`: what lies there was left by
    a process that was killed, and is taken away. Raises: OperatorError.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _address(file) as address:
            file.unlink(missing_ok=True)
            listening.bind(address)
        listening.listen(64)
    except OSError as error:
        listening.close()
        raise OperatorError(f"cannot listen: {error.strerror}", file=str(file)) from None
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening


def connect(file: Path, within_s: float) -> socket.socket:
    """A connected socket whose calls take at most `within_s` seconds each. Raises: OSError,
    OperatorError."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(within_s)
    try:
        with _address(file) as address:
            connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


def peer_of(connected: socket.socket) -> tuple[int, int, str]:
    """(pid, uid, user name or '') of the other end, as the kernel noted them at its connect; pid -1
    and uid -1 where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return -1, -1, ""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(raw)
    return pid, uid, user_of(uid)


def user_of(uid: int) -> str:
    """Name of a uid; '' when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""
