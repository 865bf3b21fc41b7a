"""An acquirer's place in the turns of `intake.py`: its connections with something waiting, and its
limits."""

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

    __slots__ = (
        "at",
        "bucket",
        "connections",
        "framers",
        "patience",
        "queued",
        "resting",
        "shed",
        "since_ns",
        "slots",
        "strangers",
    )

    def __init__(
        self, target_ms: int = 5, interval_ms: int = 100, rate: int = 0, burst: int = 1
    ) -> None:
        now_ns = monotonic_ns()
        self.connections: list[Waiting] = []
        """Those with frames that wait; they take turns within the acquirer's."""
        self.framers: list[Framer] = []
        """Theirs, in the same order: a refusal looks at all of them in one call."""
        self.slots: list[int] = []
        self.at = 0
        """Whose turn it is next."""
        self.queued = False
        self.since_ns = 0
        """When the first of them came: nothing waits for longer."""
        self.strangers = False
        """Somebody among them may not be open."""
        self.bucket = Bucket(rate, burst, now_ns)
        self.patience = Patience(target_ms * 1_000_000, interval_ms * 1_000_000, now_ns)
        self.resting = False
        """More comes than can be served: its connections are read in larger pieces."""
        self.shed = dict.fromkeys(REASONS, 0)

    def add(self, connection: Waiting, now_ns: int) -> None:
        """A connection has something that waits, and had nothing."""
        if not self.connections:
            self.since_ns = now_ns
        self.connections.append(connection)
        self.framers.append(connection.framer)
        self.slots.append(connection.slot)
        self.strangers = self.strangers or not connection.open

    def remove(self, at: int) -> None:
        """The one at that place has nothing left, or has gone."""
        del self.connections[at], self.framers[at], self.slots[at]
        if at < self.at:
            self.at -= 1

    def discard(self, connection: Waiting) -> None:
        """As `remove`, wherever it stands."""
        if connection in self.connections:
            self.remove(self.connections.index(connection))

    def adopt(self, target_ms: int, interval_ms: int, rate: int, burst: int) -> None:
        """Other limits from the next turn on."""
        self.bucket.adopt(rate, burst)
        self.patience.target_ns = target_ms * 1_000_000
        self.patience.interval_ns = interval_ms * 1_000_000

    def few(self, count: int) -> bool:
        """No more than so many frames wait."""
        return len(self.framers) <= count and self.waiting <= count

    @property
    def waiting(self) -> int:
        """Frames that wait for a turn."""
        return sum(framer.waiting for framer in self.framers)
