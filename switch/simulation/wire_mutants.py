"""Defects in what is made of frames that nobody can read, and in whose turn it is."""

from collections.abc import Callable
from typing import Any, Final

from switch.errors import DecodeError, PeerError
from switch.runtime.driver import Driver
from switch.runtime.intake import Intake
from switch.runtime.listener import AcquirerConnection, BankConnection
from switch.simulation.instead import Mutant, instead

__all__ = ["WIRE_MUTANTS"]

READ: Final = (
    "pan", "processing_code", "amount", "transmission_time", "stan", "local_time", "local_date",
    "expiry", "mcc", "entry_mode", "condition_code", "acquirer_code", "rrn", "terminal_id",
    "merchant_id",
)  # fmt: skip
WIRE_MUTANTS: Final[dict[str, Mutant]] = {}


def _mutant(owner: Any, name: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def enter(made: Callable[[Any], Any]) -> Callable[[Any], Any]:
        right = owner.__dict__[name]
        label = made.__name__.replace("_", "-")
        WIRE_MUTANTS[label] = lambda: instead(owner, name, made(right))
        return made

    return enter


def _partial(item: Any) -> Any:
    """What was read before the fault."""
    return item.partial if isinstance(item, DecodeError) else None


def _completed(dialect: Any, partial: Any) -> Any:
    """A message of what was read, with a currency that is likely."""
    found = {name: partial.reveal(name) for name in READ}
    values = {name: value for name, value in found.items() if value is not None}
    return dialect.decode_frame(dialect.encode(partial.mti, {"currency": "156", **values}))


@_mutant(AcquirerConnection, "_rare")
def unreadable_request_taken(right: Any) -> Any:
    """What was read before the fault is taken for the whole request."""

    def rare(self: Any, item: Any, now_ns: int, now_s: int) -> None:
        partial = _partial(item)
        if partial is None or partial.stan < 0 or not self.open:
            right(self, item, now_ns, now_s)
            return
        whole = _completed(self.dialect, partial)
        effects = self.driver.engine.request(whole, self.slot, self._index, now_ns, now_s)
        if effects:
            self.driver.run(effects, now_ns)

    return rare


@_mutant(AcquirerConnection, "_rare")
def unreadable_not_refused(right: Any) -> Any:
    """A request that cannot be read is dropped without a word."""

    def rare(self: Any, item: Any, now_ns: int, now_s: int) -> None:
        if isinstance(item, DecodeError):
            self._undecodable(item)
        else:
            right(self, item, now_ns, now_s)

    return rare


@_mutant(BankConnection, "_rare")
def unreadable_answer_taken(right: Any) -> Any:
    """What was read of a bank's answer before the fault is taken for all of it."""

    def rare(self: Any, item: Any, now_ns: int) -> None:
        partial = _partial(item)
        txn = self._match(partial) if partial is not None and partial.stan >= 0 else None
        if txn is None:
            right(self, item, now_ns)
            return
        effects = self._engine_reply(txn, partial, now_ns)
        if effects:
            self.driver.run(effects, now_ns)

    return rare


@_mutant(Intake, "_take")
def turn_without_end(right: Any) -> Any:
    """Whoever has his turn is served until nothing of his waits."""
    return lambda self, acquirer, _left, *now: right(self, acquirer, 1 << 20, *now)


@_mutant(Driver, "broken")
def lost_stream_read_on(right: Any) -> Any:
    """A connection on which nobody knows where a frame begins is left open."""

    def broken(self: Any, connection: Any, error: Exception) -> None:
        if not isinstance(error, PeerError):
            right(self, connection, error)

    return broken
