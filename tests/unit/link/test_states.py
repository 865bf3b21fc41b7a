"""The link's table is total, and the session walks every cell of it that is not impossible."""

from collections.abc import Callable, Iterator

import pytest

from switch.link.session import (
    AnswerNetwork,
    Disconnect,
    Echoed,
    EchoMissed,
    LinkAction,
    Opened,
    RefuseRequest,
    Role,
    Rules,
    SendNetwork,
    Session,
    Shut,
)
from switch.link.states import IMPOSSIBLE, TABLE, Act, Ignored, Input, LinkState, To
from switch.link.window import Window
from tests.support.message import PURCHASE, message

_MS = 1_000_000
_CELLS = [
    (state, what)
    for state, row in TABLE.items()
    for what, cell in row.items()
    if cell is not IMPOSSIBLE
]


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(LinkState)
    for row in TABLE.values():
        assert set(row) == set(Input)


def test_a_link_is_open_in_two_states_and_says_when_that_changes() -> None:
    """OPEN and SHUT come exactly where a transition enters or leaves these states."""
    opened = {LinkState.SIGNED_ON, LinkState.ECHOING}
    for state, row in TABLE.items():
        for what, cell in row.items():
            if not isinstance(cell, To):
                continue
            enters = state not in opened and cell.state in opened
            leaves = state in opened and cell.state not in opened
            assert (Act.OPEN in cell.acts) is enters, (state, what)
            assert (Act.SHUT in cell.acts) is leaves, (state, what)


def test_requests_pass_in_open_states_only() -> None:
    for state in set(LinkState) - {LinkState.FRESH, LinkState.CLOSED}:
        cell = TABLE[state][Input.REQUEST_CAME]
        assert isinstance(cell, To)
        passes = state in {LinkState.SIGNED_ON, LinkState.ECHOING}
        assert cell.acts == ((Act.PASS,) if passes else (Act.REFUSE,))


class Walk:
    """Brings a session into a state, then gives it an input, with real messages and timers only."""

    def __init__(self, role: Role = Role.ISSUER) -> None:
        self.role = role
        self.now_ns = 1_000 * _MS
        self.session = self.made(sign_on=True)

    def made(self, *, sign_on: bool) -> Session:
        rules = Rules(self.role, sign_on=sign_on, echo_idle_ms=10_000, reply_timeout_ms=2_000)
        return Session(rules, Window(1_000, 7))

    def network(self, mti: str, **fields: str) -> list[LinkAction]:
        base = {"transmission_time": "1123170000", "stan": "000042"}
        return self.session.network(message(mti, base | fields), self.now_ns, 1_795_456_800, 0.0)

    def answered(self, code: str) -> list[LinkAction]:
        """The peer answers what we sent last."""
        return self.network(
            "0810",
            stan=f"{self.sent.stan:06d}",
            transmission_time=self.sent.time,
            response_code=code,
            network_code=self.sent.network_code,
        )

    def tick(self, ms: int) -> list[LinkAction]:
        self.now_ns += ms * _MS
        return self.kept(self.session.tick(self.now_ns, 1_795_456_800, 0.0))

    def kept(self, actions: list[LinkAction]) -> list[LinkAction]:
        for action in actions:
            if isinstance(action, SendNetwork):
                self.sent = action
        return actions

    def connect(self) -> list[LinkAction]:
        return self.kept(self.session.connected(self.now_ns, 1_795_456_800))

    def into(self, state: LinkState) -> None:
        """From FRESH, by events that really happen."""
        steps: dict[LinkState, Callable[[], object]] = {
            LinkState.FRESH: lambda: None,
            LinkState.WAITING: self.connect,
            LinkState.SIGNING_ON: self.connect,
            LinkState.RETRYING: lambda: (self.connect(), self.answered("96")),
            LinkState.SIGNED_ON: lambda: (self.connect(), self.answered("00")),
            LinkState.ECHOING: lambda: (self.connect(), self.answered("00"), self.tick(10_000)),
            LinkState.SIGNED_OFF: lambda: (
                self.connect(),
                self.answered("00"),
                self.network("0800", network_code="002"),
            ),
            LinkState.SIGNING_OFF: lambda: (
                self.connect(),
                self.answered("00"),
                self.kept(self.session.close(self.now_ns, 1_795_456_800)),
            ),
            LinkState.RESTING: lambda: (self.connect(), self.answered("00"), self.rest()),
            LinkState.HELD: lambda: (
                self.connect(),
                self.answered("00"),
                self.rest(),
                self.answered("00"),
            ),
            LinkState.CLOSED: lambda: (
                self.connect(),
                self.session.lost(self.now_ns, 1_795_456_800),
            ),
        }
        if state is LinkState.WAITING:
            self.role = Role.ACQUIRER
            self.session = self.made(sign_on=True)
        steps[state]()
        assert self.session.state is state

    def give(self, what: Input) -> list[LinkAction]:
        """One input."""
        session, now_s = self.session, 1_795_456_800
        if what in (Input.CONNECTED_OPEN, Input.CONNECTED_WAIT):
            self.role = Role.ACQUIRER
            self.session = self.made(sign_on=what is Input.CONNECTED_WAIT)
            return self.connect()
        if what is Input.CLOSE_WANTED and session.state is not LinkState.FRESH:
            session._rules = Rules(Role.ACQUIRER)
        if what is Input.ECHO_MISSED:
            session._rules = Rules(Role.ISSUER, watched=True)
        if what is Input.ALIVE:
            self.now_ns += 1
            session.heard_ns = self.now_ns
        gives: dict[Input, Callable[[], list[LinkAction]]] = {
            Input.CONNECTED_SIGN: self.connect,
            Input.PEER_SIGNED_ON: lambda: self.network("0800", network_code="001"),
            Input.PEER_SIGNED_OFF: lambda: self.network("0800", network_code="002"),
            Input.PEER_ECHOED: lambda: self.network("0800", network_code="301"),
            Input.PEER_ODD: lambda: self.network("0800", network_code="999"),
            Input.REPLY_APPROVED: lambda: self.answered("00"),
            Input.REPLY_REFUSED: lambda: self.answered("96"),
            Input.REPLY_STRANGE: lambda: self.network("0810", response_code="00"),
            Input.OVERDUE: lambda: self.tick(60_000),
            Input.RETRY_DUE: lambda: self.tick(60_000),
            Input.IDLE: lambda: self.tick(10_000),
            Input.ALIVE: lambda: self.tick(0),
            Input.REQUEST_CAME: self.request,
            Input.SIGN_OFF_WANTED: lambda: session.close(self.now_ns, now_s),
            Input.CLOSE_WANTED: lambda: session.close(self.now_ns, now_s),
            Input.LOST: lambda: session.lost(self.now_ns, now_s),
            Input.CONNECTED_HELD: lambda: session.connected(self.now_ns, now_s, held=True),
            Input.ECHO_WANTED: lambda: session.echo(self.now_ns, now_s),
            Input.ECHO_MISSED: lambda: self.tick(60_000),
            Input.SIGN_ON_WANTED: lambda: session.sign_on(self.now_ns, now_s),
            Input.REST_WANTED: self.rest,
        }
        return self.kept(gives[what]())

    def rest(self) -> list[LinkAction]:
        return self.kept(self.session.rest(self.now_ns, 1_795_456_800))

    def request(self) -> list[LinkAction]:
        self.session._rules = Rules(Role.ACQUIRER)
        return self.session.request(message("0200", PURCHASE), self.now_ns, 1_795_456_800)


def _wanted(acts: tuple[Act, ...]) -> Iterator[tuple[type, str]]:
    for act in acts:
        match act:
            case Act.SIGN_ON:
                yield SendNetwork, "001"
            case Act.SIGN_OFF:
                yield SendNetwork, "002"
            case Act.ECHO:
                yield SendNetwork, "301"
            case Act.ANSWER:
                yield AnswerNetwork, "00"
            case Act.ANSWER_ODD:
                yield AnswerNetwork, "12"
            case Act.OPEN:
                yield Opened, ""
            case Act.SHUT:
                yield Shut, ""
            case Act.REFUSE:
                yield RefuseRequest, "91"
            case Act.DISCONNECT:
                yield Disconnect, ""
            case Act.ECHOED:
                yield Echoed, ""
            case Act.MISSED:
                yield EchoMissed, ""
            case _:
                pass


def _seen(action: LinkAction) -> tuple[type, str]:
    match action:
        case SendNetwork(network_code=code):
            return SendNetwork, code
        case AnswerNetwork(_, code) | RefuseRequest(_, code, _):
            return type(action), code
        case _:
            return type(action), ""


@pytest.mark.parametrize(("state", "what"), _CELLS, ids=lambda value: value.name)
def test_the_session_walks_the_cell(state: LinkState, what: Input) -> None:
    walk = Walk()
    walk.into(state)
    actions = walk.give(what)
    cell = TABLE[state][what]
    if isinstance(cell, Ignored):
        assert walk.session.state is state
        assert not any(isinstance(action, SendNetwork | AnswerNetwork) for action in actions)
        return
    assert isinstance(cell, To)
    assert walk.session.state is cell.state
    counted = [_seen(action) for action in actions if type(action).__name__ != "Count"]
    assert counted == list(_wanted(cell.acts))
    assert any(type(action).__name__ == "Count" for action in actions) is (Act.COUNT in cell.acts)
    assert walk.session.open is (cell.state in {LinkState.SIGNED_ON, LinkState.ECHOING})
