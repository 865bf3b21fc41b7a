"""The stream of outcomes of a node, read from its journal by a process of its own.

It asks nothing of the worker and takes no lock, so that it can never hold it up: when it is
slower than the journal grows, it is this process that is late. What a filter, a sample or a rate
keeps back is counted.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from switch.journal.reader import Reader
from switch.journal.watch import Outcomes
from switch.journal.where import Where

__all__ = ["PREROLL", "Stream", "Tally"]

PREROLL: Final = 20_000
"""Records before the end that are read first, so that what was in flight is known."""
POLL_S: Final = 0.1
_HASH: Final = 0x9E3779B97F4A7C15


class Tally(msgspec.Struct):
    """What became of outcomes so far."""

    seen: int = 0
    shown: int = 0
    filtered: int = 0
    sampled_out: int = 0
    rate_dropped: int = 0
    missed_records: int = 0
    """Deleted with their segment before they were read."""

    def line(self) -> str:
        """In words, without what is zero."""
        words = {
            "filtered out": self.filtered,
            "sampled out": self.sampled_out,
            "dropped by --rate-max": self.rate_dropped,
            "records missed": self.missed_records,
        }
        parts = [f"{count:,} {word}" for word, count in words.items() if count]
        return ", ".join([f"{self.shown:,} of {self.seen:,} outcomes shown", *parts])


class Stream:
    """Follows the journals of one node."""

    def __init__(
        self,
        readers: Sequence[Reader],
        show: Callable[[Mapping[str, Any]], None],
        *,
        where: Where | None = None,
        sample: tuple[int, int] = (1, 1),
        rate_max: int = 0,
        from_start: bool = False,
    ) -> None:
        """`sample` (1, 10) shows one in ten, chosen by transaction, so that two watchers see the
        same; `rate_max` 0 is no limit. Raises: JournalError."""
        self._show = show
        self._where = where
        self._sample = sample
        self._rate_max = rate_max
        self._left = float(rate_max)
        self._filled = time.monotonic()
        self._threshold = (sample[0] << 64) // sample[1]
        self.tally = Tally()
        self._journals = [(reader, Outcomes()) for reader in readers]
        if not from_start:
            for reader, outcomes in self._journals:
                last = reader.summary()["last_lsn"]
                for _ in outcomes.take(reader.records(after=max(0, last - PREROLL))):
                    pass

    def poll(self) -> bool:
        """Shows what is new; True when there was something. Raises: JournalError."""
        before = self.tally.seen
        for reader, outcomes in self._journals:
            for outcome in outcomes.take(reader.records(after=outcomes.last_lsn)):
                self._offer(outcome)
            self.tally.missed_records = sum(o.missed for _, o in self._journals)
        return self.tally.seen > before

    def run(self, seconds: float, every_second: Callable[[Tally], None]) -> None:
        """Polls until the time is up; `every_second` hears how it goes."""
        until = time.monotonic() + seconds
        told = time.monotonic()
        while (now := time.monotonic()) < until:
            self.poll()
            if now - told >= 1:
                told = now
                every_second(self.tally)
            time.sleep(max(0.0, min(POLL_S, until - time.monotonic())))
        self.poll()

    def _offer(self, outcome: Mapping[str, Any]) -> None:
        tally = self.tally
        tally.seen += 1
        if self._where is not None and not self._where(outcome):
            tally.filtered += 1
        elif (outcome["txn"] * _HASH) & ((1 << 64) - 1) >= self._threshold:
            tally.sampled_out += 1
        elif not self._may():
            tally.rate_dropped += 1
        else:
            tally.shown += 1
            self._show(outcome)

    def _may(self) -> bool:
        """A token bucket of one second."""
        if not self._rate_max:
            return True
        now = time.monotonic()
        self._left = min(self._rate_max, self._left + (now - self._filled) * self._rate_max)
        self._filled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
