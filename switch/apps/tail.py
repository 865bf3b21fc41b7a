"""Follows a journal while it is written: what is open now.

The demonstration and load runs use it to know when a node has come to rest. It remembers open work
only, so that it can follow for hours.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from switch.model.state import UNSETTLED, Cause, Duty

__all__ = ["Tail"]


class Tail:
    """Polls `records(after)` (see `Reader.records`) from the last record it has seen."""

    def __init__(self, records: Callable[[int], Iterable[Mapping[str, Any]]]) -> None:
        self._records = records
        self._last = 0
        self._in_flight: set[int] = set()
        self._owed: set[tuple[int, int]] = set()
        self.settled = 0
        """Reversals and advices that banks have acknowledged."""
        self.timed_out = 0

    @property
    def last(self) -> int:
        """LSN of the last record that was seen."""
        return self._last

    @property
    def in_flight(self) -> int:
        """Requests accepted and not yet answered."""
        return len(self._in_flight)

    @property
    def owed(self) -> int:
        """Reversals and advices that are still owed to banks."""
        return len(self._owed)

    def poll(self) -> None:
        """Takes in what was written since the last call."""
        for record in self._records(self._last):
            self._last = record["lsn"]
            # What a checkpoint carries forward was seen before.
            if not record.get("carried"):
                self._take(record)

    def _take(self, record: Mapping[str, Any]) -> None:
        if "advice_stan" in record and record["kind"] != "SETTLED":
            self._owed.add((record["txn"], Duty.ADVICE))
        match record["kind"]:
            case "ACCEPTED":
                self._in_flight.add(record["txn"])
            case "ANSWERED" | "STOOD_IN":
                self._in_flight.discard(record["txn"])
                if cause := record.get("cause", 0):
                    self._owed.add((record["txn"], Duty.REVERSAL))
                    self.timed_out += cause == Cause.TIMEOUT
            case "REVERSAL":
                if record.get("reversal_stan", 0):
                    self._owed.add((record["original"], _undoing(record)))
            case "SETTLED" if record.get("result") not in UNSETTLED:
                self._owed.discard((record["txn"], record.get("duty", Duty.REVERSAL)))
                self.settled += 1


def _undoing(record: Mapping[str, Any]) -> Duty:
    """What is owed by an acquirer's reversal: that of a request, or that of an advice."""
    mti = record.get("original_mti", "")
    return Duty.WITHDRAWAL if mti[2:3] == "2" else Duty.REVERSAL
