"""A bank's books: accounts, balances, holds. Pure: no sockets, no clock, no chance.

A hold is named by the STAN and transmission time under which the switch sent the request; a
reversal names it by field 90. A reversal has effect at most once, and one that overtakes its
original leaves a tombstone.
"""

from collections.abc import Iterable

import msgspec

from switch.sim.cards import luhn_valid
from switch.sim.ledger import Effect
from switch.sim.magic import Act, Magic, find

__all__ = ["Bank", "Decision", "Original", "Reversed"]

Reference = tuple[str, str]
"""STAN and transmission time."""


class Original(msgspec.Struct, frozen=True, gc=False):
    """What a request and its reversal must agree in."""

    pan: str
    amount: int
    terminal: str
    merchant: str
    acquirer: str
    rrn: str


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What the bank does with one request."""

    magic: Magic
    code: str
    held: int
    """Minor units now held."""
    copy: bool = False
    """Its STAN and time were seen before: answered as then, booked once."""


class Reversed(msgspec.Struct, frozen=True, gc=False):
    """What a reversal did."""

    effect: Effect
    released: int
    acknowledge: bool
    problem: str = ""


class _Entry(msgspec.Struct, gc=False):
    original: Original
    decision: Decision
    reversals: int = 0


class Bank:
    """Accounts open themselves at first use, each with the same opening balance in minor units."""

    def __init__(self, prefixes: Iterable[str], opening_balance: int = 100_000_000) -> None:
        self._prefixes = tuple(prefixes)
        self._opening = opening_balance
        self._available: dict[str, int] = {}
        self._entries: dict[Reference, _Entry] = {}
        self._tombstones: set[Reference] = set()
        self.healed = False
        """True when every request gets its plain answer at once, as after a repair."""
        self.holds = 0
        """Requests for which money is held now."""
        self.held_amount = 0

    def available(self, pan: str) -> int:
        """What the account may still spend, in minor units."""
        return self._available.get(pan, self._opening)

    def request(self, reference: Reference, original: Original, *, holds: bool = True) -> Decision:
        """Decides a request, and books its hold when it has one. `holds` False: it takes no
        money."""
        if (known := self._entries.get(reference)) is not None:
            return Decision(
                known.decision.magic, known.decision.code, known.decision.held, copy=True
            )
        magic = find(original.pan, original.amount)
        decision = self._decide(reference, original, magic)
        if not holds:
            decision = Decision(magic, decision.code, 0)
        if magic.act is Act.LOST and not self.healed:
            return decision
        self._entries[reference] = _Entry(original, decision)
        if decision.held:
            self._available[original.pan] = self.available(original.pan) - decision.held
            self.holds += 1
            self.held_amount += decision.held
        return decision

    def advise(self, reference: Reference, original: Original) -> Decision:
        """Books what was decided without the bank, once: it has happened, whatever the balance."""
        if (known := self._entries.get(reference)) is not None:
            return Decision(known.decision.magic, known.decision.code, 0, copy=True)
        magic = find("", 0)
        if not original.pan.startswith(self._prefixes):
            return Decision(magic, "14", 0)
        decision = Decision(magic, "00", original.amount)
        self._entries[reference] = _Entry(original, decision)
        self._available[original.pan] = self.available(original.pan) - original.amount
        self.holds += 1
        self.held_amount += original.amount
        return decision

    def reverse(self, reference: Reference, reversal: Original) -> Reversed:
        """Books a reversal; acknowledged whatever it finds, save the first one of a deaf row."""
        entry = self._entries.get(reference)
        if entry is None:
            again = reference in self._tombstones
            self._tombstones.add(reference)
            return Reversed(Effect.AGAIN if again else Effect.TOMBSTONE, 0, acknowledge=True)
        entry.reversals += 1
        acknowledge = self.healed or entry.decision.magic.act is not Act.DEAF or entry.reversals > 1
        problem = _disagreement(entry.original, reversal)
        if entry.reversals > 1:
            return Reversed(Effect.AGAIN, 0, acknowledge, problem)
        held = entry.decision.held
        if not held:
            return Reversed(Effect.NOTHING, 0, acknowledge, problem)
        self._available[entry.original.pan] = self.available(entry.original.pan) + held
        self.holds -= 1
        self.held_amount -= held
        return Reversed(Effect.RELEASED, held, acknowledge, problem)

    def _decide(self, reference: Reference, original: Original, magic: Magic) -> Decision:
        if reference in self._tombstones:
            return Decision(magic, "12", 0)
        if not (original.pan.startswith(self._prefixes) and luhn_valid(original.pan)):
            return Decision(magic, "14", 0)
        if magic.act is Act.ORDINARY:
            if original.amount > self.available(original.pan):
                return Decision(magic, "51", 0)
            return Decision(magic, "00", original.amount)
        if magic.act is Act.PARTIAL:
            return Decision(magic, magic.code, original.amount // 2)
        if magic.act is Act.LOST:
            return Decision(magic, "00", original.amount if self.healed else 0)
        return Decision(magic, magic.code or "00", original.amount if magic.holds else 0)


def _disagreement(original: Original, reversal: Original) -> str:
    """Names of the fields in which a reversal differs from its original, joined by spaces."""
    return " ".join(
        name
        for name in Original.__struct_fields__
        if getattr(original, name) != getattr(reversal, name)
    )
