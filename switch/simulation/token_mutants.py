"""Defects of the gateway's orders, as `switch.simulation.mutants` has them of the walk."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from switch.model.token import TokenState
from switch.simulation.instead import Mutant, instead
from switch.tokens import states
from switch.tokens.books import Books
from switch.tokens.states import Action
from switch.tokens.vault import Vault

__all__ = ["TOKEN_MUTANTS"]

LATE_S: Final = 0.05
TOKEN_MUTANTS: Final[dict[str, Mutant]] = {}


def _mutant(owner: Any, name: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def enter(made: Callable[[Any], Any]) -> Callable[[Any], Any]:
        right = owner.__dict__[name]
        label = made.__name__.replace("_", "-")
        TOKEN_MUTANTS[label] = lambda: instead(owner, name, made(right))
        return made

    return enter


@_mutant(Books, "restrict")
def restriction_answered_before_the_index(right: Any) -> Any:
    """Whoever suspends is told so, and the index has it a moment later."""

    async def restrict(self: Any, intent: Any, row: Any, by: Any, detail: str) -> None:
        write, loop = self.write_index, asyncio.get_running_loop()
        self.write_index = lambda rows, change: loop.call_later(LATE_S, write, rows, change)
        try:
            await right(self, intent, row, by, detail)
        finally:
            del self.write_index

    return restrict


@_mutant(Books, "relax")
def relaxation_not_in_the_index(_right: Any) -> Any:
    """What was resumed or issued is in the vault, and no tap knows of it."""
    return lambda _self, _action, _rows, _change: None


@_mutant(Books, "settle")
def begun_restriction_forgotten(_right: Any) -> Any:
    """What was begun when the gateway ended is not completed."""

    async def settle(_self: Any) -> None:
        """Nobody looks."""

    return settle


@_mutant(Books, "settled")
def shown_before_it_is_settled(_right: Any) -> Any:
    """A token is shown as it was before an order that is still to be completed."""

    async def settled(_self: Any) -> None:
        """Nobody waits."""

    return settled


@_mutant(Books, "repair")
def index_not_repaired(_right: Any) -> Any:
    """A gateway that starts takes vault and index for equal."""

    async def repair(self: Any) -> bool:
        self.behind = False
        return False

    return repair


@_mutant(Books, "restrict")
def replaced_card_kept_in_the_index(right: Any) -> Any:
    """Taps go on with the card that was replaced."""

    async def restrict(self: Any, intent: Any, row: Any, by: Any, detail: str) -> None:
        if intent.action == Action.REPLACE_PAN:
            old = await self.vault.by_id(intent.token)
            row = msgspec.structs.replace(old, mapping_version=row.mapping_version)
        await right(self, intent, row, by, detail)

    return restrict


@_mutant(Books, "_put_in_force")
def old_generation_still_read(right: Any) -> Any:
    """A new index is put in force, and whoever reads the old one is not told."""

    class Silent:
        def __init__(self, index: Any) -> None:
            self._index = index

        def __getattr__(self, name: str) -> Any:
            return getattr(self._index, name)

        def mark_stale(self) -> None:
            """Nobody learns of it."""

    async def put_in_force(self: Any, made: Any, begun_at: int) -> None:
        index, self.index = self.index, Silent(self.index)
        try:
            await right(self, made, begun_at)
        finally:
            self.index = index

    return put_in_force


@_mutant(Vault, "record")
def order_not_audited(right: Any) -> Any:
    """What was done stands in no audit; what was refused does."""

    async def record(txn: Any, by: Any, happened: Any, now_ms: int) -> None:
        if happened.outcome != "done":
            await right.__func__(txn, by, happened, now_ms)

    return staticmethod(record)


@contextlib.contextmanager
def _deleted_comes_back() -> Iterator[None]:
    """A deleted token can be resumed."""
    place = Action.RESUME, TokenState.DELETED
    states._AFTER[place] = TokenState.ACTIVE
    try:
        yield
    finally:
        del states._AFTER[place]


TOKEN_MUTANTS["deleted-comes-back"] = _deleted_comes_back
