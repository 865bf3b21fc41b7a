"""One connection's session, sans-IO: messages and timers in, actions out.

The driver asks `open` before it hands a financial request to the engine, sets `heard_ns` once per
chunk, and runs the returned actions in order. Clock values, jitter and numbers come in as
arguments; nothing here sends.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from switch.link.backoff import delay_ms
from switch.link.states import TABLE, Act, Cell, Ignored, Input, LinkState, To
from switch.model.kind import Kind
from switch.model.response import APPROVED, INVALID_TRANSACTION, NOT_SIGNED_ON

if TYPE_CHECKING:
    from switch.wire import Message

__all__ = [
    "ECHO",
    "SIGN_OFF",
    "SIGN_ON",
    "AnswerNetwork",
    "Count",
    "Disconnect",
    "EchoMissed",
    "Echoed",
    "LinkAction",
    "Numbers",
    "Opened",
    "RefuseRequest",
    "Role",
    "Rules",
    "SendNetwork",
    "Session",
    "Shut",
]

SIGN_ON: Final = "001"
SIGN_OFF: Final = "002"
ECHO: Final = "301"

_MS: Final = 1_000_000


@unique
class Role(IntEnum):
    """What the peer is."""

    ACQUIRER = 0
    """It sends requests, and signs on to us where the link has a sign-on."""
    ISSUER = 1
    """It answers requests, and we sign on to it where the link has a sign-on."""


class Rules(msgspec.Struct, frozen=True):
    """A link's settings, in plain values."""

    role: Role
    sign_on: bool = True
    echo_idle_ms: int = 0
    """Silence after which we send an echo; 0: never."""
    reply_timeout_ms: int = 5_000
    """How long an 0800 of ours may stay unanswered."""
    sign_on_wait_ms: int = 60_000
    """How long a peer that must sign on may stay connected without."""
    retry_min_ms: int = 1_000
    retry_max_ms: int = 30_000
    """Delay between sign-ons that are refused or not answered."""
    watched: bool = False
    """An echo that is not answered ends nothing here: `link.health` judges the link."""


class Numbers(Protocol):
    """Where our 0800 get their STAN and transmission time: the institution's `Matcher` or
    `Window`."""

    def number(self, now_s: int) -> tuple[int, str]: ...


class SendNetwork(msgspec.Struct, frozen=True):
    """Mark the number in the journal, then send this 0800."""

    network_code: str
    stan: int
    time: str
    mti: str = "0800"


class AnswerNetwork(msgspec.Struct, frozen=True):
    """Answer the peer's network management message."""

    message: Message
    code: str


class RefuseRequest(msgspec.Struct, frozen=True):
    """Refuse a request of the peer; touches no state."""

    message: Message
    code: str
    reason: str


class Opened(msgspec.Struct, frozen=True):
    """Financial traffic may pass on this connection."""


class Shut(msgspec.Struct, frozen=True):
    """Financial traffic may not pass any longer."""


class Disconnect(msgspec.Struct, frozen=True):
    """Close the connection once what was handed to it has gone."""

    reason: str


class Count(msgspec.Struct, frozen=True):
    """Count something odd."""

    what: str


class Echoed(msgspec.Struct, frozen=True):
    """Our echo was answered, so long after it was handed to the gate."""

    took_ns: int


class EchoMissed(msgspec.Struct, frozen=True):
    """Our echo was not answered in time."""


LinkAction = (
    SendNetwork | AnswerNetwork | RefuseRequest | Opened | Shut | Disconnect | Count | Echoed
    | EchoMissed
)  # fmt: skip


class Session:
    """State of one connection."""

    __slots__ = (
        "_asked",
        "_due_ns",
        "_numbers",
        "_pending",
        "_retries",
        "_rules",
        "_sent_ns",
        "heard_ns",
        "open",
        "state",
    )

    def __init__(self, rules: Rules, numbers: Numbers) -> None:
        self._rules = rules
        self._numbers = numbers
        self.state = LinkState.FRESH
        self.open = False
        """Financial requests may pass; a plain attribute because every message asks."""
        self.heard_ns = 0
        """Monotonic time of the last bytes from the peer; the driver sets it."""
        self._pending: tuple[str, int, str] | None = None
        self._sent_ns = 0
        self._due_ns = 0
        self._retries = 0
        self._asked = False
        """Whoever asked for the echo wants its own answer, not any sign of life."""

    def adopt(self, rules: Rules) -> None:
        """Other intervals from the next tick on. Role and sign-on are those of the connection:
        another one needs another connection."""
        assert (rules.role, rules.sign_on) == (self._rules.role, self._rules.sign_on)
        self._rules = rules

    def connected(self, now_ns: int, now_s: int, held: bool = False) -> list[LinkAction]:
        """The connection stands. `held`: an operator wants the institution signed off."""
        self.heard_ns = now_ns
        rules = self._rules
        if held:
            return self._step(Input.CONNECTED_HELD, now_ns, now_s)
        if not rules.sign_on:
            return self._step(Input.CONNECTED_OPEN, now_ns, now_s)
        if rules.role is Role.ISSUER:
            return self._step(Input.CONNECTED_SIGN, now_ns, now_s)
        self._due_ns = now_ns + rules.sign_on_wait_ms * _MS
        return self._step(Input.CONNECTED_WAIT, now_ns, now_s)

    def network(self, message: Message, now_ns: int, now_s: int, jitter: float) -> list[LinkAction]:
        """A network management message (kind NETWORK) or an answer to one (NETWORK_REPLY)."""
        if message.kind == Kind.NETWORK_REPLY:
            return self._step(self._reply(message), now_ns, now_s, message, jitter)
        code = message.get("network_code")
        if code == SIGN_ON:
            what = Input.PEER_SIGNED_ON
        elif code == SIGN_OFF:
            what = Input.PEER_SIGNED_OFF
        elif code == ECHO:
            what = Input.PEER_ECHOED
        else:
            what = Input.PEER_ODD
        return self._step(what, now_ns, now_s, message, jitter)

    def request(self, message: Message, now_ns: int, now_s: int) -> list[LinkAction]:
        """A financial request that came while `open` is False, or from a bank; empty when it may
        pass."""
        if self._rules.role is Role.ISSUER and self.state is not LinkState.CLOSED:
            return [RefuseRequest(message, INVALID_TRANSACTION, "a bank sends no requests here")]
        return self._step(Input.REQUEST_CAME, now_ns, now_s, message)

    def tick(self, now_ns: int, now_s: int, jitter: float) -> list[LinkAction]:
        """Timers; call every 50 to 1000 ms. `jitter` in [0, 1)."""
        state = self.state
        if state is LinkState.SIGNED_ON:
            idle_ms = self._rules.echo_idle_ms
            if idle_ms and now_ns - self.heard_ns >= idle_ms * _MS:
                return self._step(Input.IDLE, now_ns, now_s)
            return []
        heard = self.heard_ns > self._sent_ns
        if state is LinkState.ECHOING and heard and not self._asked:
            self._pending = None
            return self._step(Input.ALIVE, now_ns, now_s)
        if not self._due_ns or now_ns < self._due_ns:
            return []
        self._due_ns = 0
        if state is LinkState.RETRYING:
            return self._step(Input.RETRY_DUE, now_ns, now_s)
        self._pending = None
        if state is LinkState.ECHOING and (heard or self._rules.watched):
            return self._step(Input.ECHO_MISSED, now_ns, now_s)
        return self._step(Input.OVERDUE, now_ns, now_s, jitter=jitter)

    def echo(
        self, now_ns: int, now_s: int, within_ms: int = 0, *, asked: bool = False
    ) -> list[LinkAction]:
        """Tests the line now, where it is signed on and no test is under way.

        `within_ms`: limit for the answer, 0 the usual one. `asked`: only the answer itself ends the
        test; otherwise any sign of life does.
        """
        before = self.state
        actions = self._step(Input.ECHO_WANTED, now_ns, now_s)
        if before is LinkState.SIGNED_ON and within_ms:
            self._due_ns = now_ns + within_ms * _MS
        self._asked = self._asked or asked
        return actions

    def sign_on(self, now_ns: int, now_s: int) -> list[LinkAction]:
        """An operator's order, on a link that we sign on to."""
        return self._step(Input.SIGN_ON_WANTED, now_ns, now_s)

    def rest(self, now_ns: int, now_s: int) -> list[LinkAction]:
        """An operator's order, on a link that we sign on to: sign off and stay connected."""
        return self._step(Input.REST_WANTED, now_ns, now_s)

    def close(self, now_ns: int, now_s: int) -> list[LinkAction]:
        """We end the link: with a sign-off where we signed on."""
        rules = self._rules
        ours = rules.sign_on and rules.role is Role.ISSUER and self.state is not LinkState.FRESH
        what = Input.SIGN_OFF_WANTED if ours else Input.CLOSE_WANTED
        return self._step(what, now_ns, now_s)

    def lost(self, now_ns: int, now_s: int) -> list[LinkAction]:
        """The connection has gone."""
        return self._step(Input.LOST, now_ns, now_s)

    def _reply(self, message: Message) -> Input:
        """Which input an 0810 is; a match ends what was pending."""
        pending = self._pending
        if (
            pending is None
            or message.mti != "0810"
            or message.stan != pending[1]
            or message.get("transmission_time") != pending[2]
            or message.get("network_code") not in (pending[0], None)
        ):
            return Input.REPLY_STRANGE
        self._pending = None
        self._due_ns = 0
        if message.get("response_code") == APPROVED:
            return Input.REPLY_APPROVED
        return Input.REPLY_REFUSED

    def _step(
        self,
        what: Input,
        now_ns: int,
        now_s: int,
        message: Message | None = None,
        jitter: float = 0.0,
    ) -> list[LinkAction]:
        """Moves along the table and turns the acts of the cell into actions."""
        before = self.state
        cell = TABLE[before][what]
        if not isinstance(cell, To):
            return [Count(_why_nothing(before, cell))]
        self.state = cell.state
        if cell.state is not before and cell.state in _QUIET:
            self._pending = None
            self._due_ns = 0
        actions: list[LinkAction] = []
        for act in cell.acts:
            self._act(act, what, now_ns, now_s, message, jitter, actions)
        return actions

    def _act(
        self,
        act: Act,
        what: Input,
        now_ns: int,
        now_s: int,
        message: Message | None,
        jitter: float,
        actions: list[LinkAction],
    ) -> None:
        match act:
            case Act.SIGN_ON:
                actions.append(self._send(SIGN_ON, now_ns, now_s))
            case Act.SIGN_OFF:
                actions.append(self._send(SIGN_OFF, now_ns, now_s))
            case Act.ECHO:
                self._asked = False
                actions.append(self._send(ECHO, now_ns, now_s))
            case Act.ECHOED:
                actions.append(Echoed(now_ns - self._sent_ns))
            case Act.MISSED:
                actions.append(EchoMissed())
            case Act.ANSWER if message is not None:
                actions.append(AnswerNetwork(message, APPROVED))
            case Act.ANSWER_ODD if message is not None:
                actions.append(AnswerNetwork(message, INVALID_TRANSACTION))
            case Act.OPEN:
                self.open = True
                self._retries = 0
                actions.append(Opened())
            case Act.SHUT:
                self.open = False
                actions.append(Shut())
            case Act.REFUSE if message is not None:
                actions.append(RefuseRequest(message, NOT_SIGNED_ON, "not signed on"))
            case Act.RETRY_LATER:
                rules = self._rules
                wait = delay_ms(self._retries, rules.retry_min_ms, rules.retry_max_ms, jitter)
                self._retries += 1
                self._due_ns = now_ns + wait * _MS
            case Act.DISCONNECT:
                actions.append(Disconnect(what.name.lower()))
            case Act.COUNT:
                actions.append(Count(what.name.lower()))

    def _send(self, network_code: str, now_ns: int, now_s: int) -> SendNetwork:
        """An 0800 of ours; from now on its answer is pending."""
        stan, time = self._numbers.number(now_s)
        self._pending = (network_code, stan, time)
        self._sent_ns = now_ns
        self._due_ns = now_ns + self._rules.reply_timeout_ms * _MS
        return SendNetwork(network_code, stan, time)


_QUIET: Final = frozenset(
    {
        LinkState.SIGNED_ON,
        LinkState.SIGNED_OFF,
        LinkState.RETRYING,
        LinkState.CLOSED,
        LinkState.HELD,
    }
)
"""States on whose entry nothing is pending any more."""


def _why_nothing(state: LinkState, cell: Cell) -> str:
    if state is LinkState.CLOSED:
        return "closed"
    return "ignored" if isinstance(cell, Ignored) else "impossible"
