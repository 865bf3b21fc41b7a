"""Acquirers' connections: bytes in, requests to the engine. One listener belongs to one acquirer.

A peer that has not signed on where its link wants it gets little: frames up to
`STRANGER_FRAME_BYTES`, a handful of messages, and the session's time limit. A frame that is not
finished in time closes its link, so that many slow senders hold neither memory nor slots.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from switch.engine.states import State
from switch.errors import DecodeError, MacError
from switch.link import health
from switch.link.session import AnswerNetwork
from switch.link.terminal import refusal
from switch.model import end
from switch.model.kind import ADVICES, FORWARDED, Kind
from switch.model.response import FORMAT_ERROR
from switch.runtime.clock import monotonic_ns, wall_s
from switch.runtime.desk import ask_to_sign_on
from switch.runtime.dialer import HALF_OPEN
from switch.runtime.intake import OVERRUN_MAX_NS, QUEUE_BYTES_MAX
from switch.runtime.member import Acquirer, Bank, Hold
from switch.runtime.transport import Connection, Paused
from switch.wire import Dialect, Guard, KeepAlive, Message

if TYPE_CHECKING:
    from switch.link.session import Session
    from switch.runtime.desk import Desk
    from switch.runtime.driver import Driver

__all__ = [
    "AcquirerConnection",
    "BankConnection",
]

log = structlog.get_logger("link")

FRAME_COMPLETE_MAX_NS: Final = 5_000_000_000
"""From the first byte of a frame to its last. A message is one packet or two; terminals on bad
radio take seconds, attackers take all the time they get."""
STRANGER_MESSAGES_MAX: Final = 16
"""Messages refused before sign-on until the link is closed; a host that sends these will not
sign on."""
UNDECODABLE_MAX: Final = 32
"""Undecodable messages within `UNDECODABLE_NS` until the link is closed: another dialect, or no
payment system. The framer tells 40 of one chunk and no more, so that the rest is not paid for."""
UNDECODABLE_NS: Final = 60_000_000_000
UNFINISHED: Final = "unfinished frame"
OVERRUN: Final = "overrun"
"""Reason of a connection that is closed because more comes on it than can be refused."""

_NEVER_DROPPED: Final = ADVICES | {Kind.REVERSAL_REQUEST, Kind.REVERSAL_ADVICE}
_FINANCIAL: Final = tuple(kind in FORWARDED | _NEVER_DROPPED for kind in Kind)
"""By kind: what an acquirer asks of the engine."""
_REPLY: Final = int(Kind.REPLY)
_ANSWERS: Final = frozenset({Kind.REPLY, Kind.REVERSAL_REPLY, Kind.ADVICE_REPLY})
_NO_REQUESTS: Final = _ANSWERS | {Kind.NETWORK, Kind.NETWORK_REPLY}
_DELIVERED: Final = frozenset({Kind.REVERSAL_REPLY, Kind.ADVICE_REPLY})
"""Answers of a bank to what it was owed."""
_WAITING: Final = (State.AWAITING, State.SUPPRESSED)


class _Spoken(Connection):
    """A connection with a session; what both sides share beyond transport."""

    __slots__ = ("_bad", "_bad_since_ns", "_read", "_unread_ns", "session")

    def __init__(
        self,
        driver: "Driver",
        member: Any,
        dialect: Dialect,
        frame_bytes_max: int,
        session: "Session",
        guard: Guard | None = None,
    ) -> None:
        super().__init__(driver, member, dialect, frame_bytes_max, guard)
        self.session = session
        self._bad = 0
        self._bad_since_ns = 0
        self._unread_ns = 0
        self._read: list[int] = member.messages_in

    def started(self) -> None:
        held = self.member.hold is Hold.SIGNED_OFF
        self.driver.act(self, self.session.connected(monotonic_ns(), wall_s(), held))

    def tick(self, now_ns: int, now_s: int) -> None:
        """Session timers, and the frame that is not finished. While we do not read because too much
        waits, the peer is to blame for neither silence nor half a frame."""
        if self.paused & ~Paused.RESTING:
            self._unread_ns = now_ns
            if self.paused & Paused.QUEUE_FULL:
                self.session.heard_ns = now_ns
        first_ns = self.framer.first_byte_ns
        if first_ns and now_ns - max(first_ns, self._unread_ns) > FRAME_COMPLETE_MAX_NS:
            self.driver.counts["frame_unfinished"] += 1
            self.abort(UNFINISHED)
            return
        actions = self.session.tick(now_ns, now_s, random.random())
        if actions:
            self.driver.act(self, actions)

    def sign_off(self) -> None:
        """Ends the link as its session says; we close when the peer has agreed, or the session's
        time is up."""
        self.driver.act(self, self.session.close(monotonic_ns(), wall_s()))

    def echo(self, within_ms: int) -> "asyncio.Future[int]":
        """Tests the line; the future gets the answer's time in ns, -1 when there is none."""
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.echoes.append(waiting)
        actions = self.session.echo(monotonic_ns(), wall_s(), within_ms, asked=True)
        self.driver.act(self, actions)
        return waiting

    def sign_on(self) -> None:
        """An operator's order, for a bank that we sign on to."""
        self.driver.act(self, self.session.sign_on(monotonic_ns(), wall_s()))

    def rest(self) -> None:
        """An operator's order, for a bank that we sign on to: sign off and stay connected."""
        self.driver.act(self, self.session.rest(monotonic_ns(), wall_s()))

    def discard_input(self) -> None:
        """From now on bytes are read and thrown away, so that the peer's end of stream is still
        seen."""
        self._feed = _discard

    def _network(self, message: Message, now_ns: int) -> None:
        self.driver.act(self, self.session.network(message, now_ns, wall_s(), random.random()))

    def _cut_short(self) -> None:
        """Counts the frame that its peer did not finish, when the connection has gone by it."""
        if self.framer.first_byte_ns and self.reason in {"", UNFINISHED}:
            self.driver.gauges.ended(end.CUT_SHORT)

    def _keep_alive(self, item: KeepAlive) -> None:
        """A frame of length zero is answered by one, at once: it stands on no record. Whoever has
        gone, or does not read, gets what any write to it gets."""
        self.driver.counts["keep_alive"] += 1
        write = self.driver.writers.get(self.slot)
        if write is not None:
            write(item.answer)

    def _undecodable(self, error: Exception) -> None:
        """Counted; a peer that speaks another dialect is cut off in the end."""
        now_ns = monotonic_ns()
        if now_ns - self._bad_since_ns > UNDECODABLE_NS:
            self._bad_since_ns, self._bad = now_ns, 0
        self._bad += 1
        self.driver.counts["undecodable"] += 1
        self.driver.gauges.undecodable(self.member.name, error)
        self.member.faults.keep(self, error)
        if isinstance(error, DecodeError) and self._bad <= 3:
            log.warning(
                "message.undecodable",
                member=self.member.name,
                slot=self.slot,
                path=error.path,
                offset=error.offset,
                expected=error.expected,
            )
        if self._bad > UNDECODABLE_MAX:
            self.close("undecodable messages")


def _discard(data: bytes, now_ns: int) -> list[Message | Exception | KeepAlive]:
    """Takes the framer's place."""
    return []


def _discard_chunk(data: bytes, now_ns: int) -> int:
    """Takes the place of an acquirer's framer."""
    return 0


def _kept(item: Message | Exception | KeepAlive) -> bool:
    """What is handled although its connection has gone."""
    return isinstance(item, Message) and item.kind in _NEVER_DROPPED


class AcquirerConnection(_Spoken):
    """One connection of an acquirer."""

    __slots__ = (
        "_acquirer",
        "_code",
        "_desk",
        "_engine_request",
        "_full_ns",
        "_index",
        "_queue",
        "_strange",
        "queued",
    )

    def __init__(
        self,
        driver: "Driver",
        acquirer: Acquirer,
        dialect: Dialect,
        frame_bytes_max: int,
        session: "Session",
        guard: Guard | None = None,
        desk: "Desk | None" = None,
    ) -> None:
        super().__init__(driver, acquirer, dialect, frame_bytes_max, session, guard)
        self._desk = desk
        self._acquirer = acquirer
        self._index = acquirer.index
        # Where a dialect's messages bring no institution they are the link's own.
        supplied = "acquirer_code" in dialect.supplies
        self._code = None if supplied else acquirer.institution_code
        self._engine_request = driver.engine.request
        self._strange = 0
        self._queue: Callable[[bytes, int], int] = self.framer.queue
        self._full_ns = 0
        self.queued = False
        """Frames of it wait for their turn."""

    def data_received(self, data: bytes) -> None:
        """Hot: once per chunk. What it holds is looked at at the end of the tick, in turns
        (intake.py)."""
        now_ns = monotonic_ns()
        self.session.heard_ns = now_ns
        driver = self.driver
        try:
            waiting = self._queue(data, now_ns)
        except Exception as error:  # noqa: BLE001 - the driver tells a peer's fault from ours
            driver.broken(self, error)
            return
        self._acquirer.bytes_in += len(data)
        if waiting:
            if not self.queued:
                driver.intake.enter(self, self._acquirer, now_ns)
            elif self.framer.waiting_bytes > QUEUE_BYTES_MAX and not self.paused:
                driver.counts["intake_full"] += 1
                self._full_ns = now_ns
                self.pause_reading(Paused.QUEUE_FULL)
            if self._acquirer.lane.resting:
                driver.intake.rest(self, now_ns)
            if not driver.armed:
                driver.arm()

    def handle(self, items: list[Message | Exception | KeepAlive], now_ns: int, now_s: int) -> None:
        """Hot: its turn has come, once per message."""
        driver = self.driver
        try:
            request, slot, index, code = self._engine_request, self.slot, self._index, self._code
            read = self._read
            for item in items:
                if (
                    self.open
                    and item.__class__ is Message
                    and _FINANCIAL[kind := item.kind]
                    and item.get("acquirer_code") == code
                ):
                    read[kind] += 1
                    effects = request(item, slot, index, now_ns, now_s)
                    if effects:
                        driver.run(effects, now_ns)
                else:
                    self._rare(item, now_ns, now_s)
        except Exception as error:  # noqa: BLE001 - the driver tells a peer's fault from ours
            driver.broken(self, error)

    def close(self, reason: str) -> None:
        """Also takes no further turns: what still waits is looked at once, when it has gone."""
        super().close(reason)
        self.driver.intake.leave(self, self._acquirer)

    def shut(self) -> None:
        super().shut()
        self._acquirer.lane.strangers = True

    def tick(self, now_ns: int, now_s: int) -> None:
        """Also whether it sent too much for too long."""
        if self.paused & Paused.QUEUE_FULL and now_ns - self._full_ns > OVERRUN_MAX_NS:
            self.abort(OVERRUN)
            return
        super().tick(now_ns, now_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """What must never be refused is still handled, although nobody is there to be answered;
        requests that nobody has looked at are forgotten, since they have touched nothing."""
        self.driver.intake.leave(self, self._acquirer)
        if self.framer.waiting:
            if self.open and not self.driver.failed.done():
                now_ns = monotonic_ns()
                items = self.framer.take(self.framer.waiting, self.framer.waiting)
                self.handle([one for one in items if _kept(one)], now_ns, wall_s())
            self.framer.clear()
        super().connection_lost(exc)

    def discard_input(self) -> None:
        super().discard_input()
        self.driver.intake.leave(self, self._acquirer)
        self.framer.clear()
        self._queue = _discard_chunk

    def _rare(self, item: Message | Exception | KeepAlive, now_ns: int, now_s: int) -> None:
        """Everything but financial traffic on an open link."""
        if isinstance(item, MacError):
            self._unproved(item)
            return
        if isinstance(item, Exception):
            self._undecodable(item)
            partial = item.partial if isinstance(item, DecodeError) else None
            if self.open and partial is not None and partial.stan >= 0:
                # Enough was read before the fault to say whose request is refused.
                self.driver.gate.refuse(partial, self.slot, FORMAT_ERROR, end.UNDECODABLE)
            else:
                self.driver.gauges.ended(end.UNDECODABLE)
            return
        if isinstance(item, KeepAlive):
            self._keep_alive(item)
            return
        kind = item.kind
        self._read[kind] += 1
        driver = self.driver
        acquirer_code = self._acquirer.institution_code
        if item.get("acquirer_code") not in {None, acquirer_code}:
            self._foreign(item)
        elif kind in {Kind.NETWORK, Kind.NETWORK_REPLY}:
            self._network(item, now_ns)
        elif kind in _ANSWERS:
            driver.counts["reply_from_acquirer"] += 1
            driver.gauges.ended(end.FIELD_RULE)
        elif not self.open:
            self._stranger(item, now_ns, now_s)
        else:
            effects = driver.engine.request(item, self.slot, self._index, now_ns, now_s)
            if effects:
                driver.run(effects, now_ns)

    def _foreign(self, item: Message) -> None:
        """A link speaks for one institution; another one's number is a fault of set-up, or a
        fraud. The audit is told."""
        driver = self.driver
        driver.counts["foreign_institution"] += 1
        if self.member.faults.abuse("foreign_institution", self) == 1:
            log.warning(
                "link.foreign_institution",
                member=self.member.name,
                slot=self.slot,
                peer=self.peer,
                mti=item.mti,
                help="the first since the audit was told last; all are counted",
            )
        if item.kind == Kind.NETWORK:
            driver.act(self, (AnswerNetwork(item, FORMAT_ERROR),))
        elif item.kind in _NO_REQUESTS:
            driver.gauges.ended(end.FIELD_RULE)
        elif self.open:
            driver.gate.refuse(item, self.slot, FORMAT_ERROR, end.FIELD_RULE)
        else:
            self._stranger(item, monotonic_ns(), wall_s())

    def _unproved(self, error: MacError) -> None:
        """A message whose code does not hold: no key is claimed, nothing recorded. A request is
        told so; the answer has a code where there is a key for it."""
        self.driver.counts["mac_refused"] += 1
        self.member.faults.keep(self, error)
        message: Message = error.message
        self._read[message.kind] += 1
        code, ending, again = refusal(error.reason)
        if self.open and message.kind not in _NO_REQUESTS:
            if again and self._desk is not None:
                ask_to_sign_on(message)
            self.driver.gate.refuse(message, self.slot, code, ending)
        else:
            self.driver.gauges.ended(ending)

    def _network(self, message: Message, now_ns: int) -> None:
        """Terminals speak for themselves; a host for its link."""
        if self._desk is None:
            super()._network(message, now_ns)
        else:
            self._desk.network(message, self.slot)

    def _stranger(self, item: Message, now_ns: int, now_s: int) -> None:
        self._strange += 1
        if self._strange > STRANGER_MESSAGES_MAX:
            self.close("requests before sign-on")
            return
        self.driver.act(self, self.session.request(item, now_ns, now_s))

    def lost(self) -> None:
        self._cut_short()
        self.session.lost(monotonic_ns(), wall_s())
        self.driver.acquirer_lost(self.slot, self._acquirer)


class BankConnection(_Spoken):
    """One connection of a bank, dialled or accepted."""

    __slots__ = ("_bank", "_engine_reply", "_match", "health")

    def __init__(
        self,
        driver: "Driver",
        bank: Bank,
        dialect: Dialect,
        frame_bytes_max: int,
        session: "Session",
        guard: Guard | None = None,
    ) -> None:
        super().__init__(driver, bank, dialect, frame_bytes_max, session, guard)
        self._bank = bank
        self._match = bank.matcher.match
        self._engine_reply = driver.engine.reply
        self.health = health.Health(
            bank.health, self.tally, bank.memory, monotonic_ns(), random.random()
        )
        self.fit = self.health.fit

    def data_received(self, data: bytes) -> None:
        """Hot: once per chunk, and the loop once per message."""
        now_ns = monotonic_ns()
        self.session.heard_ns = now_ns
        driver = self.driver
        try:
            match, reply, read = self._match, self._engine_reply, self._read
            for item in self._feed(data, now_ns):
                if item.__class__ is Message and item.kind == _REPLY:
                    txn = match(item)
                    if txn is not None:
                        read[txn.request.kind] += 1
                        if txn.deadline_ns <= now_ns and txn.state in _WAITING:
                            # Read too late, for example after a stall: the deadline decides first.
                            driver.run(driver.engine.deadline(txn, replied=True), now_ns)
                        effects = reply(txn, item, now_ns)
                        if effects:
                            driver.run(effects, now_ns)
                else:
                    self._rare(item, now_ns)
        except Exception as error:  # noqa: BLE001 - the driver tells a peer's fault from ours
            driver.broken(self, error)
            return
        if not driver.armed:
            driver.arm()
        self._bank.bytes_in += len(data)

    def _rare(self, item: Message | Exception | KeepAlive, now_ns: int) -> None:
        """Everything but answers to requests. An answer whose code does not hold is none: what it
        would have answered runs into its deadline, and is reversed then."""
        if isinstance(item, MacError):
            self._read[item.message.kind] += 1
            driver = self.driver
            driver.counts["mac_refused"] += 1
            self.member.faults.keep(self, item)
            driver.gauges.ended(end.PROOF)
            return
        if isinstance(item, Exception):
            self._undecodable(item)
            self.driver.gauges.ended(end.UNDECODABLE)
            return
        if isinstance(item, KeepAlive):
            self._keep_alive(item)
            return
        kind = item.kind
        self._read[kind] += 1
        driver = self.driver
        if kind in {Kind.NETWORK, Kind.NETWORK_REPLY}:
            self._network(item, now_ns)
        elif kind in _DELIVERED:
            owed = self._bank.matcher.match_delivery(item)
            if owed is not None:
                driver.run(driver.engine.delivery_reply(owed, item), now_ns)
        else:
            driver.counts["request_from_bank"] += 1
            driver.act(self, self.session.request(item, now_ns, wall_s()))

    def tick(self, now_ns: int, now_s: int) -> None:
        """Also whether the line is fit for new requests."""
        super().tick(now_ns, now_s)
        if self.open:
            acts = self.health.tick(
                now_ns,
                self.session.heard_ns,
                self.stalled_ns(now_ns),
                random.random(),
                deaf=bool(self.paused),
            )
            self._judge(acts, now_ns, now_s)

    @property
    def health_state(self) -> str:
        return self.health.state.name.lower()

    def retune(self, rules: health.HealthRules) -> None:
        self.health.rules = rules

    def echoed(self, took_ns: int) -> None:
        super().echoed(took_ns)
        if self.transport is not None:
            now_ns = monotonic_ns()
            told = self.health.missed if took_ns < 0 else self.health.echoed
            self._judge(told(now_ns, random.random()), now_ns, wall_s())

    def _judge(self, acts: tuple[health.Act, ...], now_ns: int, now_s: int) -> None:
        """Runs what the line's health wants done."""
        driver, line = self.driver, self.health
        on_trial = line.state is health.HealthState.TRIAL
        changed = (self.fit, self.on_trial) != (line.fit, on_trial)
        self.fit, self.on_trial = line.fit, on_trial
        for act in acts:
            match act:
                case health.Act.PROBE:
                    # Out, only its own answer counts; under suspicion any sign of life does.
                    asked = line.state is health.HealthState.OUT
                    within_ms = self._bank.health.probe_ms
                    driver.act(self, self.session.echo(now_ns, now_s, within_ms, asked=asked))
                case health.Act.TAKE_OUT:
                    driver.counts["link_taken_out"] += 1
                    log.warning(
                        "link.taken_out", member=self.member.name, slot=self.slot, why=line.why
                    )
                case health.Act.PUT_BACK:
                    driver.counts["link_put_back"] += 1
                    log.info("link.put_back", member=self.member.name, slot=self.slot)
                case health.Act.CLOSE:
                    log.warning("link.half_open", member=self.member.name, slot=self.slot)
                    self.abort(HALF_OPEN)
        if changed:
            driver.fitness_changed(self)

    def lost(self) -> None:
        self._cut_short()
        self.session.lost(monotonic_ns(), wall_s())
        self._bank.left(self)
        self.driver.bank_lost(self.slot, self._bank)
