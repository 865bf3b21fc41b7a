"""One delivery, and the queue of one bank: what `deliver.Deliveries` moves about."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

import msgspec

from switch.engine.duty import Stage

if TYPE_CHECKING:
    from switch.engine.deliver import IssuerRules
    from switch.engine.events import Event
    from switch.engine.ports import Owed

__all__ = ["Delivery", "Key", "Queue", "refill"]

BURST_SHARE: Final = 0.1
"""Of the deliveries of a second, those that may go at one moment."""

Key = tuple[int, int]
"""Transaction and duty."""


class Delivery(msgspec.Struct, gc=False):
    """What is owed, and how far it got."""

    owed: Owed
    stage: Stage
    owed_ns: int
    """Since when, on the monotonic clock; before its zero for what is older than the machine."""
    repeat: bool
    """It may have been sent before: in the form of a repeat from now on."""
    number: int
    """In the order in which deliveries came to their place, see `Deliveries.keys`."""
    attempts: int = 0
    """Sent since it was taken up, by this process, or last came back from where it rested."""
    due_ns: int = 0
    """When it is sent again; its entry in the heap of timers is the one with this time."""
    pause_ns: int = 0
    """After the time that its bank has to answer, until it is sent again."""
    in_flight: bool = False
    """Sent, and its answer is awaited."""
    queued: bool = False
    """It stands in line, due now."""
    waiting: bool = False
    """No connection took it; it goes as soon as the bank is back."""
    late: Event | None = None
    """What the bank answered to the request, too late."""
    why: str = ""
    """Of a dead letter: `switch.model.end`, or the code by which its bank refused it."""


class Queue(msgspec.Struct, gc=False):
    """One bank's."""

    moving: OrderedDict[Key, Delivery]
    """What is sent, or parked until the bank returns, in the order in which it was owed."""
    ready: deque[Key]
    timers: list[tuple[int, int, Key]]
    back: list[Key]
    """What no connection took in the last call; first in line in the next."""
    parked: dict[Key, None]
    held: dict[Key, None]
    dead: dict[Key, None]
    in_flight: int = 0
    tokens: float = -1.0
    """Deliveries that may go at this moment; -1: not looked at yet."""
    filled_ns: int = 0
    down: bool = False
    look_ns: int = 0
    """When a bank that was down is tried again although nobody said that it is back."""


def refill(queue: Queue, rules: IssuerRules, now_ns: int) -> float:
    """Tokens of the bucket at this moment."""
    burst = max(1.0, rules.saf_per_s * BURST_SHARE)
    if queue.tokens < 0:
        queue.filled_ns = now_ns
        return burst
    filled = queue.tokens + (now_ns - queue.filled_ns) * rules.saf_per_s / 1e9
    queue.filled_ns = now_ns
    return min(burst, filled)
