"""Where terminals sign on: asks where one stands, looks the answer up in the table, and acts.

Rare next to the walk. The registry is a file that an operator changes while we run; `look` notices
a new one.
"""

import os
from typing import TYPE_CHECKING, Final

import structlog

from switch.errors import JournalError, KeyFileError
from switch.link.terminal import SIGN_ON_AGAIN, TABLE, TERMINAL_CODES, Act, Standing, wanted
from switch.model.kind import Kind
from switch.model.response import INVALID_TRANSACTION, SYSTEM_ERROR
from switch.runtime.clock import wall_ms, wall_s

if TYPE_CHECKING:
    from switch.native import journal, terminal
    from switch.runtime.driver import Driver
    from switch.wire import Message

__all__ = ["Desk", "ask_to_sign_on"]

log = structlog.get_logger("terminals")

_AGAIN: Final = f"header.{SIGN_ON_AGAIN[0]}"


class Desk:
    """One per worker that has terminals."""

    def __init__(
        self, terminals: "terminal.Terminals", file: str, keys: "journal.Keys", driver: "Driver"
    ) -> None:
        self.terminals = terminals
        self._file = file
        self._keys = keys
        self._driver = driver
        self._seen = _stamp(file)

    def network(self, message: "Message", slot: int) -> None:
        """A network management message of a terminal."""
        driver = self._driver
        if message.kind == Kind.NETWORK_REPLY:
            driver.counts["link_reply_strange"] += 1
            return
        now_s = wall_s()
        standing = Standing(driver.native.standing(message, slot))
        code = message.get("network_code") or ""
        act = TABLE[standing][wanted(code)]
        try:
            if act is Act.ISSUE:
                batch = message.get("batch") or ""
                if not driver.native.sign_on(message, slot, code, batch, wall_ms()):
                    driver.native.network_answer(message, slot, INVALID_TRANSACTION, now_s)
            elif act is Act.FORGET:
                driver.native.sign_off(message, slot, wall_ms())
            else:
                driver.native.network_answer(message, slot, TERMINAL_CODES[act], now_s)
        except JournalError:
            # Full, or behind a disk that stands still: nothing was recorded, no key was told.
            if driver.journal.failure is not None:
                raise
            driver.native.network_answer(message, slot, SYSTEM_ERROR, now_s)
        driver.counts[f"terminal_{act.name.lower()}"] += 1
        driver.gate.urgent = True
        driver.arm()

    def sign_off(self, acquirer: str, terminal_id: str, at_ms: int) -> bool:
        """By order: the terminal has no work keys from now on. False when it had none."""
        done = self._driver.native.terminal_off(self.terminals, acquirer, terminal_id, at_ms)
        if done:
            log.info("terminal.signed_off", acquirer=acquirer, terminal=terminal_id)
            self._driver.arm()
        return done

    def look(self) -> None:
        """Puts a changed registry in force; one that does not open leaves the old one."""
        stamp = _stamp(self._file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.terminals.install(self._file, self._keys)
        except KeyFileError as error:
            log.warning("terminals.refused", problem=error.problem, file=self._file)
            return
        generation, count, _, signed_on = self.terminals.figures
        log.info("terminals.changed", generation=generation, terminals=count, signed_on=signed_on)


def ask_to_sign_on(message: "Message") -> None:
    """The answer to this message asks its terminal to sign on again, where a header can say so."""
    if _AGAIN in message.header:
        message.order(*SIGN_ON_AGAIN)


def _stamp(file: str) -> tuple[int, int, int]:
    """Tells one file from the next; the registry is replaced as a whole."""
    try:
        status = os.stat(file)
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)
