"""Operators who order things of tokens while taps go on: suspend, resume, delete, another card,
issue, a new index.

One order about a token at a time. Whoever gets no answer asks what has become of it, or gives the
same order again, until he knows.
"""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from switch.errors import TapswitchError, TokenError
from switch.model.token import TokenState
from switch.simulation.gateway import Gateway, LostError
from switch.simulation.plan import ORDERS, Plan, stream
from switch.simulation.register import NOBODY, Ordered, Register
from switch.simulation.wallet import (
    EXPIRY,
    ISSUED,
    RESTLESS,
    TOKENS,
    card,
    provision,
    token_of,
)
from switch.tokens import orders
from switch.tokens.orders import By, CardGiven

if TYPE_CHECKING:
    from switch.simulation.world import World

__all__ = ["Operator", "told_orders"]

AGAIN_S: Final = 0.02
RENEWED: Final = "3209"
"""Expiry of a card that was renewed."""
OTHERS: Final = 20
"""Number of the first card that is behind no token at the beginning."""
STATES: Final = {state.name.lower(): int(state) for state in TokenState}
WEIGHTS: Final = {
    "suspend": 6, "resume": 7, "delete": 1, "replace_pan": 6, "issue": 2, "reindex": 1,
}  # fmt: skip


def told_orders(plan: Plan, span_us: int) -> list[tuple[str, tuple[float, ...]]]:
    """What is ordered in a world: when (µs), of which bank's which token, with which card, and what
    whoever gets no answer does (a number from 0 to 1)."""
    rng = stream(plan.seed, "orders")
    drawn: list[tuple[str, tuple[float, ...]]] = []
    for _ in range(plan.orders):
        what = rng.choices(ORDERS, [WEIGHTS[name] for name in ORDERS])[0]
        number = ISSUED if what == "issue" or rng.random() < 0.1 else rng.choice(RESTLESS)
        how = (
            float(int(rng.random() * span_us)),
            float(rng.randrange(plan.banks)),
            float(number),
            float(rng.randrange(12)),
            rng.randrange(100) / 100,
        )
        drawn.append((what, how))
    return drawn


class Operator:
    """All who order in one world."""

    def __init__(self, world: "World", gateway: Gateway) -> None:
        self._world = world
        self._gateway = gateway
        self._loop = world.loop
        self.register = Register()
        self.counts: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Lock] = {}
        self.open = 0
        """Orders of which nobody knows yet what became of them."""

    def begin(self, number: int, what: str, how: tuple[float, ...]) -> None:
        """Gives an order; about one token one after another."""
        self.open += 1
        task = self._loop.create_task(self._order(number, what, how))
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.open -= 1
        if not task.cancelled() and task.exception() is not None:
            self._world.breaks("raised", f"an operator: {task.exception()!r}")

    async def _order(self, number: int, what: str, how: tuple[float, ...]) -> None:
        if what == "reindex":
            await self._reindex()
            return
        _, bank, place, of, then = how
        token = token_of(int(bank), int(place))
        async with self._turns.setdefault(token, asyncio.Lock()):
            pan, expiry = self._card(what, int(bank), int(place), int(of))
            one = Ordered(number, what, token, pan, expiry, self._loop.now_ns)
            self.register.begin(one)
            self._world.note(f"order {number}: {what} {token[-4:]}")
            await self._until_known(one, int(bank), int(place), again=then < 0.5)
            one.end_ns = self._loop.now_ns
            self._world.note(f"order {number}: {one.outcome}, applied {one.applied}")
            self._learn(one)

    @staticmethod
    def _card(what: str, bank: int, place: int, of: int) -> tuple[str, str]:
        """Another card, that of another token, or its own renewed."""
        if what == "issue":
            return provision(bank, place).card.pan, EXPIRY
        if what != "replace_pan":
            return "", ""
        if of < TOKENS:
            return card(bank, of), RENEWED if of % 2 else EXPIRY
        return card(bank, OTHERS + of), EXPIRY

    def _made(self, one: Ordered, bank: int, place: int) -> orders.Order:
        by = By(actor=f"operator {one.number}", reason="an order of a world")
        match one.what:
            case "suspend":
                return orders.Suspend(by=by, token=one.token)
            case "resume":
                return orders.Resume(by=by, token=one.token)
            case "delete":
                return orders.Delete(by=by, token=one.token)
            case "replace_pan":
                given = CardGiven(pan=one.pan, expiry=one.expiry, sequence=1)
                return orders.ReplacePan(by=by, token=one.token, card=given)
        return orders.Issue(by=by, provision=provision(bank, place))

    async def _until_known(self, one: Ordered, bank: int, place: int, *, again: bool) -> None:
        order = self._made(one, bank, place)
        lost = False
        while True:
            one.sent += 1
            try:
                answer: Any = await self._gateway.ask(order)
            except LostError as error:
                lost = lost or error.begun
                if error.begun:
                    self.counts["order lost"] += 1
                await asyncio.sleep(AGAIN_S)
            except TokenError:
                if lost and one.what == "issue":
                    await self._read(one)
                else:
                    one.outcome = "refused"
                return
            except TapswitchError:
                # The vault or the index did not do it: nobody knows how far it went.
                self.counts["order failed"] += 1
                lost = True
                await asyncio.sleep(AGAIN_S)
            else:
                one.outcome, one.applied = "done", True
                self._answered(one, answer)
                return
            if lost and (not again or one.what == "issue"):
                await self._read(one)
                return

    async def _read(self, one: Ordered) -> None:
        """Looks what the token is, when an answer was lost."""
        self.counts["order read back"] += 1
        by = By(actor="reader")
        one.outcome = "read"
        while True:
            try:
                answer = await self._gateway.ask(orders.Show(by=by, token=one.token))
            except TokenError:
                one.state = NOBODY
                return
            except (LostError, TapswitchError):
                await asyncio.sleep(AGAIN_S)
            else:
                self._answered(one, answer)
                before = self.register.last[one.token]
                later = before.after(one.what, one.pan, one.expiry)
                one.applied = later is not None and _is(one, later) and later != before
                return

    def _answered(self, one: Ordered, answer: Any) -> None:
        one.state = STATES[answer.state]
        one.masked, one.shown_expiry = answer.pan, answer.card_expiry

    def _learn(self, one: Ordered) -> None:
        before = self.register.last[one.token]
        later = before.after(one.what, one.pan, one.expiry)
        if one.applied and later is not None:
            self.register.last[one.token] = later
            self.counts[f"order: {one.what}"] += 1
        elif one.outcome == "refused":
            self.counts["order: refused"] += 1

    async def _reindex(self) -> None:
        by = By(actor="indexer", reason="a new index")
        try:
            await self._gateway.ask(orders.Reindex(by=by), rebuilds=True)
        except (LostError, TapswitchError):
            self.counts["reindex cut off"] += 1
        else:
            self.counts["order: reindex"] += 1


def _is(one: Ordered, thing: Any) -> bool:
    """Whether an answer shows this."""
    return (one.state, one.masked, one.shown_expiry) == (
        thing.state, masked(thing.pan), thing.expiry,
    )  # fmt: skip


def masked(pan: str) -> str:
    """First six and last four digits."""
    return pan[:6] + "*" * (len(pan) - 10) + pan[-4:]
