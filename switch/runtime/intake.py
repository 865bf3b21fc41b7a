"""Which of the requests that have come is looked at next: acquirers take turns, each within its
limits, and what has waited too long is refused before it is decoded.

The loop is the server; what waits are whole frames, cut and not decoded, in the framers of their
connections. A chunk is queued when it is read (`enter`); at the end of the tick, banks' answers
having been handled first, `serve` gives every acquirer with something waiting `QUANTUM` requests a
turn (messages are of one size, so that counting them is what a deficit of bytes would say), until
nothing waits, everybody is at a limit, or the slice of the tick is used up. So one acquirer's
thousand connections cost another one turn, and a tick never grows with what peers send.

At its turn, in this order:

1. Requests that waited longer than `link.admission.Patience` allows are refused natively
   (`Gate.shed`): MTI, decode, key unknown, answer; no object, engine or journal.
2. Beyond the acquirer's rate they are refused the same way.
3. At most as many as the in-flight cap, and what waits for the journal, leave room for are decoded
   and go to the engine. So a disk that stands still makes requests wait here, and be refused.

Reversals, advices, network management and requests whose key is known (their stored answer is due)
are never refused here, and pass whatever the limits say. Each connection keeps its order. A
connection with `QUEUE_BYTES_MAX` waiting is not read until half of it is served, so that memory is
bounded by connections; one that stays so for `OVERRUN_MAX_NS` is closed.

What has waited in the kernel before it was read is not known here; reading everything in every tick
keeps that short.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from switch.model.kind import FORWARDED
from switch.model.response import TOO_BUSY
from switch.runtime.clock import monotonic_ns, wall_s
from switch.runtime.lane import REASONS, Waiting
from switch.runtime.transport import Paused

if TYPE_CHECKING:
    from switch.runtime.driver import Driver
    from switch.runtime.member import Acquirer

__all__ = ["OVERRUN_MAX_NS", "QUEUE_BYTES_MAX", "Intake"]

QUANTUM: Final = 16
"""Requests of one acquirer in one turn: a quarter of a millisecond, so that with ten noisy ones a
quiet one waits for two or three."""
SLICE_NS: Final = 1_000_000
"""Of one tick. Longer ones cost fewer system calls a request, and delay everybody's answers."""
SHED_MAX: Final = 256
"""Refused in one go, about as long as a turn takes."""
SHED_COST: Final = 16
"""So many refusals count as one request in a turn."""
HELD_MAX: Final = 512
"""Frames that wait for the journal beyond which no new requests are taken, from anybody: those that
were taken must not hide from shedding what waits. Two an authorisation, so some 3 ms of what one
core does; at a disk whose sync takes 10 ms it is 25,000 authorisations a second."""
BATCH_SHARE: Final = 4
"""Once the first has waited too long, those are refused with it that will have within this part of
the limit: one call refuses many."""
FRAMES_MAX: Final = 64
"""Looked at in one go, reversals and the like included."""
QUEUE_BYTES_MAX: Final = 65_536
"""Of one connection, some 250 messages; then it is not read. A chunk that was read already comes on
top of it."""
OVERRUN_MAX_NS: Final = 30_000_000_000
"""A connection that was never below half of that for so long is closed."""

_ALL: Final = (1 << 64) - 2
"""Later than any frame."""


class Intake:
    """One per worker."""

    def __init__(self, driver: "Driver") -> None:
        self._driver = driver
        self._turns: deque[Acquirer] = deque()

    @property
    def waiting(self) -> bool:
        """Somebody's frames wait for a turn."""
        return bool(self._turns)

    @property
    def has_room(self) -> bool:
        """Somebody waits for a turn, and enough of what was taken has left for a turn to be worth
        it."""
        return bool(self._turns) and 2 * self._driver.native.recorded <= HELD_MAX

    def enter(self, connection: Waiting, acquirer: "Acquirer", now_ns: int) -> None:
        """A connection has frames that wait, and had none before. Who had nothing waiting is next:
        a quiet acquirer never stands behind a backlog."""
        connection.queued = True
        lane = acquirer.lane
        lane.connections.append(connection)
        if not lane.queued:
            lane.queued = True
            lane.patience.emptied(now_ns)
            self._turns.appendleft(acquirer)

    def leave(self, connection: Waiting, acquirer: "Acquirer") -> None:
        """A connection has gone, with what waited."""
        if not connection.queued:
            return
        connection.queued = False
        lane = acquirer.lane
        if connection in lane.connections:
            lane.connections.remove(connection)
        if lane.queued and not lane.connections:
            lane.queued = False
            lane.patience.emptied(monotonic_ns())
            self._turns.remove(acquirer)

    def serve(self) -> bool:
        """Turns until nothing waits, all are at a limit, or the slice is used up; True when it was
        that. Raises what handling a message raises, and JournalError."""
        turns = self._turns
        now_ns, now_s = monotonic_ns(), wall_s()
        until_ns = now_ns + SLICE_NS
        idle = 0
        while turns:
            acquirer = turns.popleft()
            lane = acquirer.lane
            lane.queued = False
            done = self._turn(acquirer, now_ns, now_s)
            if self._driver.failed.done():
                return False
            if lane.connections and not lane.queued:
                lane.queued = True
                turns.append(acquirer)
            idle = 0 if done else idle + 1
            if idle >= len(turns):
                return False
            now_ns = monotonic_ns()
            if now_ns >= until_ns:
                return bool(turns)
        return False

    def _turn(self, acquirer: "Acquirer", now_ns: int, now_s: int) -> bool:
        """One acquirer's turn: its connections in order, until it has had its quantum or none of
        them has anything that may pass. False when nothing could be done."""
        lane = acquirer.lane
        connections = lane.connections
        left, idle, done = QUANTUM, 0, False
        while left > 0 and idle < len(connections):
            connection = connections.popleft()
            count = self._pass(connection, acquirer, left, now_ns, now_s)
            if not connection.queued:
                # It has gone by what was handled.
                continue
            framer = connection.framer
            if framer.waiting:
                connections.append(connection)
            else:
                connection.queued = False
            if connection.paused & Paused.QUEUE_FULL and framer.waiting_bytes < QUEUE_BYTES_MAX / 2:
                connection.resume_reading(Paused.QUEUE_FULL)
            if count:
                left -= count
                idle, done = 0, True
            else:
                idle += 1
        if not connections:
            lane.patience.emptied(now_ns)
        return done

    def _pass(
        self, connection: Waiting, acquirer: "Acquirer", most: int, now_ns: int, now_s: int
    ) -> int:
        """Refuses and handles what stands in front on one connection; a measure of what was
        done."""
        framer, lane = connection.framer, acquirer.lane
        if not connection.open:
            # A stranger's requests cost an answer each, and only a handful of them.
            return self._handle(connection, most, now_ns, now_s)
        room = acquirer.in_flight_max - acquirer.in_flight
        limit_ns = lane.patience.limit_ns(now_ns)
        if framer.oldest_ns < now_ns - limit_ns:
            before_ns = now_ns - limit_ns + limit_ns // BATCH_SHARE
            reason = "delay" if room > 0 else "in_flight"
            return self._refuse(connection, acquirer, before_ns, reason, now_ns, now_s)
        bucket = lane.bucket
        if bucket.rate:
            tokens = bucket.level(now_ns)
            if tokens <= 0:
                return self._refuse(connection, acquirer, _ALL, "rate", now_ns, now_s)
            room = min(room, tokens)
        room = min(room, most, HELD_MAX - self._driver.native.recorded)
        before = acquirer.messages_in[:] if bucket.rate else None
        count = self._handle(connection, max(0, room), now_ns, now_s)
        if before is not None:
            after = acquirer.messages_in
            bucket.take(sum(after[kind] - before[kind] for kind in FORWARDED))
        return count

    def _handle(
        self,
        connection: Waiting,
        requests_max: int,
        now_ns: int,
        now_s: int,
        frames_max: int = FRAMES_MAX,
    ) -> int:
        items = connection.framer.take(requests_max, frames_max)
        if items:
            connection.handle(items, now_ns, now_s)
        return len(items)

    def _refuse(
        self,
        connection: Waiting,
        acquirer: "Acquirer",
        before_ns: int,
        reason: str,
        now_ns: int,
        now_s: int,
    ) -> int:
        """Refuses what came before a time; behind it, handles one that must not be refused."""
        driver, framer = self._driver, connection.framer
        refused = driver.native.shed(
            framer, connection.slot, before_ns, SHED_MAX, TOO_BUSY, REASONS[reason], now_s
        )
        count = 0
        for kind, number in refused:
            acquirer.messages_in[kind] += number
            count += number
        if count:
            acquirer.lane.shed[reason] += count
            driver.gate.urgent = True
        if count < SHED_MAX and framer.oldest_ns < before_ns:
            # A reversal, a repeat, or something that is not in order.
            return 1 + self._handle(connection, 1, now_ns, now_s, 1)
        return max(1, count // SHED_COST)
