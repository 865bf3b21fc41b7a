"""What acquirers and banks of a world write down for themselves, unknown to the switch.

Times are virtual nanoseconds. Nothing here decodes or judges: `oracles` compares these two ledgers
with the records that the switch leaves behind.
"""

from typing import Any

import msgspec

__all__ = ["Asked", "Body", "Garbled", "Held", "Seen", "Slot", "Told", "Undoing"]


class Told(msgspec.Struct, gc=False):
    """One answer that an acquirer got."""

    at_ns: int
    link: int
    mti: str
    code: str
    auth_code: str
    rrn: str
    icc: str
    stray: bool
    """It came on a connection that had not asked."""


class Body(msgspec.Struct):
    """One request, as it was sent for the first time and then again."""

    mti: str
    kind: str
    amount: int
    card: str
    values: dict[str, Any]
    frame: bytes
    rrn: str
    sent: list[tuple[int, int]] = []
    """When, and on which connection."""
    told: list[Told] = []
    token: str = ""
    counter: int = 0
    forged: bool = False
    barred: str = ""
    """What in its token's domain forbids it."""

    @property
    def approved(self) -> bool:
        """It was told of an approval at least once."""
        return any(told.code in {"00", "11"} for told in self.told)


class Undoing(msgspec.Struct):
    """One reversal of an acquirer: its numbers never change."""

    stan: str
    time: str
    amount: int
    card: str
    body: Body
    values: dict[str, Any]
    mti: str
    lie: bool
    sent: list[tuple[int, int]] = []
    told: list[Told] = []
    over: bool = False


class Slot(msgspec.Struct):
    """Everything under one request key: mostly one body, more where terminals collide."""

    acquirer: str
    terminal: str
    stan: str
    time: str
    kind: str
    """Second digit of the MTI: keys of one class only collide."""
    bodies: dict[tuple[int, str, str], Body] = {}
    undoings: list[Undoing] = []

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What the switch must know it by."""
        return self.acquirer, self.terminal, self.stan, self.time, self.kind


class Garbled(msgspec.Struct):
    """A frame that cannot be read, and what came of it."""

    acquirer: str
    stan: str
    rrn: str
    kind: str
    link: int
    told: list[str] = []


class Asked(msgspec.Struct):
    """The ledger of all acquirers."""

    slots: dict[tuple[str, str, str, str, str], Slot] = {}
    garbled: list[Garbled] = []
    odd: list[str] = []
    """Answers that nobody of this institution ever asked for."""


class Seen(msgspec.Struct, gc=False):
    """One message that a bank got."""

    at_ns: int
    link: int
    mti: str
    stan: str
    time: str
    rrn: str
    terminal: str
    acquirer: str
    amount: int
    card: str
    original: tuple[str, str] | None = None
    original_mti: str = ""
    act: str = ""
    code: str = ""
    expiry: str = ""


class Held(msgspec.Struct):
    """One request as its bank keeps it: what it holds, what it was asked to undo."""

    stan: str
    time: str
    rrn: str = ""
    terminal: str = ""
    acquirer: str = ""
    amount: int = 0
    card: str = ""
    expiry: str = ""
    at_ns: int = 0
    """When it came first."""
    kind: int = 0
    held: int = 0
    requests: int = 0
    undone: bool = False
    effects: int = 0
    reversals: list[Seen] = []
    acknowledged: int = 0
    answers: list[tuple[int, str]] = []
    """When it answered, and how."""
    sound: list[tuple[str, str]] = []
    """Codes and authorisation codes of its answers with which nothing was wrong."""
