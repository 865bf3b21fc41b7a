"""What a process that holds keys and card numbers gives up before it reads either.

Called first thing in every process of a node and in every command, before settings, keys or
journal are opened. It must not be called in a process that runs foreign code beside ours (the test
runner, for instance): nothing here can be taken back.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

from switch.errors import OperatorError

__all__ = ["end_with_parent", "harden"]

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
UMASK: Final = 0o077
"""Whatever this process creates is readable by its own user only."""


def _prctl(option: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OperatorError(f"prctl({option}) failed: {os.strerror(number)}")


def harden() -> None:
    """No core dump, no ptrace or /proc/PID/mem by the same user, no new privileges, files for the
    owner only.

    RLIMIT_CORE 0 alone is not enough: a pipe handler in core_pattern ignores it; a process that is
    not dumpable is never dumped.

    Raises:
        OperatorError: the kernel refused one of them; the process must not go on to open keys.
    """
    os.umask(UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _prctl(PR_SET_DUMPABLE, 0)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)


def end_with_parent(parent: int) -> None:
    """SIGTERM when the starting process dies in whatever way, so that nothing is left running
    behind it.

    Args:
        parent: process id of the starter as it saw itself; when it has gone already, this process
            ends now.
    """
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(0)
