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
   (`Gate.shed`): MTI, decode, key unknown, answer; no object, engine or journal. Not where no more
   waits than a turn serves: that is no backlog, and what held it up is not mended by refusing.
2. Beyond the acquirer's rate they are refused the same way.
3. At most as many as the in-flight cap, and what waits for the journal, leave room for are decoded
   and go to the engine. So a disk that stands still makes requests wait here, and be refused.

Reversals, advices, network management and requests whose key is known (their stored answer is due)
are never refused here, and pass whatever the limits say. Each connection keeps its order. A
connection with `QUEUE_BYTES_MAX` waiting is not read until half of it is served, so that memory is
bounded by connections; one that stays so for `OVERRUN_MAX_NS` is closed.

While more comes than can be served, one call refuses on all connections of an acquirer, and each of
them rests for `REST_S` after it was read, so that one system call brings many requests and another
takes many answers away. They are woken one after the other: a tick that read them all would be what
a quiet acquirer waits for.

What has waited in the kernel before it was read is not known here; it is that rest at most, and the
length of a tick.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from switch.model.kind import FORWARDED
from switch.model.response import TOO_BUSY
from switch.runtime.clock import monotonic_ns, wall_s
from switch.runtime.lane import REASONS, Lane, Waiting
from switch.runtime.transport import Paused

if TYPE_CHECKING:
    from switch.runtime.driver import Driver
    from switch.runtime.member import Acquirer
    from switch.wire import Framer

__all__ = ["OVERRUN_MAX_NS", "QUEUE_BYTES_MAX", "Intake"]

QUANTUM: Final = 12
"""Requests of one acquirer in one turn, a tenth of a millisecond: what ten noisy ones make a quiet
one wait for. With 16 its p99 beside an overload is a little longer, with 8 less is served."""
SLICE_NS: Final = 1_000_000
"""Of one tick, while there is one acquirer only. Longer ones cost fewer system calls a request, and
delay everybody's answers."""
SLICE_BRIEF_NS: Final = 200_000
"""The same while another one has something under way, or somebody's connections rest: a turn or
two. A quiet acquirer waits for some five ticks, to be read, recorded, sent, read and recorded
again."""
SHED_MAX: Final = 256
"""Refused in one turn, about as long as serving its requests takes: whatever is to be refused, half
of the time serves. What cannot be refused waits, and then is not read."""
HELD_MAX: Final = 512
"""Frames that wait for the journal beyond which no new requests are taken, from anybody: those that
were taken must not hide from shedding what waits. Two an authorisation, so some 3 ms of what one
core does; at a disk whose sync takes 10 ms it is 25,000 authorisations a second."""
BATCH_SHARE: Final = 4
"""Once the first has waited too long, those are refused with it that will have within this part of
the limit: one call refuses many."""
REST_S: Final = 0.025
"""A connection of an acquirer that sends more than can be served is not read for so long after each
piece: reading, a look, and a write of the answers cost as much each time as 17 refusals. It is
waiting that is not seen."""
REST_NS: Final = round(REST_S * 1e9)
WAKE_S: Final = 0.001
"""Those that rest are woken in small lots, so that no tick has to read them all."""
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
        self._resting: deque[tuple[int, Waiting]] = deque()

    @property
    def waiting(self) -> bool:
        """Somebody's frames wait for a turn."""
        return bool(self._turns)

    @property
    def shedding(self) -> bool:
        """More comes from somebody than can be served: connections rest."""
        return bool(self._resting)

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
        lane.add(connection, now_ns)
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
        lane.discard(connection)
        if lane.queued and not lane.connections:
            lane.queued = False
            lane.patience.emptied(monotonic_ns())
            self._turns.remove(acquirer)

    def rest(self, connection: Waiting, now_ns: int) -> None:
        """A connection of which enough waits is not read for a moment."""
        if not self._resting:
            self._driver.loop.call_later(REST_S, self._wake)
        self._resting.append((now_ns + REST_NS, connection))
        connection.pause_reading(Paused.RESTING)

    def _wake(self) -> None:
        """The longest resting are read again, as many as keep all of them to their time."""
        resting, now_ns = self._resting, monotonic_ns()
        for _ in range(1 + int(len(resting) * WAKE_S / REST_S)):
            if not resting or resting[0][0] > now_ns:
                break
            resting.popleft()[1].resume_reading(Paused.RESTING)
        if resting:
            wait_s = max(WAKE_S, (resting[0][0] - now_ns) / 1e9)
            self._driver.loop.call_later(wait_s, self._wake)

    def serve(self) -> bool:
        """Turns until nothing waits, all are at a limit, or the slice is used up; True when it was
        that. Raises what handling a message raises, and JournalError."""
        turns = self._turns
        now_ns, now_s = monotonic_ns(), wall_s()
        shedding = self.shedding
        until_ns = now_ns + (SLICE_BRIEF_NS if shedding or self._company() else SLICE_NS)
        idle = 0
        while turns:
            acquirer = turns.popleft()
            lane = acquirer.lane
            lane.queued = False
            done = self._turn(acquirer, now_ns, now_s)
            if self._driver.failed.done():
                return False
            if shedding and turns:
                self._driver.hand_over()
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

    def _company(self) -> bool:
        """Whether there is more than one acquirer with something under way."""
        turns = self._turns
        if len(turns) != 1:
            return bool(turns)
        return self._driver.engine.in_flight > turns[0].in_flight

    def _turn(self, acquirer: "Acquirer", now_ns: int, now_s: int) -> bool:
        """One acquirer's turn: what has waited too long is refused on all its connections, then
        they are served in order until it has had its quantum or none of them has anything that may
        pass. False when nothing could be done."""
        lane = acquirer.lane
        connections = lane.connections
        strangers = [one for one in connections if not one.open] if lane.strangers else ()
        for connection in strangers:
            # A stranger's requests cost an answer each, and only a handful of them.
            self._handle(connection, QUANTUM, now_ns, now_s)
        refused, passed = self._refuse(acquirer, now_ns, now_s)
        if refused or passed or strangers:
            self._settle(lane)
        done = bool(refused or passed or strangers)
        done = self._take(acquirer, QUANTUM - passed, now_ns, now_s) or done
        if not connections:
            lane.patience.emptied(now_ns)
        return done

    def _refuse(self, acquirer: "Acquirer", now_ns: int, now_s: int) -> tuple[int, int]:
        """One call looks at all connections of an acquirer: refuses what has waited too long, and
        finds what stands in front and may not wait. That is handled. How many of either."""
        lane, driver = acquirer.lane, self._driver
        bucket = lane.bucket
        full = acquirer.in_flight >= acquirer.in_flight_max
        if bucket.rate and bucket.level(now_ns) <= 0:
            late_ns = before_ns = _ALL
            lane.resting = True
            reason = "rate"
        else:
            limit_ns = lane.patience.limit_ns(now_ns)
            lane.resting = limit_ns < lane.patience.interval_ns
            late_ns = now_ns - limit_ns
            before_ns = late_ns + limit_ns // BATCH_SHARE
            reason = "in_flight" if full else "delay"
            nothing_late = lane.since_ns > before_ns or lane.few(QUANTUM)
            if nothing_late and not full and driver.native.recorded < HELD_MAX:
                # And whatever may not wait has room like all else.
                return 0, 0
        framers, slots, connections = self._opened(lane)
        kinds, passing = driver.native.shed(
            framers,
            slots,
            late_ns,
            before_ns,
            SHED_MAX,
            TOO_BUSY,
            REASONS[reason],
            now_s,
        )
        count = 0
        for kind, number in kinds:
            acquirer.messages_in[kind] += number
            count += number
        if count:
            lane.shed[reason] += count
            driver.gate.urgent = True
            if reason != "rate":
                lane.patience.refused(now_ns)
        passed = 0
        for connection in [connections[at] for at in passing]:
            # A reversal, a repeat, or something that is not in order.
            if connection.queued:
                late = connection.framer.oldest_ns < late_ns
                passed += self._handle(
                    connection, int(late), now_ns, now_s, 1 if late else FRAMES_MAX
                )
        return count, passed

    def _opened(self, lane: Lane) -> "tuple[list[Framer], list[int], list[Waiting]]":
        """Those that may be refused something. Mostly that is all of them."""
        if not lane.strangers:
            return lane.framers, lane.slots, lane.connections
        opened = [one for one in lane.connections if one.open]
        lane.strangers = len(opened) < len(lane.connections)
        return [one.framer for one in opened], [one.slot for one in opened], opened

    def _take(self, acquirer: "Acquirer", left: int, now_ns: int, now_s: int) -> bool:
        """Serves what the limits leave room for; whether there was anything."""
        lane = acquirer.lane
        connections, bucket = lane.connections, lane.bucket
        idle, done = 0, False
        while left > 0 and idle < len(connections):
            room = min(
                left,
                acquirer.in_flight_max - acquirer.in_flight,
                HELD_MAX - self._driver.native.recorded,
            )
            if bucket.rate:
                room = min(room, bucket.level(now_ns))
            if room <= 0:
                break
            if lane.at >= len(connections):
                lane.at = 0
            connection = connections[lane.at]
            before = acquirer.messages_in[:] if bucket.rate else None
            count = self._handle(connection, room, now_ns, now_s)
            if before is not None:
                after = acquirer.messages_in
                bucket.take(sum(after[kind] - before[kind] for kind in FORWARDED))
            if self._stays(connection):
                lane.at += 1
            else:
                lane.discard(connection)
            left -= count
            idle = 0 if count else idle + 1
            done = done or count > 0
        return done

    def _settle(self, lane: Lane) -> None:
        """Connections with nothing left leave the turns."""
        for at in range(len(lane.connections) - 1, -1, -1):
            if not self._stays(lane.connections[at]):
                lane.remove(at)

    def _stays(self, connection: Waiting) -> bool:
        """Whether a connection has something left that waits. It is read again when little is."""
        if not connection.queued:
            # It has gone by what was handled.
            return False
        framer = connection.framer
        if connection.paused & Paused.QUEUE_FULL and framer.waiting_bytes < QUEUE_BYTES_MAX / 2:
            connection.resume_reading(Paused.QUEUE_FULL)
        if not framer.waiting:
            connection.queued = False
        return connection.queued

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
