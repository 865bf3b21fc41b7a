"""A tail knows what is open, and forgets what is done."""

from collections.abc import Iterable
from typing import Any

from switch.apps.tail import Tail
from switch.model.state import Cause, KeyState


class Growing:
    """A journal that grows between two looks; counts what it gave out."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.given = 0

    def add(self, kind: str, txn: int, **more: Any) -> None:
        self.lines.append({"lsn": len(self.lines) + 1, "kind": kind, "txn": txn} | more)

    def records(self, after: int) -> Iterable[dict[str, Any]]:
        for line in self.lines[after:]:
            self.given += 1
            yield line


def test_each_record_is_read_once() -> None:
    journal = Growing()
    tail = Tail(journal.records)
    for txn in range(1, 6):
        journal.add("ACCEPTED", txn)
        tail.poll()
    assert journal.given == 5
    assert tail.in_flight == 5


def test_a_time_out_is_owed_until_it_is_settled() -> None:
    journal = Growing()
    tail = Tail(journal.records)
    journal.add("ACCEPTED", 1)
    journal.add("ANSWERED", 1, outcome=KeyState.DECLINED, cause=Cause.TIMEOUT)
    tail.poll()
    assert (tail.in_flight, tail.owed, tail.timed_out, tail.settled) == (0, 1, 1, 0)
    journal.add("SETTLED", 1, result="parked")
    tail.poll()
    assert (tail.owed, tail.settled) == (1, 0)
    journal.add("SETTLED", 1, result="00")
    tail.poll()
    assert (tail.in_flight, tail.owed, tail.timed_out, tail.settled) == (0, 0, 1, 1)


def test_an_acquirers_reversal_is_owed_for_its_original() -> None:
    journal = Growing()
    tail = Tail(journal.records)
    journal.add("ACCEPTED", 1)
    journal.add("ANSWERED", 1, outcome=KeyState.APPROVED)
    journal.add("REVERSAL", 2, original=1, reversal_stan=7)
    journal.add("REVERSAL", 3, original=0)
    tail.poll()
    assert tail.owed == 1
    journal.add("SETTLED", 1)
    tail.poll()
    assert tail.owed == 0


def test_what_a_checkpoint_carries_is_not_counted_again() -> None:
    journal = Growing()
    tail = Tail(journal.records)
    journal.add("ACCEPTED", 1, carried=True)
    journal.add("ANSWERED", 2, cause=Cause.TIMEOUT, carried=True)
    tail.poll()
    assert (tail.in_flight, tail.owed) == (0, 0)
