"""Orders about tokens: judged, carried out on vault and index, and written into the audit.

One order at a time changes anything; an answer comes when vault and index both have it. What is
refused is audited as well. No answer, error or record shows a card number other than masked.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from switch.database.pool import Transaction
from switch.errors import (
    OperatorError,
    TapswitchError,
    TokenError,
    TokenIndexError,
    UsageError,
    VaultError,
)
from switch.model.token import TokenState
from switch.native import index, journal
from switch.settings.schema import TokenSettings
from switch.tokens import orders
from switch.tokens.audit import REASON_CHARACTERS_MAX
from switch.tokens.books import Books, no_step
from switch.tokens.numbers import Ranges, luhn_valid
from switch.tokens.orders import By, Shown
from switch.tokens.provision import Cards, card_problem, make, problem
from switch.tokens.record import TokenRow, shown
from switch.tokens.states import RESTRICTIONS, Action, after, refusal
from switch.tokens.vault import Happened, Intent, Vault

__all__ = ["TokenService"]

ACTOR_CHARACTERS_MAX: Final = 64
PROBLEMS_MAX: Final = 10
"""Rows of an import that are named when they are wrong."""
_NUMBERS: Final = re.compile(r"\d(?:[ -]?\d){11,18}")

_ACTIONS: Final[dict[type, Action]] = {
    orders.Suspend: Action.SUSPEND,
    orders.Resume: Action.RESUME,
    orders.Delete: Action.DELETE,
    orders.ReplacePan: Action.REPLACE_PAN,
}
_READS: Final = (orders.Show, orders.List, orders.Audit, orders.VerifyAudit, orders.Status)


class TokenService:
    """All that may be ordered."""

    def __init__(self, books: Books, keys: index.VaultKeys, settings: TokenSettings) -> None:
        self.books = books
        self._keys = keys
        self._ranges = Ranges(settings.ranges)
        self._cards = Cards(keys, settings.key_version)

    @staticmethod
    async def open(
        settings: TokenSettings,
        keys: journal.Keys,
        now_ms: Callable[[], int],
        step: Callable[[str], None] = no_step,
    ) -> "TokenService":
        """Opens vault and index. The caller holds the vault's lock, and calls `repair` first.

        Raises: VaultError.
        """
        vault = await Vault.open(Path(settings.vault_file), now_ms())
        try:
            opened = index.Index.open(settings.index_dir, keys)
        except BaseException:
            await vault.close()
            raise
        books = Books(vault, opened, now_ms, step)
        return TokenService(books, index.VaultKeys(keys), settings)

    async def close(self) -> None:
        """The index stays as it is."""
        await self.books.close()

    async def perform(self, order: orders.Order) -> orders.Answer:
        """Carries out one order.

        Raises: TokenError when it is refused; VaultError, TokenIndexError when it failed.
        """
        try:
            self._judge(order)
            await self.books.settled()
            if self.books.behind and not isinstance(order, _READS):
                await self.books.repair()
            return await self._perform(order)
        except (TokenError, UsageError) as error:
            await self._tell(order, "refused", error)
            raise
        except (VaultError, TokenIndexError) as error:
            await self._tell(order, "failed", error)
            raise

    async def _perform(self, order: orders.Order) -> orders.Answer:
        match order:
            case orders.Issue():
                rows = await self._make(order, [order.provision], "issue")
                return self._shown(rows[0])
            case orders.Import():
                return await self._import(order)
            case orders.Suspend() | orders.Resume() | orders.Delete() | orders.ReplacePan():
                return await self._change(order, _ACTIONS[type(order)])
            case orders.Show():
                return await self._show(order)
            case orders.List():
                return await self._list(order)
            case orders.Audit():
                page = orders.AuditPage(rows=await self.books.vault.audit(order.token, order.limit))
                # Who reads what others did is on record himself.
                await self._told(order.by, Happened(action="audit", outcome="done"))
                return page
            case orders.VerifyAudit():
                verdict = await self.books.vault.verify_audit()
                with contextlib.suppress(VaultError):
                    # A verdict is told also where nothing more can be written.
                    await self._told(order.by, Happened(action="verify-audit", outcome="done"))
                return verdict
            case orders.Reindex():
                await self.books.rebuild()
                await self._told(order.by, Happened(action="reindex", outcome="done"))
                return await self.books.status()
            case orders.Status():
                return await self.books.status()

    # -- judging and telling ----------------------------------------------------------------------

    def _judge(self, order: orders.Order) -> None:
        by = order.by
        if not by.actor or len(by.actor) > ACTOR_CHARACTERS_MAX or not by.actor.isprintable():
            raise TokenError("who orders this is not said", key="by", help="--actor NAME")
        if len(by.reason) > REASON_CHARACTERS_MAX or not by.reason.isprintable():
            raise TokenError(
                f"the reason is longer than {REASON_CHARACTERS_MAX} characters, or not printable",
                key="by",
            )
        for text in (by.actor, by.reason):
            if any(luhn_valid(re.sub(r"\D", "", run)) for run in _NUMBERS.findall(text)):
                raise TokenError(
                    "actor or reason holds what looks like a card number",
                    key="by",
                    help="audit records are kept in clear",
                )
        if not by.reason and not isinstance(order, _READS):
            raise TokenError("there is no reason", key="reason", help="--reason TEXT")

    def _about(self, order: orders.Order) -> str:
        """The token that an order names; '' for what is no token: somebody may have given a card
        number."""
        token = getattr(order, "token", "")
        if not token and isinstance(order, orders.Issue):
            token = order.provision.token
        sound = token.isascii() and token.isdecimal() and self._ranges.holds(token)
        return token if sound else ""

    async def _tell(self, order: orders.Order, outcome: str, error: TapswitchError) -> None:
        """Audits an order that did not succeed; what it changed is undone or repaired."""
        told = error.problem if isinstance(error, OperatorError) else str(error)
        by, name = order.by, order.__struct_config__.tag
        if isinstance(error, TokenError) and error.key == "by":
            by = By(actor="")  # what is refused is not kept
        happened = Happened(
            action=str(name),
            outcome=outcome,
            token=self._about(order),
            code=error.code,
            detail=told,
        )
        try:
            await self._told(by, happened)
        except VaultError:
            if outcome == "refused":
                raise  # a refusal that nobody can read later is a failure
            # the vault itself has failed: the first error says so

    async def _told(self, by: By, happened: Happened) -> None:
        async with self.books.vault.database.transaction() as txn:
            await Vault.record(txn, by, happened, self.books.now_ms())

    def _shown(self, row: TokenRow, *, changed: bool = True) -> Shown:
        return shown(row, self._keys, self._month(), changed=changed)

    def _month(self) -> str:
        at = datetime.fromtimestamp(self.books.now_ms() / 1000, tz=UTC)
        return f"{at:%y%m}"

    # -- making -----------------------------------------------------------------------------------

    async def _make(
        self, order: orders.Issue | orders.Import, wanted: Sequence[orders.Provision], action: str
    ) -> list[TokenRow]:
        """A relaxation: vault, then index."""
        self._refuse_unsound(order, wanted)
        books, now_ms = self.books, self.books.now_ms()
        try:
            async with books.turn:
                async with books.vault.database.transaction() as txn:
                    change = await Vault.next_change(txn)
                    rows = await make(txn, wanted, self._cards, self._ranges, change, now_ms)
                    detail = (
                        f"{len(rows)} rows from line {order.first_line}"
                        if isinstance(order, orders.Import)
                        else ""
                    )
                    happened = Happened(
                        action=action,
                        outcome="done",
                        token="" if detail else rows[0].token,
                        change=change,
                        detail=detail,
                    )
                    await Vault.record(txn, order.by, happened, now_ms)
                books.relax(action, rows, change)
        except TokenIndexError:
            await books.repair()
        return rows

    def _refuse_unsound(
        self, order: orders.Issue | orders.Import, wanted: Sequence[orders.Provision]
    ) -> None:
        if isinstance(order, orders.Issue):
            if found := problem(wanted[0], self._ranges):
                raise TokenError(found)
            return
        problems = []
        for place, one in enumerate(wanted):
            if found := problem(one, self._ranges):
                line = order.lines[place] if order.lines else order.first_line + place
                problems.append(f"line {line}: {found}")
        if problems:
            more = len(problems) - PROBLEMS_MAX
            raise TokenError(
                "; ".join(problems[:PROBLEMS_MAX]) + (f"; {more} more" if more > 0 else ""),
                help="nothing of this part was imported",
            )

    async def _import(self, order: orders.Import) -> orders.Imported:
        if not order.rows or (order.lines and len(order.lines) != len(order.rows)):
            raise TokenError("there are no rows to import")
        rows = await self._make(order, order.rows, "import")
        return orders.Imported(tokens=[row.token for row in rows])

    # -- one token --------------------------------------------------------------------------------

    async def _found(self, token: str) -> TokenRow:
        if not (token.isascii() and token.isdecimal() and self._ranges.holds(token)):
            raise TokenError(
                "this is no token: it lies in no token range",
                key="token",
                help="a card number never goes onto a command line; see list --by-pan",
            )
        row = await self.books.vault.find(token)
        if row is None:
            raise TokenError("there is no such token", key="token")
        return row

    async def _change(
        self,
        order: orders.Suspend | orders.Resume | orders.Delete | orders.ReplacePan,
        action: Action,
    ) -> Shown:
        books = self.books
        try:
            async with books.turn:
                row = await self._found(order.token)
                state = after(action, TokenState(row.state))
                if state is None:
                    said, help_text = refusal(action, TokenState(row.state))
                    raise TokenError(said, key="token", help=help_text)
                if isinstance(order, orders.ReplacePan):
                    return await self._replace(order, row)
                if state == row.state:
                    return await self._unchanged(order, action, row)
                if action in RESTRICTIONS:
                    return await self._restrict(order, action, row, state)
                return await self._relax(order, action, row, state)
        except TokenIndexError:
            # What was begun is in the vault; the repair completes it or says why it cannot.
            await books.repair()
        return self._shown(await self._found(order.token))

    async def _unchanged(self, order: orders.Order, action: Action, row: TokenRow) -> Shown:
        happened = Happened(action=action, outcome="unchanged", token=row.token)
        await self._told(order.by, happened)
        return self._shown(row, changed=False)

    async def _relax(
        self, order: orders.Order, action: Action, row: TokenRow, state: TokenState
    ) -> Shown:
        books, now_ms = self.books, self.books.now_ms()
        async with books.vault.database.transaction() as txn:
            change = await Vault.next_change(txn)
            await Vault.set_state(txn, row.id, state, change, now_ms)
            happened = Happened(action=action, outcome="done", token=row.token, change=change)
            await Vault.record(txn, order.by, happened, now_ms)
        row = msgspec.structs.replace(row, state=int(state), change=change, changed_ms=now_ms)
        books.relax(action, [row], change)
        return self._shown(row)

    async def _restrict(
        self, order: orders.Order, action: Action, row: TokenRow, state: TokenState
    ) -> Shown:
        books = self.books
        async with books.vault.database.transaction() as txn:
            intent = await self._intent(txn, order.by, action, row, state)
        row = msgspec.structs.replace(
            row, state=int(state), change=intent.change, changed_ms=intent.begun_ms
        )
        await books.restrict(intent, row, order.by, "")
        return self._shown(row)

    async def _replace(self, order: orders.ReplacePan, row: TokenRow) -> Shown:
        """Another card, or the same one with another expiry or sequence number."""
        card, books = order.card, self.books
        if found := card_problem(card, self._ranges):
            raise TokenError(found)
        if len(card.pan) != len(row.token):
            raise TokenError("the card number is not as long as the token")
        async with books.vault.database.transaction() as txn:
            (known,) = await self._cards.enter(txn, [card], books.now_ms())
            after_row = msgspec.structs.replace(
                row,
                card_row=known.row,
                card_expiry=card.expiry,
                card_sequence=card.sequence,
                pan_sealed=known.sealed,
                key_version=known.key_version,
                par=known.par,
            )
            if after_row == row:
                intent = None
            else:
                after_row = msgspec.structs.replace(
                    after_row, mapping_version=row.mapping_version + 1
                )
                intent = await self._intent(
                    txn, order.by, Action.REPLACE_PAN, after_row, TokenState(row.state)
                )
        if intent is None:
            return await self._unchanged(order, Action.REPLACE_PAN, row)
        after_row = msgspec.structs.replace(
            after_row, change=intent.change, changed_ms=intent.begun_ms
        )
        await books.restrict(
            intent, after_row, order.by, f"mapping version {after_row.mapping_version}"
        )
        return self._shown(after_row)

    async def _intent(
        self, txn: Transaction, by: By, action: Action, row: TokenRow, state: TokenState
    ) -> Intent:
        intent = Intent(
            change=await Vault.next_change(txn),
            token=row.id,
            action=action,
            state=int(state),
            card=row.card_row,
            card_expiry=row.card_expiry,
            card_sequence=row.card_sequence,
            mapping_version=row.mapping_version,
            actor=by.actor,
            reason=by.reason,
            begun_ms=self.books.now_ms(),
        )
        await Vault.begin(txn, intent)
        return intent

    # -- showing ----------------------------------------------------------------------------------

    async def _show(self, order: orders.Show) -> Shown:
        row = await self._found(order.token)
        history = [
            orders.Mapping(
                version=version,
                pan=self._keys.masked(sealed, card, key_version),
                card_expiry=expiry,
                until_ms=until_ms,
            )
            for version, sealed, card, key_version, expiry, until_ms in (
                await self.books.vault.history(row.id)
            )
        ]
        await self._told(order.by, Happened(action="show", outcome="done", token=row.token))
        return shown(row, self._keys, self._month(), history=history)

    async def _list(self, order: orders.List) -> orders.Listed:
        cards: list[int] | None = None
        if order.pan:
            if not (order.pan.isascii() and order.pan.isdecimal() and luhn_valid(order.pan)):
                raise TokenError("this is no card number")
            async with self.books.vault.database.transaction() as txn:
                cards = await self._cards.rows(txn, order.pan)
        rows = await self.books.vault.listed(order, cards)
        detail = f"{min(len(rows), order.limit)} tokens" + (" of a card" if order.pan else "")
        await self._told(order.by, Happened(action="list", outcome="done", detail=detail))
        return orders.Listed(
            tokens=[self._shown(row) for row in rows[: order.limit]],
            more=len(rows) > order.limit,
        )
