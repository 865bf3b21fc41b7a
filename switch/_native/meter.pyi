"""Counters and log-linear histograms in a mapped file. See native/src/meter."""

from collections.abc import Sequence
from typing import final

__all__ = ["Meter", "MeterReader"]

@final
class Meter:
    """Owner's side: one file per worker, relaxed atomics, no lock.

    The file is made anew and renamed into place. Keep it on a memory file system: a store into a page that the
    kernel is writing back waits for the disk. Names are whole series, labels included, at most 65,535 bytes.
    Raises OSError when the file cannot be made; an index that does not exist raises switch.errors.UsageError.
    """

    def __new__(
        cls, path: str, counters: Sequence[str], gauges: Sequence[str], histograms: Sequence[str]
    ) -> Meter: ...
    @staticmethod
    def draft(
        path: str, counters: Sequence[str], gauges: Sequence[str], histograms: Sequence[str]
    ) -> Meter:
        """One that nobody reads before it succeeds another of the same path."""
    def succeed(self, old: Meter) -> None:
        """Takes the place of `old`, with the values of every series that both have; nobody may count in `old` any
        more. A counter never falls for a reader. Raises OSError; `old` stands as before then."""
    def counter(self, name: str) -> int | None:
        """Index of a counter by its whole name; None when there is none. Likewise `gauge` and `histogram`."""
    def gauge(self, name: str) -> int | None: ...
    def histogram(self, name: str) -> int | None: ...
    def count(self, index: int, by: int = 1) -> None: ...
    def set(self, index: int, value: int) -> None: ...
    def record(self, index: int, value_us: int) -> None:
        """Counts a time; 1.6 % wide buckets up to 60 s, above that only the sum is exact."""

@final
class MeterReader:
    """Reader's side; survives a writer that died. A restarted writer makes a new file: open it again per scrape."""

    @staticmethod
    def open(path: str) -> MeterReader:
        """Raises OSError when the file is missing, damaged or of another version."""
    def owned(self) -> bool:
        """Whether a process still counts into this file: the kernel says so, and says no as soon as that process has
        ended in whatever way."""
    def counters(self) -> dict[str, int]: ...
    def gauges(self) -> dict[str, int]: ...
    def histograms(self) -> list[str]: ...
    def buckets(self, name: str, bounds_us: Sequence[int]) -> tuple[list[int], int, int]:
        """Cumulative counts at the given bounds, total count, sum in µs."""
    def quantiles(self, name: str, q: Sequence[float]) -> list[int]:
        """Times in µs below which the shares `q` (0..1) lie; 0 when nothing was counted."""
