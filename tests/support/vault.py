"""A vault with its index in a directory of a test: real files, keys of its own, orders in one
word."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from switch.errors import TokenIndexError
from switch.model.pan import luhn_digit
from switch.model.token import TokenState
from switch.native import index, journal
from switch.settings.schema import TokenRange, TokenSettings
from switch.tokens import orders
from switch.tokens.books import no_step
from switch.tokens.service import TokenService
from tests.support.journal import make_keys

__all__ = [
    "BY",
    "REQUESTOR",
    "Room",
    "TokenService",
    "card",
    "differences",
    "opened",
    "provision",
    "settings_of",
]

REQUESTOR: Final = "12300000001"
BY: Final = orders.By(actor="tester", reason="a test")
START_MS: Final = 1_795_600_000_000


def settings_of(directory: Path, **changes: Any) -> TokenSettings:
    """Tokens 629977…, 16 digits, in files of `directory`."""
    fields: dict[str, Any] = {
        "ranges": (TokenRange(prefix="629977", length=16),),
        "vault_file": str(directory / "vault.sqlite"),
        "index_dir": str(directory / "index"),
    }
    return TokenSettings(**(fields | changes))


def card(number: int, expiry: str = "3106", digits: int = 16, **more: Any) -> orders.CardGiven:
    """Card `number` of the test range."""
    body = f"629900{number:0{digits - 7}d}"
    return orders.CardGiven(pan=body + luhn_digit(body), expiry=expiry, **more)


def provision(number: int, **more: Any) -> orders.Provision:
    """A token for card `number`."""
    fields: dict[str, Any] = {"card": card(number), "requestor": REQUESTOR}
    return orders.Provision(**(fields | more))


class Room:
    """A service, and orders given to it by the tester."""

    def __init__(self, service: TokenService, keys: journal.Keys) -> None:
        self.service = service
        self.keys = keys
        self.books = service.books

    async def issue(self, number: int, **more: Any) -> orders.Shown:
        return await self._shown(orders.Issue(by=BY, provision=provision(number, **more)))

    async def suspend(self, token: str) -> orders.Shown:
        return await self._shown(orders.Suspend(by=BY, token=token))

    async def resume(self, token: str) -> orders.Shown:
        return await self._shown(orders.Resume(by=BY, token=token))

    async def delete(self, token: str) -> orders.Shown:
        return await self._shown(orders.Delete(by=BY, token=token))

    async def show(self, token: str) -> orders.Shown:
        return await self._shown(orders.Show(by=BY, token=token))

    async def replace(self, token: str, given: orders.CardGiven) -> orders.Shown:
        return await self._shown(orders.ReplacePan(by=BY, token=token, card=given))

    async def bring(self, count: int, first: int = 0) -> list[str]:
        """Imports `count` tokens."""
        rows = [provision(number) for number in range(first, first + count)]
        answer = await self.service.perform(orders.Import(by=BY, rows=rows))
        assert isinstance(answer, orders.Imported)
        return answer.tokens

    async def audit(self, limit: int = 1_000) -> list[orders.AuditRow]:
        answer = await self.service.perform(orders.Audit(by=BY, limit=limit))
        assert isinstance(answer, orders.AuditPage)
        return answer.rows

    def tap(self, token: str) -> dict[str, object] | None:
        """What a worker finds in the index now."""
        return self.books.index.find(token)

    def usable(self, token: str) -> bool:
        """True when a tap would get past the token's state."""
        try:
            found = self.tap(token)
        except TokenIndexError:
            return False
        return found is not None and found["state"] == TokenState.ACTIVE

    async def _shown(self, order: orders.Order) -> orders.Shown:
        answer = await self.service.perform(order)
        assert isinstance(answer, orders.Shown)
        return answer


async def differences(room: Room) -> list[str]:
    """What index and vault disagree in; empty when they are equal."""
    found = []
    vault, opened_index = room.books.vault, room.books.index
    if fault := room.books.fault(await vault.change()):
        return [fault]
    rows, after = [], ""
    while page := await vault.page(after, 500):
        rows += page
        after = page[-1].token
    if len(rows) != len(opened_index):
        found.append(f"{len(rows)} rows, {len(opened_index)} in the index")
    keys = index.VaultKeys(room.keys)
    for row in rows:
        seen = opened_index.find(row.token) or {}
        wanted = {
            "state": row.state,
            "pan": keys.masked(row.pan_sealed, row.card_row, row.key_version),
            "mapping_version": row.mapping_version,
            "token_expiry": row.token_expiry,
            "token_sequence": row.token_sequence,
            "requestor": row.requestor,
        }
        found += [
            f"{name}: {seen.get(name)} not {is_}"
            for name, is_ in wanted.items()
            if seen.get(name) != is_
        ]
    return found


def _clock() -> Callable[[], int]:
    ticks = itertools.count(START_MS, 1_000)
    return lambda: next(ticks)


@asynccontextmanager
async def opened(
    directory: Path,
    keys: journal.Keys | None = None,
    *,
    step: Callable[[str], None] = no_step,
    repaired: bool = True,
    **changes: Any,
) -> AsyncIterator[Room]:
    """The vault of `directory`, made and repaired as the gateway would at its start."""
    keys = keys or make_keys(directory)
    service = await TokenService.open(settings_of(directory, **changes), keys, _clock(), step)
    try:
        if repaired:
            await service.books.repair()
        yield Room(service, keys)
    finally:
        await service.close()
