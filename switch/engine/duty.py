"""The life of one delivery, what a bank is owed: stages, and one total table (stage x happening).

A reversal and an advice live alike: owed in the journal first, sent, sent again, and over only by
the bank's word or by an operator's. As in `states.py` every cell is a transition, an `Ignored` with
its reason, or `IMPOSSIBLE`.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final

import msgspec

from switch.engine.states import Ignored, Impossible

__all__ = ["IMPOSSIBLE", "LIFE", "RESTING", "SENDABLE", "Happening", "Moved", "Stage", "Step"]


@unique
class Stage(IntEnum):
    """How far a delivery got."""

    OWED = 0
    """Durable; none was handed to a socket since."""
    SENT = 1
    """Sent at least once, or may have been before a restart."""
    PARKED = 2
    """Attempts used up; goes on when the bank returns, or by order."""
    HELD = 3
    """An operator keeps it back."""
    DEAD = 4
    """A dead letter: its time is up, its bank refuses it or cannot be told; an operator decides."""
    SETTLED = 5
    """The bank said its final word."""
    WRITTEN_OFF = 6
    """An operator said the final word, with a name and a reason."""


@unique
class Happening(IntEnum):
    """What can happen to a delivery, in the past tense."""

    TAKEN = 0
    """A signed-on connection of the bank took it."""
    LEFT = 1
    """No connection took it."""
    ACKNOWLEDGED = 2
    """The bank answered with a final code."""
    REJECTED = 3
    """The bank answered with a code that ends nothing."""
    REFUSED = 4
    """The bank declines what an advice tells it."""
    EXHAUSTED = 5
    """As many attempts as the setting allows, or its bank is no member any more."""
    EXPIRED = 6
    """Older than the retry horizon."""
    UNFIT = 7
    """The bank's dialect has no way to say it."""
    BANK_RETURNED = 8
    """The bank signed on again."""
    RETRIED = 9
    """An operator wants it sent now."""
    HELD = 10
    """An operator wants it kept back."""
    RELEASED = 11
    """An operator keeps it back no longer."""
    WRITTEN_OFF = 12
    """An operator ends it."""
    RESTARTED = 13
    """The process started anew and replayed its journal."""
    UNREAD = 14
    """The bank answered, and a fault of ours keeps us from reading it."""


class Moved(msgspec.Struct, frozen=True):
    """A transition; to the same stage where something is done but nothing moves."""

    stage: Stage


Step = Moved | Ignored | Impossible

IMPOSSIBLE: Final = Impossible()

SENDABLE: Final = frozenset({Stage.OWED, Stage.SENT})
"""What the timer sends."""
RESTING: Final = frozenset({Stage.PARKED, Stage.HELD, Stage.DEAD})
"""What is owed and not sent by the timer."""

_NOT_HELD: Final = Ignored("it is not held: nothing to release")
_HELD_ALREADY: Final = Ignored("it is held already")
_HELD_BACK: Final = Ignored("an operator keeps it back: only a release sends it")
_ENDED_ANYHOW: Final = Ignored("a dead letter is not sent: nothing to hold back")
_BY_HAND: Final = Ignored("a dead letter is an operator's matter")
_OVER: Final = Ignored("it is over")

LIFE: Final[Mapping[Stage, Mapping[Happening, Step]]] = {
    Stage.OWED: {
        Happening.TAKEN: Moved(Stage.SENT),
        Happening.LEFT: Moved(Stage.OWED),
        Happening.ACKNOWLEDGED: IMPOSSIBLE,
        Happening.REJECTED: IMPOSSIBLE,
        Happening.REFUSED: IMPOSSIBLE,
        Happening.EXHAUSTED: Moved(Stage.PARKED),
        Happening.EXPIRED: Moved(Stage.DEAD),
        Happening.UNFIT: Moved(Stage.DEAD),
        Happening.BANK_RETURNED: Moved(Stage.OWED),
        Happening.RETRIED: Moved(Stage.OWED),
        Happening.HELD: Moved(Stage.HELD),
        Happening.RELEASED: _NOT_HELD,
        Happening.WRITTEN_OFF: Moved(Stage.WRITTEN_OFF),
        Happening.RESTARTED: Moved(Stage.SENT),
        Happening.UNREAD: IMPOSSIBLE,
    },
    Stage.SENT: {
        Happening.TAKEN: Moved(Stage.SENT),
        Happening.LEFT: Moved(Stage.SENT),
        Happening.ACKNOWLEDGED: Moved(Stage.SETTLED),
        Happening.REJECTED: Moved(Stage.SENT),
        Happening.REFUSED: Moved(Stage.DEAD),
        Happening.EXHAUSTED: Moved(Stage.PARKED),
        Happening.EXPIRED: Moved(Stage.DEAD),
        Happening.UNFIT: Moved(Stage.DEAD),
        Happening.BANK_RETURNED: Moved(Stage.SENT),
        Happening.RETRIED: Moved(Stage.SENT),
        Happening.HELD: Moved(Stage.HELD),
        Happening.RELEASED: _NOT_HELD,
        Happening.WRITTEN_OFF: Moved(Stage.WRITTEN_OFF),
        Happening.RESTARTED: Moved(Stage.SENT),
        Happening.UNREAD: Moved(Stage.DEAD),
    },
    # The three that rest. What was sent before may still be answered.
    Stage.PARKED: {
        Happening.TAKEN: IMPOSSIBLE,
        Happening.LEFT: IMPOSSIBLE,
        Happening.ACKNOWLEDGED: Moved(Stage.SETTLED),
        Happening.REJECTED: Moved(Stage.PARKED),
        Happening.REFUSED: Moved(Stage.DEAD),
        Happening.EXHAUSTED: IMPOSSIBLE,
        Happening.EXPIRED: Moved(Stage.DEAD),
        Happening.UNFIT: IMPOSSIBLE,
        Happening.BANK_RETURNED: Moved(Stage.SENT),
        Happening.RETRIED: Moved(Stage.SENT),
        Happening.HELD: Moved(Stage.HELD),
        Happening.RELEASED: _NOT_HELD,
        Happening.WRITTEN_OFF: Moved(Stage.WRITTEN_OFF),
        Happening.RESTARTED: Moved(Stage.PARKED),
        Happening.UNREAD: Moved(Stage.PARKED),
    },
    Stage.HELD: {
        Happening.TAKEN: IMPOSSIBLE,
        Happening.LEFT: IMPOSSIBLE,
        Happening.ACKNOWLEDGED: Moved(Stage.SETTLED),
        Happening.REJECTED: Moved(Stage.HELD),
        Happening.REFUSED: Moved(Stage.DEAD),
        Happening.EXHAUSTED: IMPOSSIBLE,
        Happening.EXPIRED: _HELD_BACK,
        Happening.UNFIT: IMPOSSIBLE,
        Happening.BANK_RETURNED: _HELD_BACK,
        Happening.RETRIED: _HELD_BACK,
        Happening.HELD: _HELD_ALREADY,
        Happening.RELEASED: Moved(Stage.SENT),
        Happening.WRITTEN_OFF: Moved(Stage.WRITTEN_OFF),
        Happening.RESTARTED: Moved(Stage.HELD),
        Happening.UNREAD: Moved(Stage.HELD),
    },
    Stage.DEAD: {
        Happening.TAKEN: IMPOSSIBLE,
        Happening.LEFT: IMPOSSIBLE,
        Happening.ACKNOWLEDGED: Moved(Stage.SETTLED),
        Happening.REJECTED: Moved(Stage.DEAD),
        Happening.REFUSED: Moved(Stage.DEAD),
        Happening.EXHAUSTED: IMPOSSIBLE,
        Happening.EXPIRED: IMPOSSIBLE,
        Happening.UNFIT: IMPOSSIBLE,
        Happening.BANK_RETURNED: _BY_HAND,
        Happening.RETRIED: Moved(Stage.SENT),
        Happening.HELD: _ENDED_ANYHOW,
        Happening.RELEASED: _NOT_HELD,
        Happening.WRITTEN_OFF: Moved(Stage.WRITTEN_OFF),
        Happening.RESTARTED: Moved(Stage.DEAD),
        Happening.UNREAD: Moved(Stage.DEAD),
    },
    # Over: nothing of it is kept in memory, so that nothing can happen to it but a restart.
    Stage.SETTLED: {
        Happening.TAKEN: IMPOSSIBLE,
        Happening.LEFT: IMPOSSIBLE,
        Happening.ACKNOWLEDGED: IMPOSSIBLE,
        Happening.REJECTED: IMPOSSIBLE,
        Happening.REFUSED: IMPOSSIBLE,
        Happening.EXHAUSTED: IMPOSSIBLE,
        Happening.EXPIRED: IMPOSSIBLE,
        Happening.UNFIT: IMPOSSIBLE,
        Happening.BANK_RETURNED: IMPOSSIBLE,
        Happening.RETRIED: IMPOSSIBLE,
        Happening.HELD: IMPOSSIBLE,
        Happening.RELEASED: IMPOSSIBLE,
        Happening.WRITTEN_OFF: IMPOSSIBLE,
        Happening.RESTARTED: _OVER,
        Happening.UNREAD: IMPOSSIBLE,
    },
    Stage.WRITTEN_OFF: {
        Happening.TAKEN: IMPOSSIBLE,
        Happening.LEFT: IMPOSSIBLE,
        Happening.ACKNOWLEDGED: IMPOSSIBLE,
        Happening.REJECTED: IMPOSSIBLE,
        Happening.REFUSED: IMPOSSIBLE,
        Happening.EXHAUSTED: IMPOSSIBLE,
        Happening.EXPIRED: IMPOSSIBLE,
        Happening.UNFIT: IMPOSSIBLE,
        Happening.BANK_RETURNED: IMPOSSIBLE,
        Happening.RETRIED: IMPOSSIBLE,
        Happening.HELD: IMPOSSIBLE,
        Happening.RELEASED: IMPOSSIBLE,
        Happening.WRITTEN_OFF: IMPOSSIBLE,
        Happening.RESTARTED: _OVER,
        Happening.UNREAD: IMPOSSIBLE,
    },
}
