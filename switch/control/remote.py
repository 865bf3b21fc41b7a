"""Orders to the running worker of a node, from another process of the same user."""

import contextlib
import errno
import socket
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from switch.control.order import Answer, Order
from switch.control.orders import decode_answer
from switch.control.place import socket_file
from switch.control.refusal import Refused, to_error
from switch.control.server import ANSWER_BYTES_MAX
from switch.errors import UnreachableError
from switch.runtime import local
from switch.settings.schema import Settings

__all__ = ["ask"]

CONNECT_S: Final = 5.0
_CHUNK: Final = 1 << 16
_NOBODY: Final = (errno.ENOENT, errno.ECONNREFUSED)

A = TypeVar("A", bound=Answer)


def ask(settings: Settings, order: Order, answer: type[A], within_s: float | None = None) -> A:
    """Has an order carried out and returns its answer.

    Args:
        answer: the kind of answer that the order has.
        within_s: how long to wait for it; None: as long as the order may take by its class.

    Raises:
        UnreachableError: no worker listens, or it went away, or did not answer in time.
        TapswitchError: whatever the worker refused it with.
    """
    file = socket_file(settings.node.data_dir)
    wait_s = order.within_s if within_s is None else within_s
    with _connect(file, settings) as connected:
        try:
            connected.settimeout(wait_s)
            # Whoever refuses the caller itself may have said so and closed before we wrote.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connected.sendall(msgspec.json.encode(order) + b"\n")
            line = _line(connected)
        except TimeoutError:
            raise UnreachableError(
                f"no answer within {wait_s:g} s; the order may be carried out all the same",
                file=str(file),
                help="tapswitch audit show says what became of it",
            ) from None
        except OSError as error:
            raise _gone(file, error.strerror or type(error).__name__) from None
    told = _decode(line, file)
    if isinstance(told, Refused):
        raise to_error(told)
    if not isinstance(told, answer):
        raise _gone(file, f"an answer of another kind ({type(told).__name__})")
    return told


def _connect(file: Path, settings: Settings) -> socket.socket:
    try:
        return local.connect(file, CONNECT_S)
    except PermissionError:
        raise UnreachableError(
            "the node belongs to another user",
            file=str(file),
            help="run the command as the user that the node runs as",
        ) from None
    except OSError as error:
        if error.errno in _NOBODY:
            raise UnreachableError(
                "no worker of this node takes orders",
                file=str(file),
                help=f"start it: tapswitch run --config {Path(settings.file).parent}",
            ) from None
        raise _gone(file, error.strerror or type(error).__name__) from None


def _line(connected: socket.socket) -> bytes:
    read = bytearray()
    while not read.endswith(b"\n"):
        chunk = connected.recv(_CHUNK)
        if not chunk:
            raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
        read += chunk
        if len(read) > ANSWER_BYTES_MAX + 1:
            raise ConnectionResetError(errno.EMSGSIZE, "its answer does not end")
    return bytes(read)


def _decode(line: bytes, file: Path) -> Answer:
    try:
        return decode_answer(line)
    except msgspec.DecodeError:
        raise _gone(file, "an answer that this version does not know") from None


def _gone(file: Path, why: str) -> UnreachableError:
    return UnreachableError(
        f"the worker gave no answer: {why}; the order may be carried out all the same",
        file=str(file),
        help="tapswitch audit show says what became of it",
    )
