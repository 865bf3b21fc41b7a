"""The life of one link: states, and one total table (state x input).

Every cell is a transition (`To`, with what to do), an explicit `Ignored` with its reason, or
`IMPOSSIBLE`. All session logic is here; `session.py` turns messages and timers into inputs and acts
into actions. The table does not know whether the peer is an acquirer or a bank: that decides only
which of the three ways a connection begins (peer signs on, we sign on, no sign-on) and how it is
closed.

What the table cannot say: answers of a bank pass in every connected state, because they end what
was sent while it was signed on. A connection that was lost is never used again; a new one starts
FRESH.

Source: ISO 8583:1987 network management, field 70: 001 sign-on, 002 sign-off, 301 echo.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

import msgspec

__all__ = [
    "IMPOSSIBLE",
    "TABLE",
    "Act",
    "Cell",
    "Ignored",
    "Impossible",
    "Input",
    "LinkState",
    "To",
]


@unique
class LinkState(IntEnum):
    """Where a link is."""

    FRESH = 0
    """No connection yet."""
    WAITING = 1
    """The peer must sign on."""
    SIGNING_ON = 2
    """Our 0800 001 is unanswered."""
    RETRYING = 3
    """It was refused or not answered; we wait before the next."""
    SIGNED_ON = 4
    """Financial traffic passes."""
    ECHOING = 5
    """The same, and our 0800 301 is unanswered."""
    SIGNED_OFF = 6
    """The peer signed off and stays connected."""
    SIGNING_OFF = 7
    """Our 0800 002 is unanswered."""
    CLOSED = 8
    RESTING = 9
    """An operator signs us off: our 0800 002 is unanswered, the connection stays."""
    HELD = 10
    """Signed off by an operator until another order, whatever the peer wants."""


@unique
class Input(IntEnum):
    """What can happen to a link."""

    CONNECTED_WAIT = 0
    """Connected; the peer signs on."""
    CONNECTED_SIGN = 1
    """Connected; we sign on."""
    CONNECTED_OPEN = 2
    """Connected; this link has no sign-on."""
    PEER_SIGNED_ON = 3
    PEER_SIGNED_OFF = 4
    PEER_ECHOED = 5
    PEER_ODD = 6
    """Network management of a kind that we do not know."""
    REPLY_APPROVED = 7
    """The answer to our own 0800, code 00."""
    REPLY_REFUSED = 8
    """The answer to our own 0800, any other code."""
    REPLY_STRANGE = 9
    """An 0810 that answers nothing of ours."""
    OVERDUE = 10
    """What we wait for did not come in time."""
    RETRY_DUE = 11
    IDLE = 12
    """Nothing was heard for as long as the setting says."""
    ALIVE = 13
    """Something else was heard while our echo is unanswered."""
    REQUEST_CAME = 14
    SIGN_OFF_WANTED = 15
    """We end a link on which we signed on."""
    CLOSE_WANTED = 16
    """We end any other link."""
    LOST = 17
    CONNECTED_HELD = 18
    """Connected while an operator wants the institution signed off."""
    ECHO_WANTED = 19
    """An operator asks, or the link is under suspicion."""
    ECHO_MISSED = 20
    """Our echo was not answered in time, and the link is not given up for it: somebody else judges,
    or other things were heard."""
    SIGN_ON_WANTED = 21
    """An operator's order."""
    REST_WANTED = 22
    """An operator's order: sign off and stay connected."""


@unique
class Act(IntEnum):
    """What a transition does."""

    SIGN_ON = 0
    SIGN_OFF = 1
    ECHO = 2
    ANSWER = 3
    """Answer the peer's 0800 with 00."""
    ANSWER_ODD = 4
    """Answer the peer's 0800 with 12."""
    OPEN = 5
    """Financial traffic may pass from now on."""
    SHUT = 6
    """Financial traffic may not pass any longer."""
    PASS = 7
    REFUSE = 8
    """Refuse the request: not signed on."""
    RETRY_LATER = 9
    DISCONNECT = 10
    COUNT = 11
    ECHOED = 12
    """Tell how long the answer to our echo took."""
    MISSED = 13
    """Tell that our echo was not answered in time."""


class To(msgspec.Struct, frozen=True):
    """A transition and what it does, in order."""

    state: LinkState
    acts: tuple[Act, ...] = ()


class Ignored(msgspec.Struct, frozen=True):
    """The input changes nothing."""

    reason: str


class Impossible(msgspec.Struct, frozen=True):
    """The input cannot come in this state unless we have a bug."""


Cell = To | Ignored | Impossible

IMPOSSIBLE: Final = Impossible()
_GONE: Final = Ignored("the link is closed")
_UNTESTED: Final = Ignored("not signed on: the next sign-on tells more than an echo")

TABLE: Final[Mapping[LinkState, Mapping[Input, Cell]]] = {
    LinkState.FRESH: {
        Input.CONNECTED_WAIT: To(LinkState.WAITING),
        Input.CONNECTED_SIGN: To(LinkState.SIGNING_ON, (Act.SIGN_ON,)),
        Input.CONNECTED_OPEN: To(LinkState.SIGNED_ON, (Act.OPEN,)),
        Input.PEER_SIGNED_ON: IMPOSSIBLE,
        Input.PEER_SIGNED_OFF: IMPOSSIBLE,
        Input.PEER_ECHOED: IMPOSSIBLE,
        Input.PEER_ODD: IMPOSSIBLE,
        Input.REPLY_APPROVED: IMPOSSIBLE,
        Input.REPLY_REFUSED: IMPOSSIBLE,
        Input.REPLY_STRANGE: IMPOSSIBLE,
        Input.OVERDUE: IMPOSSIBLE,
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: IMPOSSIBLE,
        Input.SIGN_OFF_WANTED: IMPOSSIBLE,
        Input.CLOSE_WANTED: To(LinkState.CLOSED),
        Input.LOST: IMPOSSIBLE,
        Input.CONNECTED_HELD: To(LinkState.HELD),
        Input.ECHO_WANTED: IMPOSSIBLE,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: IMPOSSIBLE,
        Input.REST_WANTED: IMPOSSIBLE,
    },
    LinkState.WAITING: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: To(LinkState.SIGNED_ON, (Act.ANSWER, Act.OPEN)),
        Input.PEER_SIGNED_OFF: To(LinkState.WAITING, (Act.ANSWER,)),
        Input.PEER_ECHOED: To(LinkState.WAITING, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.WAITING, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: IMPOSSIBLE,
        Input.REPLY_REFUSED: IMPOSSIBLE,
        Input.REPLY_STRANGE: To(LinkState.WAITING, (Act.COUNT,)),
        Input.OVERDUE: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.WAITING, (Act.REFUSE,)),
        Input.SIGN_OFF_WANTED: IMPOSSIBLE,
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.LOST: To(LinkState.CLOSED),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _UNTESTED,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: IMPOSSIBLE,
        Input.REST_WANTED: IMPOSSIBLE,
    },
    LinkState.SIGNING_ON: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        # The peer's own sign-on is answered, but its answer to ours decides.
        Input.PEER_SIGNED_ON: To(LinkState.SIGNING_ON, (Act.ANSWER,)),
        Input.PEER_SIGNED_OFF: To(LinkState.SIGNED_OFF, (Act.ANSWER,)),
        Input.PEER_ECHOED: To(LinkState.SIGNING_ON, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.SIGNING_ON, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: To(LinkState.SIGNED_ON, (Act.OPEN,)),
        Input.REPLY_REFUSED: To(LinkState.RETRYING, (Act.RETRY_LATER,)),
        Input.REPLY_STRANGE: To(LinkState.SIGNING_ON, (Act.COUNT,)),
        Input.OVERDUE: To(LinkState.RETRYING, (Act.RETRY_LATER,)),
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.SIGNING_ON, (Act.REFUSE,)),
        Input.SIGN_OFF_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.LOST: To(LinkState.CLOSED),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _UNTESTED,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: Ignored("under way already"),
        Input.REST_WANTED: To(LinkState.RESTING, (Act.SIGN_OFF,)),
    },
    LinkState.RETRYING: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        # It is awake: no need to wait for the timer.
        Input.PEER_SIGNED_ON: To(LinkState.SIGNING_ON, (Act.ANSWER, Act.SIGN_ON)),
        Input.PEER_SIGNED_OFF: To(LinkState.SIGNED_OFF, (Act.ANSWER,)),
        Input.PEER_ECHOED: To(LinkState.RETRYING, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.RETRYING, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: IMPOSSIBLE,
        Input.REPLY_REFUSED: IMPOSSIBLE,
        Input.REPLY_STRANGE: To(LinkState.RETRYING, (Act.COUNT,)),
        Input.OVERDUE: IMPOSSIBLE,
        Input.RETRY_DUE: To(LinkState.SIGNING_ON, (Act.SIGN_ON,)),
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.RETRYING, (Act.REFUSE,)),
        Input.SIGN_OFF_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.LOST: To(LinkState.CLOSED),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _UNTESTED,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: To(LinkState.SIGNING_ON, (Act.SIGN_ON,)),
        Input.REST_WANTED: To(LinkState.HELD),
    },
    LinkState.SIGNED_ON: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: To(LinkState.SIGNED_ON, (Act.ANSWER,)),
        Input.PEER_SIGNED_OFF: To(LinkState.SIGNED_OFF, (Act.ANSWER, Act.SHUT)),
        Input.PEER_ECHOED: To(LinkState.SIGNED_ON, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.SIGNED_ON, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: IMPOSSIBLE,
        Input.REPLY_REFUSED: IMPOSSIBLE,
        Input.REPLY_STRANGE: To(LinkState.SIGNED_ON, (Act.COUNT,)),
        Input.OVERDUE: IMPOSSIBLE,
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: To(LinkState.ECHOING, (Act.ECHO,)),
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.SIGNED_ON, (Act.PASS,)),
        Input.SIGN_OFF_WANTED: To(LinkState.SIGNING_OFF, (Act.SHUT, Act.SIGN_OFF)),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.SHUT, Act.DISCONNECT)),
        Input.LOST: To(LinkState.CLOSED, (Act.SHUT,)),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: To(LinkState.ECHOING, (Act.ECHO,)),
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: Ignored("signed on already"),
        Input.REST_WANTED: To(LinkState.RESTING, (Act.SHUT, Act.SIGN_OFF)),
    },
    LinkState.ECHOING: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: To(LinkState.ECHOING, (Act.ANSWER,)),
        Input.PEER_SIGNED_OFF: To(LinkState.SIGNED_OFF, (Act.ANSWER, Act.SHUT)),
        Input.PEER_ECHOED: To(LinkState.ECHOING, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.ECHOING, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: To(LinkState.SIGNED_ON, (Act.ECHOED,)),
        # Whatever the code, somebody is there.
        Input.REPLY_REFUSED: To(LinkState.SIGNED_ON, (Act.ECHOED, Act.COUNT)),
        Input.REPLY_STRANGE: To(LinkState.ECHOING, (Act.COUNT,)),
        Input.OVERDUE: To(LinkState.CLOSED, (Act.SHUT, Act.DISCONNECT)),
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: To(LinkState.SIGNED_ON),
        Input.REQUEST_CAME: To(LinkState.ECHOING, (Act.PASS,)),
        Input.SIGN_OFF_WANTED: To(LinkState.SIGNING_OFF, (Act.SHUT, Act.SIGN_OFF)),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.SHUT, Act.DISCONNECT)),
        Input.LOST: To(LinkState.CLOSED, (Act.SHUT,)),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: Ignored("under way already"),
        Input.ECHO_MISSED: To(LinkState.SIGNED_ON, (Act.MISSED,)),
        Input.SIGN_ON_WANTED: Ignored("signed on already"),
        Input.REST_WANTED: To(LinkState.RESTING, (Act.SHUT, Act.SIGN_OFF)),
    },
    LinkState.SIGNED_OFF: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: To(LinkState.SIGNED_ON, (Act.ANSWER, Act.OPEN)),
        Input.PEER_SIGNED_OFF: To(LinkState.SIGNED_OFF, (Act.ANSWER,)),
        Input.PEER_ECHOED: To(LinkState.SIGNED_OFF, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.SIGNED_OFF, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: IMPOSSIBLE,
        Input.REPLY_REFUSED: IMPOSSIBLE,
        Input.REPLY_STRANGE: To(LinkState.SIGNED_OFF, (Act.COUNT,)),
        Input.OVERDUE: IMPOSSIBLE,
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.SIGNED_OFF, (Act.REFUSE,)),
        Input.SIGN_OFF_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.LOST: To(LinkState.CLOSED),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _UNTESTED,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: To(LinkState.SIGNING_ON, (Act.SIGN_ON,)),
        Input.REST_WANTED: To(LinkState.HELD),
    },
    LinkState.SIGNING_OFF: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: To(LinkState.SIGNING_OFF, (Act.ANSWER_ODD,)),
        Input.PEER_SIGNED_OFF: To(LinkState.SIGNING_OFF, (Act.ANSWER,)),
        Input.PEER_ECHOED: To(LinkState.SIGNING_OFF, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.SIGNING_OFF, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.REPLY_REFUSED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.REPLY_STRANGE: To(LinkState.SIGNING_OFF, (Act.COUNT,)),
        Input.OVERDUE: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.SIGNING_OFF, (Act.REFUSE,)),
        Input.SIGN_OFF_WANTED: Ignored("on its way already"),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.LOST: To(LinkState.CLOSED),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _UNTESTED,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: Ignored("on its way out"),
        Input.REST_WANTED: Ignored("on its way out"),
    },
    # The peer's wishes do not undo an operator's.
    LinkState.RESTING: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: To(LinkState.RESTING, (Act.ANSWER_ODD,)),
        Input.PEER_SIGNED_OFF: To(LinkState.RESTING, (Act.ANSWER,)),
        Input.PEER_ECHOED: To(LinkState.RESTING, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.RESTING, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: To(LinkState.HELD),
        Input.REPLY_REFUSED: To(LinkState.HELD, (Act.COUNT,)),
        Input.REPLY_STRANGE: To(LinkState.RESTING, (Act.COUNT,)),
        Input.OVERDUE: To(LinkState.HELD, (Act.COUNT,)),
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.RESTING, (Act.REFUSE,)),
        Input.SIGN_OFF_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.LOST: To(LinkState.CLOSED),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _UNTESTED,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: To(LinkState.SIGNING_ON, (Act.SIGN_ON,)),
        Input.REST_WANTED: Ignored("under way already"),
    },
    LinkState.HELD: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: To(LinkState.HELD, (Act.ANSWER_ODD,)),
        Input.PEER_SIGNED_OFF: To(LinkState.HELD, (Act.ANSWER,)),
        Input.PEER_ECHOED: To(LinkState.HELD, (Act.ANSWER,)),
        Input.PEER_ODD: To(LinkState.HELD, (Act.ANSWER_ODD,)),
        Input.REPLY_APPROVED: IMPOSSIBLE,
        Input.REPLY_REFUSED: IMPOSSIBLE,
        Input.REPLY_STRANGE: To(LinkState.HELD, (Act.COUNT,)),
        Input.OVERDUE: IMPOSSIBLE,
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: To(LinkState.HELD, (Act.REFUSE,)),
        Input.SIGN_OFF_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.CLOSE_WANTED: To(LinkState.CLOSED, (Act.DISCONNECT,)),
        Input.LOST: To(LinkState.CLOSED),
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _UNTESTED,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: To(LinkState.SIGNING_ON, (Act.SIGN_ON,)),
        Input.REST_WANTED: Ignored("signed off already"),
    },
    # Bytes that were read before the connection was closed may still be handed in.
    LinkState.CLOSED: {
        Input.CONNECTED_WAIT: IMPOSSIBLE,
        Input.CONNECTED_SIGN: IMPOSSIBLE,
        Input.CONNECTED_OPEN: IMPOSSIBLE,
        Input.PEER_SIGNED_ON: _GONE,
        Input.PEER_SIGNED_OFF: _GONE,
        Input.PEER_ECHOED: _GONE,
        Input.PEER_ODD: _GONE,
        Input.REPLY_APPROVED: IMPOSSIBLE,
        Input.REPLY_REFUSED: IMPOSSIBLE,
        Input.REPLY_STRANGE: _GONE,
        Input.OVERDUE: IMPOSSIBLE,
        Input.RETRY_DUE: IMPOSSIBLE,
        Input.IDLE: IMPOSSIBLE,
        Input.ALIVE: IMPOSSIBLE,
        Input.REQUEST_CAME: _GONE,
        Input.SIGN_OFF_WANTED: _GONE,
        Input.CLOSE_WANTED: _GONE,
        Input.LOST: _GONE,
        Input.CONNECTED_HELD: IMPOSSIBLE,
        Input.ECHO_WANTED: _GONE,
        Input.ECHO_MISSED: IMPOSSIBLE,
        Input.SIGN_ON_WANTED: _GONE,
        Input.REST_WANTED: _GONE,
    },
}
