"""Locust's users: a shop's terminal and a subway gate. Each has its own due times.

A request is made ahead, so that neither encoding nor a cryptogram stands between due and sent. It
is told twice: `0200 due` counts from when it was due, `0200 sent` from when it was sent. A decline
is a success with its code in the context; silence and what cannot be read are failures.
"""

import time
from typing import Any, ClassVar

import gevent
from locust import User, task

from loadtest.line import BrokenError, SilenceError
from loadtest.mix import Mix, Terminals
from loadtest.recorder import Recorder
from loadtest.schedule import Due
from loadtest.terminal import MTI, Outcome, Prepared, Terminal
from loadtest.work import Work

__all__ = ["GateUser", "Hands", "TerminalUser"]

MS: float = 1e-6


class Hands:
    """What the users of this process work with; set before the first of them starts."""

    work: ClassVar[Work]
    recorder: ClassVar[Recorder]


class _SocketUser(User):
    """One terminal on one blocking socket."""

    abstract = True
    kind: ClassVar[Terminals]
    mix: ClassVar[Mix]

    def on_start(self) -> None:
        work = Hands.work
        self.terminal = Terminal(work, self.kind)
        times_s = (Hands.recorder.start_ns / 1e9, time.monotonic())
        number = work.number_among_all(self.terminal.number)
        self.due = Due(self.kind.rate, self.mix.arrivals, number, times_s, work.rng)
        self._open()
        self.next_request: Prepared = self.terminal.prepare()
        gevent.sleep(self.wait_time())

    def on_stop(self) -> None:
        self.terminal.line.close()

    def wait_time(self) -> float:
        """Until the next request is due; nothing of what was missed is forgotten."""
        return max(0.0, self.due.next_s - time.monotonic())

    @task
    def pay(self) -> None:
        """One sale at its due time, and what must follow from it."""
        # A hub whose clock is behind wakes early; nothing is sent before it is due.
        while (left_s := self.wait_time()) > 0:
            gevent.sleep(left_s)
        # Locust ends a user that waits by a blow that may land just after it went on. A sale that
        # was begun must come to its end, or nobody knows its outcome: it is a greenlet of its own.
        sale = gevent.spawn(self._sell, int(self.due.take() * 1e9))
        try:
            sale.get()
        except gevent.GreenletExit:
            sale.join()
            raise

    def _sell(self, due_ns: int) -> None:
        request = self.next_request
        if not self._open():
            self.terminal.not_sent(request)
            Hands.recorder.not_sent(MTI, due_ns)
            self.next_request = self.terminal.prepare()
            return
        stale = self.terminal.line.stale
        outcome = self.terminal.ask(request)
        self._tell(outcome, due_ns)
        if not outcome.code:
            self._reverse(request, outcome.problem)
        elif outcome.code == "00" and Hands.work.rng.random() < self.kind.cancel:
            self._reverse(request, "cancel")
        if late := self.terminal.line.stale - stale:
            Hands.recorder.late(MTI, late)
        self.next_request = self.terminal.prepare()

    def _reverse(self, request: Prepared, why: str) -> None:
        due_ns = time.monotonic_ns()
        outcome, _ = self.terminal.reverse(request, why, gevent.sleep)
        self._tell(outcome, due_ns)

    def _open(self) -> bool:
        try:
            self.terminal.line.open()
        except (BrokenError, SilenceError) as error:
            self.environment.events.request.fire(
                request_type="TCP", name="connect", response_time=0, response_length=0,
                exception=error, context={},
            )  # fmt: skip
            return False
        return True

    def _tell(self, outcome: Outcome, due_ns: int) -> None:
        times = (due_ns, outcome.sent_ns, outcome.end_ns)
        if outcome.code:
            declined = outcome.code != "00"
            Hands.recorder.answered(outcome.kind, times, outcome.code, declined=declined)
        else:
            Hands.recorder.failed(outcome.kind, times, silent=outcome.silent)
        error = None if outcome.code else RuntimeError(outcome.problem)
        context: dict[str, Any] = {"rc": outcome.code}
        for name, from_ns in ((" due", due_ns), (" sent", outcome.sent_ns)):
            self.environment.events.request.fire(
                request_type="TCP",
                name=outcome.kind + name,
                response_time=(outcome.end_ns - from_ns) * MS,
                response_length=0,
                exception=error,
                context=context,
            )


class TerminalUser(_SocketUser):
    """A shop's terminal."""

    abstract = True


class GateUser(_SocketUser):
    """A subway gate."""

    abstract = True
