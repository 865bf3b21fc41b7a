"""The verdict on a tap: token, domain, cryptogram and counter in one call. See native/src/tap."""

from typing import Final, final

from switch._native.codec import Message
from switch._native.emv import Ring
from switch._native.journal import Keys
from switch._native.walk import Duplicates

__all__ = ["REASONS", "REFUSED", "Verifier"]

REASONS: Final[tuple[str, ...]]
"""Why a tap is refused, a word each; a verdict names its place."""
REFUSED: Final[int]
"""Verdicts from here on are refusals: `REFUSED` plus the place in `REASONS`."""

@final
class Verifier:
    """Index, key ring and counters of one worker. Belongs to the loop's thread."""

    def __new__(
        cls,
        index_dir: str,
        keys: Keys,
        ring: Ring,
        ranges: list[tuple[str, int]],
        gap_max: int,
        duplicates: Duplicates,
    ) -> Verifier:
        """Opens the index (nothing there is no error: taps are declined then) and takes the ring's keys.
        `ranges`: prefix and number of digits of tokens; all other numbers are plain cards. `gap_max`: how far
        above its token's highest counter one may lie."""
    def adopt(self, ring: Ring, gap_max: int) -> None:
        """Takes the keys of `ring` in place of those before, from the next tap on."""
    def look(self) -> None:
        """Takes up a rebuilt index. From a timer."""
    @property
    def why(self) -> str:
        """Why the index has no answers: missing, stale, damaged, sealed; empty when it has."""
    def check(self, message: Message, now_s: int) -> int:
        """0 a plain card; 1 proved: its counter is claimed and must be recorded with the message in the same
        call chain; else `REFUSED` plus the reason, and nothing was changed. The message's key was claimed
        before. What was written to the index before the call counts. `now_s`: Unix seconds."""
    def counts(self) -> dict[str, int]:
        """Taps that were proved (`genuine`) and refusals by reason, so far."""
