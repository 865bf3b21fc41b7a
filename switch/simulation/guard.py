"""While a world runs, a product that reads a real clock, chance, socket or thread is stopped.

Calls through a module (``time.time()``) are caught when they are made; names that a module of the
product has bound to itself (``from time import time_ns``) before anything runs.
"""

import contextlib
import os
import random
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["GuardError", "bound", "guarded"]


class GuardError(AssertionError):
    """Something outside the world was asked."""


_FORBIDDEN: Final[tuple[tuple[Any, str], ...]] = (
    (time, "time"), (time, "time_ns"), (time, "monotonic"), (time, "monotonic_ns"),
    (time, "perf_counter"), (time, "perf_counter_ns"), (time, "sleep"),
    (os, "urandom"), (uuid, "uuid4"), (uuid, "uuid1"), (random, "SystemRandom"),
    (socket, "create_connection"), (socket, "create_server"), (socket, "getaddrinfo"),
)  # fmt: skip
ROOMS: Final = ("switch.engine", "switch.link", "switch.runtime", "switch.journal", "switch.wire",
                "switch.tokens", "switch.database",
                "switch.model", "switch.apps.worker", "switch.apps.links")  # fmt: skip
"""What of the product runs in a world."""
SELDOM: Final = frozenset(
    {("switch.runtime.harden", "*"), ("switch.runtime.local", "*"), ("switch.runtime.tls", "*")}
)
"""Modules that do not run in a world."""


def bound() -> list[str]:
    """Names of the product that are bound to a real clock or chance."""
    real = {id(getattr(owner, name)): f"{owner.__name__}.{name}" for owner, name in _FORBIDDEN}
    found = []
    for module_name, module in sorted(sys.modules.items()):
        if not module_name.startswith(ROOMS) or (module_name, "*") in SELDOM:
            continue
        for name, value in vars(module).items():
            if id(value) in real:
                found.append(f"{module_name}.{name} is {real[id(value)]}")
    return found


def _refusing(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def refused(*args: Any, **more: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.startswith("switch."):
            raise GuardError(f"{caller} asked {what} in a simulation")
        return real(*args, **more)

    return refused


def _no_thread(*_: Any) -> None:
    raise GuardError("a thread was started in a simulation")


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Inside, all that is refused. Raises: GuardError at once for names that are bound already."""
    names = bound()
    if names:
        raise GuardError("; ".join(names))
    before = [(owner, name, getattr(owner, name)) for owner, name in _FORBIDDEN]
    start = threading.Thread.start
    for owner, name, real in before:
        setattr(owner, name, _refusing(f"{owner.__name__}.{name}", real))
    threading.Thread.start = _no_thread  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        for owner, name, real in before:
            setattr(owner, name, real)
