"""What chance decides in a world, by name, so that a case can be kept as data.

A world that is drawn writes down every fault that struck: where, what, and the numbers that it
needs. A world that is told its choices draws nothing of the kind: what is not listed does not
happen. So a kept case does not change when somebody adds a fault and every draw moves, and a case
is made smaller by taking lines out of a list.
"""

import hashlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import msgspec

__all__ = ["Choice", "Choices", "Steady", "picked", "rounded", "stream"]

DIGITS: Final = 4


class Choice(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One fault at one place."""

    where: str
    """Such as ``bank/00001700250/020/0``: a request by its number, and which sending of it."""
    what: str
    how: tuple[float, ...] = ()
    """What it needs to know: how long, how late; by the fault."""


class Choices:
    """Those of one world."""

    def __init__(self, listed: Sequence[Choice] | None = None) -> None:
        """`listed`: what happens, and nothing else does; None: whatever is drawn."""
        self._listed = None if listed is None else {one.where: one for one in listed}
        self.made: list[Choice] = []
        """What happened, in order."""
        self.seen: Callable[[Choice], None] | None = None
        """Told of each as it happens."""

    @property
    def told(self) -> bool:
        """Nothing is drawn."""
        return self._listed is not None

    def of(
        self, where: str, what: str, how: tuple[float, ...] = ()
    ) -> tuple[str, tuple[float, ...]]:
        """What happens here: what was drawn, or what is listed. No fault is ``""``, with the
        drawn numbers."""
        if self._listed is not None:
            one = self._listed.get(where)
            what, how = (one.what, one.how) if one is not None else ("", how)
        if what:
            one = Choice(where, what, how)
            self.made.append(one)
            if self.seen is not None:
                self.seen(one)
        return what, how

    def under(self, room: str) -> list[Choice]:
        """Those listed whose place begins so, in the order of their places."""
        found = [one for where, one in (self._listed or {}).items() if where.startswith(room)]
        return sorted(found, key=lambda one: one.where)


def rounded(number: float) -> float:
    """As it stands in a file: below 1 when it was."""
    scale: int = 10**DIGITS
    return int(number * scale) / scale


def picked(names: Sequence[str], how: float) -> str:
    """One of some names, by a number from 0 to 1."""
    return names[min(int(how * len(names)), len(names) - 1)]


class Steady(Random):
    """Chance without surprise: always the middle. What small times are drawn from in a world that
    was made plain."""

    def random(self) -> float:
        """The middle."""
        return 0.5


def stream(seed: int, name: str) -> Random:
    """Chance of one matter."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return Random(int.from_bytes(digest[:8], "big"))
