"""An acquirer's place in the turns of `intake.py`: its connections with something waiting, and its
limits."""

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from switch.link.admission import Bucket, Patience
from switch.model.end import ACQUIRER_CAP, RATE, SHED
from switch.runtime.clock import monotonic_ns

if TYPE_CHECKING:
    from switch.wire import Framer

__all__ = ["REASONS", "Lane", "Waiting"]

REASONS: Final = {"delay": SHED, "in_flight": ACQUIRER_CAP, "rate": RATE}
"""Label `reason` of what is refused before it is decoded, and its end code."""


class Waiting(Protocol):
    """What a connection must be to take turns."""

    open: bool
    slot: int
    framer: "Framer"
    queued: bool

    @property
    def paused(self) -> int: ...
    def handle(self, items: list[Any], now_ns: int, now_s: int) -> None: ...
    def pause_reading(self, why: int) -> None: ...
    def resume_reading(self, why: int) -> None: ...


class Lane:
    """An acquirer's place in the turns, and its limits."""

    __slots__ = ("bucket", "connections", "patience", "queued", "resting", "shed")

    def __init__(
        self, target_ms: int = 5, interval_ms: int = 100, rate: int = 0, burst: int = 1
    ) -> None:
        now_ns = monotonic_ns()
        self.connections: deque[Waiting] = deque()
        """Those with frames that wait; they take turns within the acquirer's."""
        self.queued = False
        self.bucket = Bucket(rate, burst, now_ns)
        self.patience = Patience(target_ms * 1_000_000, interval_ms * 1_000_000, now_ns)
        self.resting = False
        """More comes than can be served: its connections are read in larger pieces."""
        self.shed = dict.fromkeys(REASONS, 0)

    def adopt(self, target_ms: int, interval_ms: int, rate: int, burst: int) -> None:
        """Other limits from the next turn on."""
        self.bucket.adopt(rate, burst)
        self.patience.target_ns = target_ms * 1_000_000
        self.patience.interval_ns = interval_ms * 1_000_000

    @property
    def waiting(self) -> int:
        """Frames that wait for a turn."""
        return sum(connection.framer.waiting for connection in self.connections)
