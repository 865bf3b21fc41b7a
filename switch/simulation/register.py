"""What tokens may be, by the orders that were given about them: the operators' own ledger.

Orders about one token are given one after another. From its call to its end an order may have been
carried out or not: in that time the token may be what it was and what it becomes. The table of what
follows what is kept here by itself, so that it is not the product's.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from switch.model.token import TokenState
from switch.simulation.wallet import (
    BANKS,
    EXPIRY,
    ISSUED,
    LIMITED,
    RESTLESS,
    card,
    first_state,
    token_of,
)

__all__ = ["NOBODY", "Ordered", "Register", "Thing"]

NOBODY: Final = -1
"""In the place of a state: there is no such token."""
EVER: Final = 1 << 62
_A, _S, _D, _R = (
    TokenState.ACTIVE, TokenState.SUSPENDED, TokenState.DELETED, TokenState.REQUESTED,
)  # fmt: skip
AFTER: Final[dict[tuple[str, int], int]] = {
    ("suspend", _A): _S, ("suspend", _S): _S,
    ("resume", _S): _A, ("resume", _A): _A,
    ("delete", _A): _D, ("delete", _S): _D, ("delete", _R): _D, ("delete", _D): _D,
    ("replace_pan", _A): _A, ("replace_pan", _S): _S, ("replace_pan", _R): _R,
    ("issue", NOBODY): _A,
}  # fmt: skip
"""What is not here must be refused."""


class Thing(msgspec.Struct, frozen=True):
    """What a token is: its state, and the card behind it."""

    state: int
    pan: str
    expiry: str

    def after(self, what: str, pan: str, expiry: str) -> "Thing | None":
        """What an order makes of it; None: it must be refused."""
        state = AFTER.get((what, self.state))
        if state is None:
            return None
        renewed = what in {"replace_pan", "issue"}
        return Thing(state, pan if renewed else self.pan, expiry if renewed else self.expiry)


class Ordered(msgspec.Struct):
    """One order, as it was given, and what its operator knows of it."""

    number: int
    what: str
    token: str
    pan: str = ""
    expiry: str = ""
    call_ns: int = 0
    end_ns: int = EVER
    """When its operator knew what had become of it."""
    outcome: str = ""
    """``done``, ``refused``; ``read``: its answer was lost, and what the token is was looked up."""
    applied: bool = False
    sent: int = 0
    """How often; a repeat changes nothing."""
    state: int = 0
    """Of the answer."""
    masked: str = ""
    shown_expiry: str = ""


class Register:
    """Of one world: all tokens, and all orders."""

    def __init__(self) -> None:
        self.first = {
            token_of(bank, number): _first(bank, number)
            for bank in range(BANKS)
            for number in (0, *RESTLESS, *LIMITED, ISSUED)
        }
        self.last = dict(self.first)
        """As far as their operators know."""
        self.orders: list[Ordered] = []
        self.of: dict[str, list[Ordered]] = {}

    def begin(self, order: Ordered) -> None:
        """An order is given now."""
        self.orders.append(order)
        self.of.setdefault(order.token, []).append(order)

    def spans(self, token: str) -> Iterator[tuple[int, int, Thing]]:
        """From when to when the token may have been what."""
        since, thing = 0, self.first.get(token)
        if thing is None:
            return
        for order in self.of.get(token, ()):
            later = thing.after(order.what, order.pan, order.expiry)
            if later is None or (order.end_ns != EVER and not order.applied) or later == thing:
                continue
            yield since, order.end_ns, thing
            since, thing = order.call_ns, later
        yield since, EVER, thing

    def possible(self, token: str, since_ns: int, until_ns: int) -> list[Thing]:
        """All that it may have been at some time in between."""
        return [
            thing
            for begin, end, thing in self.spans(token)
            if begin <= until_ns and since_ns <= end
        ]

    def cards(self, token: str, since_ns: int, until_ns: int) -> set[tuple[str, str]]:
        """Number and expiry of each card that may have been behind it."""
        return {(one.pan, one.expiry) for one in self.possible(token, since_ns, until_ns)}


def _first(bank: int, number: int) -> Thing:
    state = first_state(number)
    of = LIMITED[number].card if number in LIMITED else number % 4
    return Thing(NOBODY if state is None else int(state), card(bank, of), EXPIRY)


def numbered(orders: Iterable[Any]) -> dict[str, Any]:
    """By the name under which each is audited."""
    return {f"operator {one.number}": one for one in orders}
