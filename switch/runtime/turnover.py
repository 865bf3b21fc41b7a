"""Connections that are replaced one after the other while traffic flows, or closed for good.

A connection of a bank is taken out of the turns; when everything that was at the bank by then has
its answer (or has met its deadline) it is signed off and closed, and its dialler dials anew. The
next one goes only when the bank is back where it was. A bank's single connection is replaced by
making the new one first, where the bank lets us.

A connection of an acquirer is closed at a moment at which it waits for nothing; when none comes
within `QUIET_S`, it is not read from any more until there is one. A request that its host had under
way at that moment is not answered: the host repeats it, or reverses it, as after any lost line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final

import structlog

from switch.runtime.drain import LAST_BYTES_S, SIGN_OFF_S, let_go, until
from switch.runtime.listener import AcquirerConnection, BankConnection
from switch.runtime.transport import Paused

if TYPE_CHECKING:
    from switch.runtime.driver import Driver
    from switch.runtime.member import Acquirer, Bank
    from switch.runtime.transport import Connection

__all__ = ["BOUNCED", "Turnover"]

log = structlog.get_logger("turnover")

BOUNCED: Final = "reload"
"""Reason of the end of a connection, for log and metric."""
QUIET_S: Final = 1.0
"""How long an acquirer's connection is watched for a moment without a request."""
BACK_S: Final = 3.0
"""How long the next connection waits for the one before to be back."""
AT_ONCE_SHARE: Final = 4
"""One in so many of an acquirer's connections is replaced at a time."""


class Turnover:
    """One per worker; one task a member at most, so that a second reload finds the first one's."""

    def __init__(self, driver: "Driver", stale: "Callable[[Connection], bool]") -> None:
        """`stale`: made under terms that are no longer in force."""
        self._driver = driver
        self._stale = stale
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> list[str]:
        """Members whose connections are being replaced or closed."""
        return [name for name, task in self._tasks.items() if not task.done()]

    async def settled(self) -> None:
        """Returns when nothing is being replaced."""
        while tasks := [task for task in self._tasks.values() if not task.done()]:
            await asyncio.wait(tasks)

    def stop(self) -> None:
        """The worker ends: its own drain sees to every connection."""
        for task in self._tasks.values():
            task.cancel()

    # ------------------------------------------------------------------------------ beginnings

    def replace_acquirer(self, acquirer: "Acquirer") -> None:
        """Closes its stale connections, some at a time; it connects anew by itself."""
        self._begin(acquirer.name, self._acquirer(acquirer))

    def replace_bank(self, bank: "Bank", more: Callable[[int], None] | None) -> None:
        """Replaces its stale connections. `more` tells its dialler how many connections there may
        be besides; None where the bank connects to us."""
        self._begin(bank.name, self._bank(bank, more))

    def close_acquirer(self, acquirer: "Acquirer", then: Callable[[], None]) -> None:
        """Closes all its connections; `then` is called when nothing of it is in flight."""
        self._begin(acquirer.name, self._acquirer_gone(acquirer, then))

    def close_bank(self, bank: "Bank", then: Callable[[], None]) -> None:
        """Closes all its connections once nothing is in flight at it, then calls `then`."""
        self._begin(bank.name, self._bank_gone(bank, then))

    def cancel(self, name: str) -> None:
        """Nothing of this member is closed any more, but for what was begun."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def _begin(self, name: str, work: Awaitable[None]) -> None:
        self.cancel(name)
        self._tasks[name] = asyncio.ensure_future(self._guarded(name, work))

    async def _guarded(self, name: str, work: Awaitable[None]) -> None:
        try:
            await work
            log.info("turnover.done", member=name)
        except Exception as error:  # noqa: BLE001 - a fault of ours: stop while the journal is right
            self._driver.fault(error)

    # -------------------------------------------------------------------------------- acquirers

    async def _acquirer(self, acquirer: "Acquirer") -> None:
        while old := self._old(acquirer.connections.values()):
            await self._close_some(old[: max(1, len(old) // AT_ONCE_SHARE)])

    async def _acquirer_gone(self, acquirer: "Acquirer", then: Callable[[], None]) -> None:
        while acquirer.connections:
            await self._close_some(list(acquirer.connections.values()))
        await until(lambda: not acquirer.in_flight)
        then()

    async def _close_some(self, links: "Iterable[Connection]") -> None:
        await asyncio.gather(
            *(self._close(one) for one in links if isinstance(one, AcquirerConnection))
        )

    async def _close(self, link: AcquirerConnection) -> None:
        slot, driver = link.slot, self._driver
        link.leaving = True

        def quiet() -> bool:
            held = driver.native.held_bytes(slot)
            return link.transport is None or not (held or driver.engine.answering(slot))

        if not await until(quiet, QUIET_S):
            link.pause_reading(Paused.DRAINING)
            await until(quiet)
        await let_go([link], BOUNCED, LAST_BYTES_S)

    # ------------------------------------------------------------------------------------ banks

    async def _bank(self, bank: "Bank", more: Callable[[int], None] | None) -> None:
        while old := self._old(bank.connections.values()):
            link = old[0]
            ready = len(bank.ready)
            if more is not None and len(bank.connections) == 1:
                more(1)
                await _ready(bank, 2)
                more(0)
                await self._sign_off(bank, link)
                continue
            await self._sign_off(bank, link)
            await _ready(bank, ready)

    async def _bank_gone(self, bank: "Bank", then: Callable[[], None]) -> None:
        await until(lambda: not bank.matcher.in_flight)
        while bank.connections:
            links = [one for one in bank.connections.values() if isinstance(one, BankConnection)]
            await asyncio.gather(*(self._sign_off(bank, one) for one in links))
        then()

    async def _sign_off(self, bank: "Bank", link: "Connection") -> None:
        assert isinstance(link, BankConnection)
        link.leaving = True
        bank.refresh()
        slot, native = link.slot, self._driver.native
        asked = list(bank.matcher.in_flight.values())

        def answered() -> bool:
            there = bank.matcher.in_flight
            return not native.held_bytes(slot) and not any(
                there.get(txn.out_stan) is txn for txn in asked
            )

        await until(lambda: link.transport is None or answered())
        if link.transport is not None:
            link.reason = link.reason or BOUNCED
            link.sign_off()
        await until(lambda: link.transport is None, SIGN_OFF_S)
        link.close(BOUNCED)
        if not await until(lambda: link.transport is None, LAST_BYTES_S):
            link.abort(BOUNCED)
            await until(lambda: link.transport is None)

    def _old(self, links: "Iterable[Connection]") -> "list[Connection]":
        """Also those whose closing was begun and then called off: they are read no more."""
        return [
            one for one in links if one.transport is not None and (one.leaving or self._stale(one))
        ]


async def _ready(bank: "Bank", wanted: int) -> None:
    """Waits until so many of its connections carry traffic, but not for ever."""
    await until(lambda: len(bank.ready) >= wanted, BACK_S)
