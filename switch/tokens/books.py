"""Vault and index together: which of the two is written first, and how they are made equal again.

A restriction is written down in the vault as an intent, then put into the index, then made so in
the vault; a relaxation goes into the vault, then into the index. The index is stamped with the
vault's change number. So after a crash between any two of these steps the index is never laxer
than it should be, and what is missing is known: open intents are completed, and rows of later
changes than the stamp are written. An index that is missing, damaged, ahead of the vault or of
another vault is built anew beside the one in force.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from switch.constants import INDEX_LOOK_MS
from switch.errors import TokenIndexError
from switch.native import hook, index
from switch.tokens.orders import By, StatusShown
from switch.tokens.record import TokenRow
from switch.tokens.vault import Happened, Intent, Vault

__all__ = ["Books", "no_step"]

PAGE: Final = 2_000
"""Rows that are read and written at a time while others wait."""
CATCH_UP_MAX: Final = 100_000
"""More rows than this are faster, and more compact, in a new generation."""
LOOK_S: Final = 2 * INDEX_LOOK_MS / 1000
"""After this long every reader has looked which generation is in force, also one that is late."""


def no_step(_: str) -> None:
    """The steps of an order are passed through; a test ends the process at one of them."""


class Books:
    """Both, and the one turn in which either is changed."""

    def __init__(
        self,
        vault: Vault,
        opened: index.Index,
        now_ms: Callable[[], int],
        step: Callable[[str], None] = no_step,
    ) -> None:
        self.vault = vault
        self.index = opened
        self.now_ms = now_ms
        self.step = step
        self.turn = asyncio.Lock()
        """Held by whoever changes the vault or the index in force."""
        self.behind = False
        """The index lacks something, or an intent is open: repair before anything else."""
        self.unsettled = True
        """Restrictions may have been begun and not completed, by whoever had the vault before or by
        an order that failed: what the vault says of a token may not be what is in force."""
        self.rebuilding = False

    # -- writing, in one's turn --------------------------------------------------------------------

    def write_index(self, rows: Sequence[TokenRow], change: int) -> None:
        """Puts rows into the index in force; the next tap sees them.

        Raises: TokenIndexError; then the books are `behind`, and the rows follow by repair.
        """
        if self.rebuilding and self.index.why:
            return  # nobody gets an answer, and the generation under construction takes them up
        try:
            stamp = self.index.stamp
            in_step = stamp is not None and stamp == (change - 1, self.vault.id)
            if stamp is not None and not in_step:
                self.behind = True
            number = change if stamp is None or in_step else stamp[0]
            self.index.write(list(rows), [], number)
            hook.reach("index.write.after")
        except TokenIndexError:
            self.behind = True
            raise

    async def settle(self) -> None:
        """Completes restrictions that were begun."""
        for intent in await self.vault.intents():
            row = await self.vault.by_id(intent.token)
            now_ms = self.now_ms()
            async with self.vault.database.transaction() as txn:
                await self.vault.complete(txn, intent, now_ms)
                await self.vault.record(
                    txn,
                    By(actor=intent.actor, reason=intent.reason),
                    Happened(
                        action=intent.action,
                        outcome="done",
                        token=row.token,
                        change=intent.change,
                        detail="completed after an interruption",
                    ),
                    now_ms,
                )
            self.step("repair.intent")
        self.unsettled = False

    async def settled(self) -> None:
        """Before any order: whoever asks what has become of one that nobody answered must not be
        told what its token was before, and then see it carried out."""
        if self.unsettled:
            async with self.turn:
                await self.settle()

    async def restrict(self, intent: Intent, row: TokenRow, by: By, detail: str) -> None:
        """The second and third step of a restriction whose intent is durable; `row` is the token as
        it will be."""
        try:
            self.step(f"{intent.action}.intent")
            self.write_index([row], intent.change)
            self.step(f"{intent.action}.index")
            now_ms = self.now_ms()
            async with self.vault.database.transaction() as txn:
                await self.vault.complete(txn, intent, now_ms)
                happened = Happened(
                    action=intent.action,
                    outcome="done",
                    token=row.token,
                    change=intent.change,
                    detail=detail,
                )
                await self.vault.record(txn, by, happened, now_ms)
            self.step(f"{intent.action}.vault")
        except BaseException:
            self.behind = self.unsettled = True
            raise

    def relax(self, action: str, rows: Sequence[TokenRow], change: int) -> None:
        """The second step of a relaxation that is durable in the vault."""
        self.step(f"{action}.vault")
        self.write_index(rows, change)
        self.step(f"{action}.index")

    # -- repair -----------------------------------------------------------------------------------

    def fault(self, change: int) -> str:
        """What is wrong with the index, in a word; '' when it shows change `change`."""
        if why := self.index.why:
            return why
        stamp = self.index.stamp
        if stamp is None or stamp[1] != self.vault.id:
            return "other vault"
        if stamp[0] != change:
            return "behind" if stamp[0] < change else "ahead"
        return "damaged" if self.index.damaged else ""

    async def repair(self) -> bool:
        """Makes vault and index equal; True when there was something to do.

        Raises: VaultError, TokenIndexError when that cannot be done.
        """
        async with self.turn:
            await self.settle()
            self.index.look()
            change = await self.vault.change()
            fault = self.fault(change)
            if not fault:
                self.behind = False
                return False
            if fault == "behind" and await self._catch_up(change):
                self.behind = False
                return True
            if not self.index.why and fault != "damaged":
                # It shows what is not so: nobody may be answered from it. What damage leaves is so.
                self.index.mark_stale()
        await self.rebuild()
        return True

    async def _catch_up(self, change: int) -> bool:
        """Writes what later changes than the stamp have touched; False when a new generation is the
        better way."""
        stamp = self.index.stamp
        assert stamp is not None
        done = stamp[0]
        if await self.vault.count_after(done) > CATCH_UP_MAX:
            return False
        try:
            while rows := await self.vault.changed_after(done, PAGE):
                done = rows[-1].change
                self.index.write(rows, [], done)
                self.step("repair.page")
            if done < change:
                self.index.write([], [], change)
        except TokenIndexError:
            return False
        return True

    async def rebuild(self) -> None:
        """A new generation from the vault, beside the one in force; commands go on meanwhile.

        Raises: VaultError, TokenIndexError.
        """
        async with self.turn:
            if self.rebuilding:
                raise TokenIndexError("the index is being rebuilt already", help="wait for it")
            self.rebuilding = True
        made = None
        try:
            async with self.turn:
                await self.settle()
                begun_at = await self.vault.change()
            made = self.index.rebuild()
            after = ""
            while rows := await self.vault.page(after, PAGE):
                made.add(rows, begun_at)
                after = rows[-1].token
                self.step("rebuild.page")
                await asyncio.sleep(0)
            async with self.turn:
                await self._put_in_force(made, begun_at)
        finally:
            self.rebuilding = False
            if made is not None:
                made.cancel()

    async def _put_in_force(self, made: index.Rebuild, begun_at: int) -> None:
        """Adds what has changed since, and lets every reader know."""
        await self.settle()
        change, done = await self.vault.change(), begun_at
        while rows := await self.vault.changed_after(done, PAGE):
            done = rows[-1].change
            made.amend([*rows], change)
        self.step("rebuild.filled")
        # A reader of an old generation that we cannot open, or not mark, learns of the new one only
        # when it looks: until then an order that has answered would not hold for it. Of a vault in
        # which nothing was ever ordered there is none.
        told = not self.index.why and not self.index.damaged
        made.finish(change, self.vault.id)
        self.step("rebuild.finished")
        # Whoever still reads the old generation learns now that it is no longer in force.
        self.index.mark_stale()
        self.index.look()
        if change and not told:
            await asyncio.sleep(LOOK_S)
        self.behind = False

    async def status(self) -> StatusShown:
        """How they stand."""
        change = await self.vault.change()
        stamp = self.index.stamp
        return StatusShown(
            tokens=await self.vault.count(),
            change=change,
            index_change=-1 if stamp is None else stamp[0],
            index_tokens=len(self.index),
            index_fault=self.fault(change),
            rebuilding=self.rebuilding,
        )

    async def tend(self) -> int:
        """Each minute: frees what dead readers held, looks whether all is well, and repairs.

        Returns how many dead readers there were. Raises: VaultError, TokenIndexError.
        """
        cleared = self.index.clear_stale_readers()
        if not self.rebuilding:
            await self.repair()
        return cleared

    async def close(self) -> None:
        """Gives up both; a process has an index open once only, so it must really be gone."""
        del self.index
        await self.vault.close()
