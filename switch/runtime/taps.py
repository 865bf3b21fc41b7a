"""The engine's port `verify` over the native verdict: index, key ring and counters in one call."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from switch.native import emv, tap

if TYPE_CHECKING:
    from switch.observe.metrics import Metrics
    from switch.wire import Message

__all__ = ["Taps"]

AVAILABLE: Final = "token_index_available"


class Taps:
    """Implements `switch.engine.ports.Verify`; one per worker."""

    __slots__ = ("_native", "check")

    reasons: Sequence[str] = tap.REASONS

    def __init__(self, native: tap.Verifier) -> None:
        self._native = native
        self.check = native.check
        """The native call itself: it is on the walk of every tap."""

    @staticmethod
    def proved(message: "Message") -> bool:
        """True for a tap that `check` has found genuine."""
        return message.proved

    def adopt(self, ring: emv.Ring, gap_max: int) -> None:
        """Takes the keys of `ring` in place of those before."""
        self._native.adopt(ring, gap_max)

    def look(self) -> None:
        """Takes up an index that was rebuilt. From the timer, once a second."""
        self._native.look()

    def publish(self, metrics: "Metrics") -> None:
        """Totals of verdicts, and whether the index has answers."""
        counts = self._native.counts()
        metrics.publish("taps_genuine_total", counts.pop("genuine"))
        for reason, total in counts.items():
            metrics.publish("tap_refusals_total", total, reason=reason)
        metrics.set(AVAILABLE, int(not self._native.why))
