"""What keeps the journal in shape while traffic flows: checkpoints in small steps, old segments
away.

A checkpoint carries what a later start must know (request keys, marks, reversals owed), so that the
segments before it may go. Each step is bounded and runs on the loop, between ticks of traffic;
deleting files takes milliseconds and runs beside it.
"""

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from switch.runtime.clock import monotonic_ns, wall_ms

if TYPE_CHECKING:
    from switch.native import journal, walk
    from switch.runtime.driver import Driver

__all__ = ["Upkeep"]

log = structlog.get_logger("journal")

HOUR_MS: Final = 3_600_000
DELETE_EVERY_NS: Final = 10_000_000_000
"""How often covered segments are looked for once a checkpoint has been completed."""


class Upkeep:
    """Called by the timer."""

    def __init__(
        self,
        driver: "Driver",
        native: "walk.Gate",
        records: "journal.Journal",
        retention_h: int,
    ) -> None:
        self._driver = driver
        self._native = native
        self._journal = records
        self._retention_ms = retention_h * HOUR_MS
        self.delete_after_ns = DELETE_EVERY_NS
        """From the end of a checkpoint to the removal of what it covers."""
        self._delete_at_ns = 0
        self._deleting: asyncio.Future[int] | None = None
        self._shortage: str | None = None

    def adopt(self, retention_h: int) -> None:
        """Another retention from the next deletion on."""
        self._retention_ms = retention_h * HOUR_MS

    def step(self) -> None:
        """One bounded step of what is due, mostly nothing."""
        if self._native.checkpoint_due():
            now_ms = wall_ms()
            if self._native.checkpoint(now_ms):
                log.info("journal.checkpoint")
                # The checkpoint's last record must be durable first; a while later it is.
                self._delete_at_ns = monotonic_ns() + self.delete_after_ns
            self._driver.arm()
        if self._delete_at_ns:
            self._delete()

    def watch(self) -> None:
        """Says once that the disk is short of room, and once that it is not any longer."""
        shortage = self._journal.shortage
        if shortage != self._shortage:
            self._shortage = shortage
            if shortage is None:
                log.info("journal.room", reason="segments can be prepared again")
            else:
                log.error("journal.shortage", reason=shortage)

    async def finish(self) -> None:
        """Waits for a deletion under way; the journal may be closed then."""
        self._delete_at_ns = 0
        if self._deleting is not None:
            await self._deleting

    def _delete(self) -> None:
        if monotonic_ns() < self._delete_at_ns or (self._deleting and not self._deleting.done()):
            return
        self._delete_at_ns = 0
        before_ms = wall_ms() - self._retention_ms
        loop = asyncio.get_running_loop()
        self._deleting = loop.run_in_executor(None, self._journal.delete_covered, before_ms)
        self._deleting.add_done_callback(self._deleted)

    @staticmethod
    def _deleted(deleting: "asyncio.Future[int]") -> None:
        error = deleting.exception()
        if error is not None:
            log.error("journal.delete_failed", error=type(error).__name__)
        elif deleting.result():
            log.info("journal.deleted", segments=deleting.result())
