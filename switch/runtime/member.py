"""An institution as the shell sees it: its connections, and which of them may be used now.

Links belong to institutions: an acquirer by the listener that its connections came in on, a bank by
the member whose address we dialled or whose listener it came in on. Numbers and matching belong to
the institution (`link/matcher.py`), so that an answer may come back on any connection.
"""

from collections import Counter
from enum import StrEnum, unique
from typing import TYPE_CHECKING

import msgspec

from switch.constants import CONNECTS_PER_S_MAX
from switch.link.circuit import Circuit, CircuitRules, CircuitState, Totals
from switch.link.health import TRIAL_REQUESTS, HealthRules, Memory
from switch.link.matcher import Matcher
from switch.model.kind import Kind
from switch.model.tally import Tally
from switch.runtime.arrivals import Arrivals
from switch.runtime.faults import Faults
from switch.runtime.lane import Lane

if TYPE_CHECKING:
    from switch.engine.transaction import Transaction
    from switch.native import walk
    from switch.runtime.transport import Connection

__all__ = ["Acquirer", "Bank", "Hold"]


@unique
class Hold(StrEnum):
    """What an operator wants of a member."""

    NONE = ""
    SIGNED_OFF = "signed-off"
    """Connected, and not signed on by us."""
    DRAINED = "drained"
    """Nothing goes to it, nothing is taken from it, no connection stands."""


def _tally() -> list[int]:
    return [0] * len(Kind)


class Acquirer(msgspec.Struct):
    """An acquirer and what it has open with us."""

    index: int
    name: str
    institution_code: str
    """Field 32 of what it sends; another one is refused."""
    in_flight_max: int
    """Requests of all its connections at a bank; at the limit further ones wait for their turn."""
    connections_max: int
    """Further connections are closed at once."""
    numbers: "Matcher[Transaction, walk.Original]"
    """Where our own 0800 to it get their STAN."""
    lane: Lane = msgspec.field(default_factory=Lane)
    """Its place in the turns of what is looked at next."""
    in_flight: int = 0
    connections: dict[int, "Connection"] = msgspec.field(default_factory=dict)
    """Gate slot to connection."""
    messages_in: list[int] = msgspec.field(default_factory=_tally)
    """Messages read, by kind."""
    bytes_in: int = 0
    hold: Hold = Hold.NONE
    faults: Faults = msgspec.field(default_factory=Faults)
    """Its last frames that could not be decoded."""
    arrivals: Arrivals = msgspec.field(default_factory=lambda: Arrivals(CONNECTS_PER_S_MAX))

    def signed_on(self) -> int:
        """How many connections carry financial traffic."""
        return sum(connection.open for connection in self.connections.values())


class Bank(msgspec.Struct):
    """A bank, its in-flight map, and the slots that may be written to."""

    index: int
    name: str
    matcher: "Matcher[Transaction, walk.Original]"
    connections_max: int
    """In accept mode, further connections are closed at once; in dial mode how many we dial."""
    connections: dict[int, "Connection"] = msgspec.field(default_factory=dict)
    ready: list[int] = msgspec.field(default_factory=list)
    """Slots that are signed on, fit, not about to be closed, and whose peer reads. They take
    turns."""
    serving: list[int] = msgspec.field(default_factory=list)
    """Where requests may go: `ready`, and nothing while the circuit is open."""
    tallies: list[Tally] = msgspec.field(default_factory=list)
    """Theirs, in the same order."""
    health: HealthRules = HealthRules()
    memory: Memory = msgspec.field(default_factory=Memory)
    """Of lines that failed."""
    in_flight_max: int = 0
    """Of the settings; the matcher's own is lower while all lines are on trial, or the circuit is
    half-open."""
    circuit: Circuit = msgspec.field(default_factory=lambda: Circuit(CircuitRules(), 0))
    stand_ins: Counter[tuple[str, int]] = msgspec.field(default_factory=Counter)
    """What became of requests that a rule of stand-in covered, by its name and
    `switch.engine.ports.StandIn`."""
    stand_in_suspended: bool = False
    """An operator wants nothing approved in its name."""
    answered_before: int = 0
    """Answers on connections that have gone."""
    unusable: int = 0
    """Answers that could not be passed on."""
    turn: int = 0
    run: int = 0
    """Requests that the connection whose turn it is had in `tick`."""
    tick: int = -1
    takes_ns: int = 0
    """How long its answers take at present: the longest wait of late."""
    messages_in: list[int] = msgspec.field(default_factory=_tally)
    """Messages read, by kind; an answer to a request counts under the request's kind."""
    bytes_in: int = 0
    hold: Hold = Hold.NONE
    faults: Faults = msgspec.field(default_factory=Faults)
    """Its last frames that could not be decoded."""
    arrivals: Arrivals = msgspec.field(default_factory=lambda: Arrivals(CONNECTS_PER_S_MAX))

    def __post_init__(self) -> None:
        self.in_flight_max = self.in_flight_max or self.matcher.in_flight_max

    def retune(self, in_flight_max: int, health: HealthRules, circuit: CircuitRules) -> None:
        """Takes up other settings, for the connections that stand too."""
        self.in_flight_max, self.health = in_flight_max, health
        self.circuit.rules = circuit
        for link in self.connections.values():
            link.retune(health)
        self.refresh()

    def estimate(self, now_ns: int) -> bool:
        """Takes up `takes_ns` from what is in flight; True when it has changed. What was seen fades
        by a tenth with every call."""
        before = self.takes_ns
        self.takes_ns = max(self.matcher.waited_ns(now_ns), before - before // 10 - 1, 0)
        return self.takes_ns != before

    def next_slot(self) -> int:
        """A slot to send on, -1 when there is none."""
        if not self.ready:
            return -1
        self.turn = (self.turn + 1) % len(self.ready)
        return self.ready[self.turn]

    def refresh(self) -> bool:
        """Recomputes `ready`; True when the bank has become reachable by it."""
        before = bool(self.ready)
        usable = [
            (slot, link)
            for slot, link in self.connections.items()
            if link.open
            and link.writable
            and link.fit
            and not link.leaving
            and self.hold is Hold.NONE
        ]
        self.ready = [slot for slot, _ in usable]
        self.tallies = [link.tally for _, link in usable]
        self.serving = self.ready if self.circuit.state is not CircuitState.OPEN else []
        limit = self.in_flight_max
        if usable and all(link.on_trial for _, link in usable):
            limit = min(limit, len(self.matcher.in_flight) + TRIAL_REQUESTS * len(usable))
        if self.circuit.state is CircuitState.HALF_OPEN:
            limit = min(limit, self.matcher.earlier() + self.circuit.rules.probes)
        self.matcher.in_flight_max = limit
        return bool(self.ready) and not before

    def judge(self, now_ns: int, jitter: float) -> bool:
        """Looks at the bank as a whole; True when the circuit came into another state. Called from
        the timer."""
        circuit = self.circuit
        if self.hold is not Hold.NONE:
            circuit.rest(now_ns)
            return False
        failed = self.matcher.failed_since
        if not circuit.tick(now_ns, self.totals(), failed, jitter, up=bool(self.ready)):
            if circuit.state is CircuitState.HALF_OPEN:
                self.refresh()
            return False
        if circuit.state is CircuitState.HALF_OPEN:
            self.matcher.mark()
        self.refresh()
        return True

    def totals(self) -> Totals:
        """What became of its requests since the start."""
        answered = sum(link.tally.answered for link in self.connections.values())
        answered += self.answered_before - self.unusable
        return Totals(answered, self.matcher.failed)

    def left(self, link: "Connection") -> None:
        """A connection has gone; what it did counts on."""
        self.answered_before += link.tally.answered

    def signed_on(self) -> int:
        """How many connections carry financial traffic, readable peer or not."""
        return sum(connection.open for connection in self.connections.values())
