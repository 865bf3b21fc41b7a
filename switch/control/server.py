"""The worker's end of its control socket: one JSON line an order, one JSON line an answer.

Off the walk: it shares the loop with it and nothing else. Callers are our own user and root, as the
kernel says. What a caller may cost is bounded: connections, bytes of an order and of an answer,
the time until an order's line is whole, and the time until its answer is taken.

An order that was begun is brought to its end whoever goes away in between.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog

from switch.control.audit import Audit
from switch.control.order import Answer, By, Caller, Node, Order, signed
from switch.control.orders import PERFORM, decode_order
from switch.control.refusal import Refused, of_error
from switch.control.saf_write_off import recall
from switch.errors import AuditError, OrderError, TapswitchError, UsageError
from switch.runtime import local
from switch.runtime.clock import wall_ms
from switch.runtime.fault import places

__all__ = ["ANSWER_BYTES_MAX", "ORDER_BYTES_MAX", "Server"]

T = TypeVar("T")

log = structlog.get_logger("control")

ORDER_BYTES_MAX: Final = 16_384
ANSWER_BYTES_MAX: Final = 4 << 20
"""Sixty-four frames of the longest kind as hex, or a list of all members, have a part of it."""
CALLERS_MAX: Final = 16
"""Connections at a time; a further one is told so and closed."""
LINE_S: Final = 10.0
"""From one answer, or the connect, to the next order's last byte."""
LAST_WORD_S: Final = 2.0
"""A disk that stands still must not hold up the end of the worker."""
TAKE_S: Final = 10.0
"""Until a caller has read its answer."""


class Server:
    """Takes orders for one node until `close`."""

    def __init__(
        self, node: Node, file: Path, audit: Audit, users: frozenset[int] = frozenset()
    ) -> None:
        """`users`: uids that may give orders; empty: our own and root."""
        self._node = node
        self._file = file
        self._audit = audit
        self._writer = ThreadPoolExecutor(1, "audit")
        self._users = users or frozenset({os.getuid(), 0})
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()
        self._orders: set[asyncio.Task[Answer]] = set()
        self._no_orders: dict[int, int] = {}
        """What came that was no order, since the audit was told last; by uid."""

    async def start(self) -> None:
        """Listens. Raises: OperatorError."""
        try:
            await self._recorded(self._audit.open, os.getpid())
        except AuditError as error:
            # Payments go on; orders that change something are refused until it is mended.
            log.error("audit.unusable", code=error.code, reason=str(error))  # noqa: TRY400
        recall(self._node, self._audit.recent)
        self._audit.recent.clear()
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=local.listen(self._file), limit=ORDER_BYTES_MAX
        )

    async def close(self, *, last_word: bool = True) -> None:
        """No more orders; those under way get no answer any more.

        `last_word`: the audit says that the worker ends. Without, nobody waits for a disk.
        """
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._file.unlink(missing_ok=True)
        for task in (*self._callers, *self._orders):
            task.cancel()
        for task in (*self._callers, *self._orders):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if last_word:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.incidents(), LAST_WORD_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._recorded(self._audit.close), LAST_WORD_S)
        self._writer.shutdown(wait=False)

    async def answered(self, within_s: float) -> None:
        """Returns when every order has its answer, or after `within_s`."""
        async with asyncio.timeout(within_s):
            while self._orders:
                await asyncio.wait(set(self._orders))
            # The answers are on their way to their callers.
            await asyncio.sleep(0.02)

    async def by_signal(self, order: Order, name: str) -> Answer:
        """Carries out an order that a signal stands for. The system does not tell who sent it."""
        caller = Caller(0, -1, "")
        told = msgspec.structs.replace(order, by=By(actor=f"signal {name}"))
        task = asyncio.ensure_future(self._perform(told, caller))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return await asyncio.shield(task)

    async def incidents(self) -> None:
        """Tells the audit what members did that no payment system does by mistake, since it was
        told last: a record a member and kind, however often it came. And how much more came from
        whom that was no order."""
        no_orders, self._no_orders = self._no_orders, {}
        for uid, times in no_orders.items():
            if times > 1:
                await self._tell_no_orders(Caller(0, uid, local.user_of(uid)), times - 1)
        members: tuple[Any, ...] = (*self._node.acquirers.values(), *self._node.banks.values())
        for member in members:
            abuses, member.faults.abuses = member.faults.abuses, {}
            for kind, abuse in abuses.items():
                told = {"incident": kind, "member": member.name, **msgspec.to_builtins(abuse)}
                try:
                    await self._recorded(self._audit.incident, told)
                except AuditError as error:
                    log.error("audit.incident_unwritten", reason=str(error), **told)  # noqa: TRY400

    # -- one caller --------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._callers.add(task)
        try:
            caller = _caller(writer)
            refused = self._refuse(caller)
            if refused is not None:
                await _say(writer, await self._no_order(caller, refused))
                return
            try:
                while (line := await _line(reader)) is not None:
                    await _say(writer, await self._answer(line, caller))
            except OrderError as error:
                await _say(writer, await self._no_order(caller, error))
        except (OSError, TimeoutError):
            pass  # It went away, or sends nothing, or does not read: that is its own matter.
        except Exception as error:  # noqa: BLE001 - whatever a caller brings about, the worker stays
            log.error("control.caller_failed", error=type(error).__name__, at=places(error))  # noqa: TRY400
        finally:
            self._callers.discard(task)
            writer.close()

    def _refuse(self, caller: Caller) -> OrderError | None:
        if len(self._callers) > CALLERS_MAX:
            return OrderError(
                f"{CALLERS_MAX} callers have the control socket open",
                help="wait for them, or end them",
            )
        if caller.uid not in self._users:
            log.warning("control.refused", uid=caller.uid, pid=caller.pid)
            return OrderError(
                f"user {caller.user or caller.uid} may give no orders to this node",
                help="run the command as the user that the node runs as",
            )
        return None

    async def _answer(self, line: bytes, caller: Caller) -> Answer:
        try:
            order = decode_order(line)
        except msgspec.ValidationError as error:
            # msgspec names the place and the types; of an order's name, the name.
            return await self._no_order(caller, OrderError(f"this is no order: {error}"))
        except (ValueError, RecursionError):
            # Of msgspec's too: no JSON, no UTF-8, or deeper than anything means.
            return await self._no_order(caller, OrderError("this is no JSON"))
        task = asyncio.ensure_future(self._perform(order, caller))
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return await asyncio.shield(task)

    async def _no_order(self, caller: Caller, error: OrderError) -> Answer:
        """What came is refused before it is an order of anybody's, and the audit is told: of each
        user at once, and how often within a minute. Not what it was: it may be anything."""
        told = self._no_orders.get(caller.uid, 0)
        self._no_orders[caller.uid] = told + 1
        if told == 0:
            await self._tell_no_orders(caller, 1)
        return of_error(error)

    async def _tell_no_orders(self, caller: Caller, times: int) -> None:
        try:
            await self._recorded(self._audit.no_order, caller, OrderError.code, times)
        except AuditError as error:
            log.error("audit.refusal_unwritten", uid=caller.uid, times=times, reason=str(error))  # noqa: TRY400

    async def _perform(self, order: Order, caller: Caller) -> Answer:
        """The order, its record before it and its result behind it."""
        number = 0
        if order.will_change:
            try:
                number = await self._recorded(self._audit.order, order, caller)
            except AuditError as error:
                self._count(order, "refused")
                log.error("control.unaudited", action=order.action, reason=str(error))  # noqa: TRY400
                return of_error(error)
        answer, outcome = await self._outcome(order, caller)
        self._count(order, outcome)
        code, problem = "", ""
        if isinstance(answer, Refused):
            code, problem = answer.code, answer.problem
        try:
            if order.will_change:
                await self._recorded(self._audit.result, number, outcome, code, problem)
            elif order.audited:
                await self._recorded(self._audit.look, order, caller, outcome, code, problem)
        except AuditError as error:
            log.error("audit.result_unwritten", action=order.action, reason=str(error))  # noqa: TRY400
        if order.will_change or outcome != "done":
            n, digest = self._audit.newest
            log.info(
                "control.order",
                action=order.action,
                outcome=outcome,
                code=code,
                uid=caller.uid,
                pid=caller.pid,
                audit_record=n,
                audit_hash=digest,
            )
        return answer

    async def _outcome(self, order: Order, caller: Caller) -> tuple[Answer, str]:
        try:
            return await PERFORM[type(order)](signed(order, caller), self._node), "done"
        except TapswitchError as error:
            return of_error(error), "refused"
        except Exception as error:  # noqa: BLE001 - a fault in an order must not end the worker
            log.error(  # noqa: TRY400
                "control.order_failed",
                action=order.action,
                error=type(error).__name__,
                at=places(error),
                pid=caller.pid,
            )
            name = type(error).__name__
            return of_error(UsageError(f"it failed in the worker ({name}); see its log")), "failed"

    def _count(self, order: Order, result: str) -> None:
        try:
            self._node.driver.gauges.ordered(order.action, result)
        except KeyError:
            log.error("control.uncounted", action=order.action, help="enter it into ACTIONS")  # noqa: TRY400

    async def _recorded(self, write: Callable[..., T], *told: Any) -> T:
        """One record at a time, written by a thread: a disk that stands still stops no payment."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writer, write, wall_ms(), *told))


def _caller(writer: asyncio.StreamWriter) -> Caller:
    connected: socket.socket = writer.get_extra_info("socket")
    return Caller(*local.peer_of(connected))


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """The next order's line; None at the end of the stream. Raises: OrderError, too long."""
    try:
        async with asyncio.timeout(LINE_S):
            line = await reader.readline()
    except ValueError:
        raise OrderError(f"an order has at most {ORDER_BYTES_MAX} bytes") from None
    return line if line.endswith(b"\n") else None


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(_encoded(answer) + b"\n")
    async with asyncio.timeout(TAKE_S):
        await writer.drain()


def _encoded(answer: Answer) -> bytes:
    """An answer that cannot be told is no reason to end: the order is done."""
    try:
        line = msgspec.json.encode(answer)
    except Exception as error:  # noqa: BLE001 - what a value of our own may raise here is msgspec's
        name = type(error).__name__
        log.error("control.answer_untold", answer=type(answer).__name__, error=name)  # noqa: TRY400
        problem = f"the answer cannot be told ({name}); the order is done"
        return msgspec.json.encode(of_error(UsageError(problem)))
    return line if len(line) <= ANSWER_BYTES_MAX else msgspec.json.encode(_too_long(len(line)))


def _too_long(length: int) -> Refused:
    return of_error(
        UsageError(
            f"the answer has {length} bytes, more than {ANSWER_BYTES_MAX}; the order is done"
        )
    )
