"""What is in flight towards one institution, and which answer belongs to what.

One matcher per bank, not per connection: an answer may come back on any connection of the
institution. The match key is our own STAN; the answer must then agree in response MTI and in the
echoes that the dialect lists, so that two terminals with equal numbers never get each other's
answers. What disagrees changes nothing and is counted.

The map of what is in flight is its own deadline queue: entries stand in the order in which they
came, and since one bank has one time limit that is nearly the order of deadlines. The few that came
late off a slow wire, and so have an earlier deadline than the entry before them, stand in a small
heap beside it.

What the bank is owed and was sent stands in a map of its own; its STANs may live for days and are
never given out anew.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from switch.constants import STAN_MAX

if TYPE_CHECKING:
    from switch.link.window import Window
    from switch.model.tally import Tally
    from switch.wire import Message

__all__ = ["ANSWERED_MAX", "LATE_MAX", "LATE_NS", "InFlight", "Matcher", "OwedMessage"]

LATE_MAX: Final = 4_096
"""Requests given up on whose late answer is still recognised, per institution; beyond it the oldest
is forgotten, and its late answer counts as unknown. Some seconds of a silent bank at full load."""

LATE_NS: Final = 60_000_000_000
"""After its deadline, until such a request is forgotten: it holds track 2 and chip data, which stay
in memory no longer than an answer to them can still be of use."""

ANSWERED_MAX: Final = 256
"""STANs remembered to tell a second answer from an unknown one; only the counter's name depends on
it."""


class InFlight(Protocol):
    """What the matcher needs of a transaction."""

    request: Message
    deadline_ns: int
    out_stan: int
    out_time: str
    tally: Tally


class OwedMessage(Protocol):
    """What the matcher needs of a reversal or an advice owed to the bank."""

    @property
    def txn(self) -> int: ...
    @property
    def stan(self) -> int: ...
    @property
    def time(self) -> str: ...
    def agrees(self, reply: Message) -> bool: ...


T = TypeVar("T", bound=InFlight)
R = TypeVar("R", bound=OwedMessage)


class Matcher(Generic[T, R]):
    """In-flight map, late answers and deliveries of one institution."""

    __slots__ = (
        "_answered",
        "_early",
        "_last_ns",
        "_mark_ns",
        "counts",
        "deliveries",
        "failed",
        "failed_since",
        "in_flight",
        "in_flight_max",
        "late",
        "window",
    )

    def __init__(self, window: Window, in_flight_max: int) -> None:
        """`in_flight_max`: requests in flight at once, 1..999999; at the limit `take` refuses."""
        assert 0 < in_flight_max < STAN_MAX, "there must be a free STAN"
        self.window = window
        self.in_flight_max = in_flight_max
        self.in_flight: dict[int, T] = {}
        self.late: dict[int, T] = {}
        self.deliveries: dict[int, R] = {}
        self.counts = {
            "unknown": 0,
            "duplicate": 0,
            "disagreeing": 0,
            "late": 0,
            "delivery_unknown": 0,
        }
        """Answers that were not a first, agreeing, timely one, by reason."""
        self.failed = 0
        """Requests that may have reached the institution and got no usable answer."""
        self.failed_since = 0
        """Of these, those that were sent since `mark`."""
        self._mark_ns = 0
        self._early: list[tuple[int, int]] = []
        self._last_ns = 0
        self._answered: deque[int] = deque(maxlen=ANSWERED_MAX)

    def take(self, txn: T, now_s: int) -> bool:
        """Gives `txn` its STAN and transmission time and puts it in flight; False at the cap.
        Hot."""
        in_flight = self.in_flight
        if len(in_flight) >= self.in_flight_max:
            return False
        window = self.window
        stan = window.next(now_s)
        while stan in in_flight:
            stan = window.next(now_s)
        txn.out_stan = stan
        txn.out_time = window.time
        deadline_ns = txn.deadline_ns
        if deadline_ns < self._last_ns:
            heappush(self._early, (deadline_ns, stan))
        else:
            self._last_ns = deadline_ns
        in_flight[stan] = txn
        txn.tally.sent += 1
        return True

    def match(self, reply: Message) -> T | None:
        """The request that this answer belongs to, taken out of flight; None when it changes
        nothing.

        A late answer gives its request too, once: the engine knows by the request's state. Hot.
        """
        txn = self.in_flight.get(reply.stan)
        if txn is not None and reply.agrees(txn.request, txn.out_stan, txn.out_time):
            del self.in_flight[txn.out_stan]
            self._answered.append(txn.out_stan)
            txn.tally.answered += 1
            return txn
        return self._match_late(reply, txn is not None)

    def _match_late(self, reply: Message, disagreeing: bool) -> T | None:
        txn = self.late.get(reply.stan)
        if txn is not None:
            if reply.agrees(txn.request, txn.out_stan, txn.out_time):
                del self.late[txn.out_stan]
                self.counts["late"] += 1
                return txn
            disagreeing = True
        if disagreeing:
            self.counts["disagreeing"] += 1
        elif reply.stan in self._answered:
            self.counts["duplicate"] += 1
        else:
            self.counts["unknown"] += 1
        return None

    def expired(self, now_ns: int) -> list[T]:
        """What reached its deadline, taken out of flight in the order of the map; a late answer is
        still known, for `LATE_NS`."""
        late = self.late
        while late:
            oldest = next(iter(late.values()))
            if oldest.deadline_ns + LATE_NS > now_ns:
                break
            del late[oldest.out_stan]
        gone: list[T] = []
        early = self._early
        while early and early[0][0] <= now_ns:
            deadline_ns, stan = heappop(early)
            txn = self.in_flight.get(stan)
            if txn is not None and txn.deadline_ns == deadline_ns:
                gone.append(txn)
                del self.in_flight[stan]
        for txn in self.in_flight.values():
            if txn.deadline_ns > now_ns:
                break
            gone.append(txn)
        for txn in gone:
            self.in_flight.pop(txn.out_stan, None)
            txn.tally.expired += 1
            self.unanswered(txn)
            self._remember(txn)
        return gone

    def waited_ns(self, now_ns: int) -> int:
        """How long the one has waited for its answer that went out first; 0 when none waits."""
        for txn in self.in_flight.values():
            sent_ns = txn.request.sent_ns
            return now_ns - sent_ns if sent_ns else 0
        return 0

    def drop(self, txn: T) -> bool:
        """Takes back a request that provably never left; False when it is not in flight."""
        if self.in_flight.get(txn.out_stan) is not txn:
            return False
        del self.in_flight[txn.out_stan]
        txn.tally.dropped += 1
        return True

    def drain(self) -> list[T]:
        """The bank's last connection has gone: everything in flight, taken out; late answers are
        still known."""
        gone = list(self.in_flight.values())
        self.in_flight.clear()
        self._early.clear()
        for txn in gone:
            self.unanswered(txn)
            self._remember(txn)
        return gone

    def unanswered(self, txn: T) -> None:
        """It may have reached the institution, and has no usable answer."""
        self.failed += 1
        if txn.deadline_ns > self._mark_ns:
            self.failed_since += 1

    def mark(self) -> None:
        """`failed_since` and `earlier` tell what was sent before this moment from what is sent
        later: deadlines grow with the time of sending."""
        self._mark_ns = self._last_ns
        self.failed_since = 0

    def earlier(self) -> int:
        """How much of what is in flight was sent before `mark`. Rare: walks that part."""
        count = 0
        for txn in self.in_flight.values():
            if txn.deadline_ns > self._mark_ns:
                break
            count += 1
        return count

    def number(self, now_s: int) -> tuple[int, str]:
        """STAN and transmission time of what is owed, or of a network management message."""
        window = self.window
        stan = window.next(now_s)
        while stan in self.in_flight or stan in self.deliveries:
            stan = window.next(now_s)
        return stan, window.time

    def delivery_sent(self, owed: R) -> None:
        """Its answer is awaited from now on; again and again for the same one is fine."""
        self.deliveries[owed.stan] = owed

    def match_delivery(self, reply: Message) -> R | None:
        """What this 0430, 0130 or 0230 answers; it stays until `delivery_done`, since a code may
        not be final."""
        owed = self.deliveries.get(reply.stan)
        if owed is not None and owed.agrees(reply):
            return owed
        self.counts["disagreeing" if owed is not None else "delivery_unknown"] += 1
        return None

    def delivery_done(self, owed: R) -> None:
        """It got its final code."""
        self.deliveries.pop(owed.stan, None)

    def _remember(self, txn: T) -> None:
        late = self.late
        while len(late) >= LATE_MAX:
            del late[next(iter(late))]
        late[txn.out_stan] = txn
