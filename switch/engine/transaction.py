"""One transaction in memory, from acceptance to its final outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from switch.engine.states import State
from switch.model.tally import NOBODY, Tally

if TYPE_CHECKING:
    from switch.wire import Message

__all__ = ["Transaction"]


class Transaction(msgspec.Struct, gc=False):
    """Mutable on purpose: one object per authorisation, changed only by the engine, the gate and
    the matcher.

    It refers to no object that refers back to it, so that the cyclic collector need not know it.
    """

    id: int
    request: Message
    acquirer: int
    """Institution index of the acquirer."""
    slot: int
    """Gate slot of the connection the request came in on; -1 when it has gone."""
    issuer: int
    """Institution index of the bank; -1 while VERIFYING, before it is routed."""
    state: State
    deadline_ns: int
    """Monotonic; the bank's answer must be read before it."""
    out_stan: int = 0
    out_time: str = ""
    tally: Tally = NOBODY
    """Of the connection that it was given to."""
    waiters: list[tuple[Message, int]] | None = None
    """Repeats that wait for the one answer: (message, slot)."""
