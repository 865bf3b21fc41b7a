"""Where loop, links, engine and gate meet: the end of a tick, the wake by the journal, the timer,
lost links.

One tick: banks' connections read chunks and hand answers to the engine, acquirers' queue what they
read (listener.py); each arms the driver once; at the end of the tick acquirers take their turns
(intake.py), and one `commit` writes what the tick appended (a small
group on a quick disk), or leaves it to the journal's thread, whose eventfd tells when it is
durable. Then `release` gives each peer one joined write (uvloop makes one system call per write, so
this is the largest gain of all).

**Fail-stop.** A journal that failed never reports anything synced again, so nothing held can leave.
The driver then cuts all links at once, which is what tells the peers that no answer will come, and
the process ends with the reason; its successor recovers from what is on disk.

A fault of ours stops it likewise, wherever it shows: a request may be out of the matcher by then
and have neither outcome nor deadline any more. The journal still tells the truth, and the next
start reverses what is in doubt. After the stop nothing is decided or recorded here.
"""

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from switch.engine.perform import perform
from switch.errors import FramingError, PeerError
from switch.link.circuit import CircuitState
from switch.link.session import (
    AnswerNetwork,
    Count,
    Disconnect,
    Echoed,
    EchoMissed,
    LinkAction,
    Opened,
    RefuseRequest,
    SendNetwork,
    Shut,
)
from switch.model import end
from switch.model.response import NOT_SIGNED_ON
from switch.native import hook
from switch.runtime.clock import monotonic_ns, wall_ms, wall_s
from switch.runtime.fault import places, reason
from switch.runtime.gate import Gate
from switch.runtime.gauges import Gauges
from switch.runtime.intake import Intake
from switch.runtime.member import Acquirer, Bank
from switch.runtime.quiet import Quiet
from switch.runtime.transport import Connection
from switch.runtime.turns import ByTurns

if TYPE_CHECKING:
    from switch.engine.effects import Effect
    from switch.engine.engine import Engine
    from switch.native import journal, walk

__all__ = ["Driver"]

log = structlog.get_logger("driver")

handing = hook.handing

Write = Callable[[bytes], None]


class Driver:
    """One per worker. Everything here runs on the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        journal: "journal.Journal",
        native: "walk.Gate",
        acquirers: Mapping[int, Acquirer],
        banks: Mapping[int, Bank],
        write_buffer_bytes_max: int,
    ) -> None:
        self.loop = loop
        self.write_buffer_bytes_max = write_buffer_bytes_max
        """Unread bytes per connection; a peer that leaves more is cut off."""
        self.journal = journal
        self.native = native
        self.acquirers = acquirers
        self.banks = banks
        self.gate: Gate
        self.engine: Engine
        self.gauges: Gauges
        self.writers: dict[int, Write] = {}
        """Gate slot to what writes to it; a slot that is missing has gone."""
        self.armed = False
        """`end_tick` is scheduled already."""
        self.draining = False
        self.counts: Counter[str] = Counter()
        """Rare happenings by name, for metrics."""
        self.failed: asyncio.Future[str] = loop.create_future()
        """The reason why this process must end at once; pending as long as all is well."""
        self._closing: list[tuple[Connection, str]] = []
        self._quiet = Quiet()
        self.intake = Intake(self)
        self._by_turns = ByTurns(loop, self._hand)
        self._commit = native.commit
        self._release = native.release
        self._hand_over = native.hand_over

    def plug(self, gate: Gate, engine: "Engine", gauges: Gauges) -> None:
        """Ties the knot: the engine acts through the gate, and its effects are run here."""
        self.gate = gate
        self.engine = engine
        self.gauges = gauges

    def start(self) -> None:
        """Listens to the journal."""
        self.loop.add_reader(self.journal.fileno, self.synced)

    def stop(self) -> None:
        """Listens to the journal no longer; it is about to be closed."""
        self.loop.remove_reader(self.journal.fileno)

    # ------------------------------------------------------------------------- the tick

    def arm(self) -> None:
        """Something was appended or must go out: `end_tick` runs once all of this tick's input
        is read."""
        if not self.armed:
            self.armed = True
            self.loop.call_soon(self.end_tick)

    def end_tick(self) -> None:
        """One commit for all that this tick appended; what needs no record goes out now."""
        if self.failed.done():
            self.armed = False
            return
        try:
            more, durable = False, False
            if self.intake.waiting:
                if self.intake.shedding:
                    # What this tick read of banks, and what became durable meanwhile, does not
                    # wait for its turns.
                    self.hand_over()
                more = self.intake.serve()
            self.armed = False
            self.gate.tick += 1
            if not (more and self.intake.shedding):
                # Else the next tick hands over what this one took, and what it reads of banks.
                durable = self._commit()
            if durable or self.gate.urgent:
                self.gate.urgent = False
                self.release()
                more = more or self.intake.has_room
            if self._closing:
                closing, self._closing = self._closing, []
                for connection, why in closing:
                    connection.close(why)
            if more:
                self.arm()
            if self.intake.waiting and self.native.recorded:
                # Saturated: the loop will not sleep, and the journal's thread may want this core.
                os.sched_yield()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process stops by it
            self.fault(error)

    def synced(self) -> None:
        """The journal's eventfd is readable: records became durable, or it failed."""
        if self.failed.done():
            return
        try:
            self.journal.acknowledge()
            failure = self.journal.failure
            if failure is not None:
                self.fail(failure)
                return
            self.release()
            if self.intake.has_room:
                self.arm()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process stops by it
            self.fault(error)

    def hand_over(self) -> None:
        """While more comes than can be served: what was recorded is on its way to the disk, and
        what has come back from there to its peer, while turns go on. Raises JournalError."""
        if self._hand_over():
            self.release()

    def release(self) -> None:
        """One joined write for each peer that something durable waits for. Never raises for a
        peer."""
        writers = self.writers
        parts = self._release(monotonic_ns())
        if handing():
            self._by_turns.take(parts)
            return
        for slot, data in parts:
            try:
                writers[slot](data)
            except (KeyError, RuntimeError, OSError):
                # The connection has gone or is going: a sink. What it was to get is the engine's
                # matter when connection_lost arrives; nobody behind it in this list may suffer.
                self.counts["write_to_gone_peer"] += 1

    def _hand(self, slot: int, data: bytes) -> None:
        try:
            self.writers[slot](data)
        except (KeyError, RuntimeError, OSError):
            self.counts["write_to_gone_peer"] += 1

    def run(self, effects: "Iterable[Effect]", now_ns: int) -> None:
        """Executes the effects of a rare path, and sends the reversals that they left owed."""
        perform(self.engine, self.gate, effects, now_ns)
        perform(self.engine, self.gate, self.engine.due(now_ns, random.random()), now_ns)
        self.arm()

    # ------------------------------------------------------------------------ connections

    def attach(self, connection: Connection, write: Write) -> int:
        """A slot of the gate for a new connection."""
        slot = self.native.attach(connection.member.index, connection.dialect, connection.guard)
        self.writers[slot] = write
        self.gauges.connected(connection.member.name)
        return slot

    def acquirer_lost(self, slot: int, acquirer: Acquirer) -> None:
        """Its waiting answers become undeliverable; the bank's answers are recorded all the
        same."""
        self.writers.pop(slot, None)
        if self.failed.done():
            return
        now_ns = monotonic_ns()
        self.run(self.engine.acquirer_lost(slot), now_ns)
        for txn in self.native.detach(slot):
            self.run(self.engine.undelivered(txn, acquirer.index), now_ns)

    def bank_lost(self, slot: int, bank: Bank) -> None:
        """Unsent requests move to another connection, or are concluded without bank traffic;
        sent ones wait for an answer on another connection, and are reversed at once when there
        is none."""
        self.writers.pop(slot, None)
        bank.refresh()
        if self.failed.done():
            return
        now_ns = monotonic_ns()
        other = bank.next_slot()
        if other >= 0:
            self.native.retarget(slot, other)
        for number in self.native.detach(slot):
            txn = self.engine.find(number)
            if txn is not None:
                bank.matcher.drop(txn)
                self.run(self.engine.unsent(txn), now_ns)
        if not bank.connections:
            gone = bank.matcher.drain()
            if gone:
                log.warning("bank.lost", bank=bank.name, in_flight=len(gone))
                self.run(self.engine.bank_lost(gone), now_ns)

    def writability_changed(self, connection: Connection) -> None:
        """A peer stopped or began to read."""
        if not connection.writable:
            self.counts["peer_does_not_read"] += 1
            log.warning("link.choked", member=connection.member.name, slot=connection.slot)
        self._refresh(connection)
        bank = self.banks.get(connection.member.index)
        if bank is not None and not connection.writable:
            # What waits for its record and was never written may still go another way.
            other = bank.next_slot()
            if other >= 0:
                self.native.retarget(connection.slot, other)

    def fitness_changed(self, connection: Connection) -> None:
        """A bank's line was taken out, or put back, or is on trial no more."""
        self._refresh(connection)
        bank = self.banks.get(connection.member.index)
        if bank is not None and not connection.fit:
            # What waits for its record and was never written may still go another way.
            other = bank.next_slot()
            if other >= 0:
                self.native.retarget(connection.slot, other)

    def refused(self, member: Any) -> None:
        """A connection over the cap, or one that came while we drain."""
        self.gauges.connected(member.name, refused=True)
        self.counts["connection_refused"] += 1
        if self._quiet.speaks(monotonic_ns()):
            log.warning(
                "link.refused",
                member=member.name,
                connections_max=member.connections_max,
                silenced=self._quiet.silenced(),
            )

    def _refresh(self, connection: Connection) -> None:
        bank = self.banks.get(connection.member.index)
        if bank is not None:
            self.refresh(bank)

    def refresh(self, bank: Bank) -> None:
        """Which of its links take requests may have changed."""
        if bank.refresh() and not self.draining:
            now_ns = monotonic_ns()
            self.engine.bank_up(bank.index, now_ns)
            self.run((), now_ns)

    # ---------------------------------------------------------------------------- sessions

    def act(self, connection: Connection, actions: Iterable[LinkAction]) -> None:
        """Runs what a session wants done, in order."""
        for action in actions:
            match action:
                case SendNetwork(code, stan, time, mti):
                    after = self.native.mark(connection.member.index, stan, time, wall_ms())
                    values = {
                        "transmission_time": time,
                        "stan": f"{stan:06d}",
                        "network_code": code,
                    }
                    self.native.network(connection.slot, mti, values, after)
                case AnswerNetwork(message, code):
                    self.native.network_answer(message, connection.slot, code, wall_s())
                    self.gate.urgent = True
                case RefuseRequest(message, code, _):
                    ending = end.NOT_SIGNED_ON if code == NOT_SIGNED_ON else end.FIELD_RULE
                    self.gate.refuse(message, connection.slot, code, ending)
                case Opened():
                    connection.open = connection.was_open = True
                    log.info("link.open", member=connection.member.name, slot=connection.slot)
                    self._refresh(connection)
                case Shut():
                    connection.shut()
                    self._refresh(connection)
                case Disconnect(reason):
                    self._closing.append((connection, reason))
                case Count(what):
                    self.counts[f"link_{what}"] += 1
                case Echoed(took_ns):
                    self.gauges.echoed(connection.member.name, took_ns)
                    connection.echoed(took_ns)
                case EchoMissed():
                    self.gauges.echoed(connection.member.name, -1)
                    connection.echoed(-1)
        self.arm()

    # ------------------------------------------------------------------------------- timer

    def expire(self, now_ns: int) -> None:
        """Deadlines that have passed. The timer calls it; so does a read that comes late after a
        stall."""
        engine = self.engine
        for bank in self.banks.values():
            if bank.estimate(now_ns):
                engine.expect(bank.index, bank.takes_ns)
            for txn in bank.matcher.expired(now_ns):
                perform(engine, self.gate, engine.deadline(txn), now_ns)
                self.arm()
        for txn in engine.overdue(now_ns):
            self.run(engine.deadline(txn), now_ns)

    def tick(self) -> None:
        """Deadlines, then reversals that are due; see timers.py for how often."""
        if self.failed.done():
            return
        try:
            now_ns = monotonic_ns()
            self.expire(now_ns)
            self._judge(now_ns)
            due = self.engine.due(now_ns, random.random())
            if due:
                self.run(due, now_ns)
            if self.intake.waiting:
                self.arm()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process stops by it
            # Deadlines come out of the in-flight map as a list: one fault loses the rest of it.
            self.fault(error)

    def _judge(self, now_ns: int) -> None:
        """Opens and closes the banks' circuits, after the deadlines that passed have been told."""
        if self.draining:
            return
        for bank in self.banks.values():
            if not bank.judge(now_ns, random.random()):
                continue
            circuit = bank.circuit
            state = circuit.state.name.lower()
            self.counts[f"circuit_{state}"] += 1
            tell = log.warning if circuit.state is CircuitState.OPEN else log.info
            tell(f"bank.circuit_{state}", bank=bank.name, why=circuit.why)

    def tick_links(self) -> None:
        """Session timers and unfinished frames of every connection."""
        if self.failed.done():
            return
        now_ns, now_s = monotonic_ns(), wall_s()
        for connection in list(self.connections()):
            connection.tick(now_ns, now_s)

    def connections(self) -> Iterable[Connection]:
        """All of them, acquirers' first."""
        for acquirer in self.acquirers.values():
            yield from acquirer.connections.values()
        for bank in self.banks.values():
            yield from bank.connections.values()

    # -------------------------------------------------------------------------------- end

    def fail(self, reason: str) -> None:
        """Nothing may leave any more. All links are cut at once; the process ends with the
        reason."""
        if self.failed.done():
            return
        self.failed.set_result(reason)
        self.draining = True
        with contextlib.suppress(ValueError, OSError):
            self.loop.remove_reader(self.journal.fileno)
        self.writers.clear()
        for connection in list(self.connections()):
            connection.abort("fail-stop")

    def fault(self, error: BaseException) -> None:
        """A fault of ours, or a failed journal: stops as `fail`, with what may be told of it."""
        log.error("driver.fault", error=type(error).__name__, at=places(error))
        self.fail(reason(error))

    def broken(self, connection: Connection, error: Exception) -> None:
        """What a chunk of bytes brought about besides messages: a lost stream, our own bug, a
        failed journal.

        Only a `PeerError` is the peer's: its link is cut. All else is ours, on either side, since
        what was being done is half done: on a bank's link a request has left the matcher, on an
        acquirer's a key may be claimed without an outcome to come. Peers cannot bring it about:
        what they get wrong arrives as a value, not as an exception.
        """
        if not isinstance(error, PeerError):
            self.fault(error)
            return
        self.counts["link_broken"] += 1
        if isinstance(error, FramingError):
            self.gauges.undecodable(connection.member.name, error)
            connection.member.faults.keep(connection, error)
            self.gauges.ended(end.UNDECODABLE)
        log.error(
            "link.broken", member=connection.member.name, slot=connection.slot, error=error.code
        )
        connection.abort("broken")
