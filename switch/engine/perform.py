"""Runs a list of effects through the gate, in order, and feeds back what an effect brings about.

The one place where effect values become calls; `runtime/driver` and the playbooks both use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from switch.engine.effects import (
    AcceptAdvice,
    AcceptReversal,
    Answer,
    Conclude,
    Decline,
    Deliver,
    Effect,
    Forward,
    Note,
    Refuse,
    Repeat,
    Settle,
    StandIn,
    Undo,
)
from switch.engine.events import Event
from switch.engine.ports import Delivering
from switch.model.state import Cause, ReversalEffect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from switch.engine.engine import Engine
    from switch.engine.ports import Gate

__all__ = ["perform"]


def perform(engine: Engine, gate: Gate, effects: Iterable[Effect], now_ns: int) -> None:
    """Executes `effects` in list order at monotonic `now_ns`.

    What an effect leaves owed goes back into the engine, whose `due` sends it; what no connection
    took is reported back, so that its first real send is still in the first form.
    """
    for effect in effects:
        match effect:
            case Conclude(txn, code, end, cause, bank_code):
                reversal = gate.conclude(txn, code, end, cause, bank_code)
                if reversal is not None:
                    engine.owed(reversal, now_ns)
            case StandIn(txn, rule, why, event, cause):
                forwarded = event is not Event.REFUSED
                fit, owed = gate.stand_in(txn, rule, why, cause, forwarded=forwarded)
                for one in owed:
                    engine.owed(one, now_ns)
                perform(engine, gate, engine.stood_in(effect, fit), now_ns)
            case Repeat(message, slot, acquirer):
                gate.repeat(message, slot, acquirer)
            case AcceptReversal(message, slot, number, acquirer, original, what):
                reversal = gate.accept_reversal(message, slot, number, acquirer, original, what)
                if reversal is not None:
                    engine.owed(reversal, now_ns)
                elif what is ReversalEffect.REVERSE:
                    gate.note("impossible", original)
            case AcceptAdvice(message, slot, number, acquirer, issuer):
                advice = gate.accept_advice(message, slot, number, acquirer, issuer)
                if advice is not None:
                    engine.owed(advice, now_ns)
            case Deliver(owed, again):
                match gate.deliver(owed, again):
                    case Delivering.SENT:
                        engine.delivered(owed)
                    case Delivering.DOWN:
                        engine.undelivered_yet(owed, now_ns)
                    case _:
                        perform(engine, gate, engine.undeliverable(owed), now_ns)
            case Settle(owed, result, end, who, why):
                gate.settle(owed, result, end, who, why)
            case Undo(number, code, end, cause):
                reversal = gate.undo(number, code, end, cause)
                if reversal is not None:
                    engine.owed(reversal, now_ns)
                elif cause is Cause.RESTART:
                    gate.note("still_in_doubt", number)
            case Note(text, number):
                gate.note(text, number)
            case Decline(message, slot, number, acquirer, code, end, reason):
                gate.decline(message, slot, number, acquirer, code, end, reason)
            case Refuse(message, slot, code, end, conflicting):
                gate.refuse(message, slot, code, end)
                if conflicting >= 0:
                    gate.conflict(conflicting, slot)
            case Forward() | Answer():
                gate.note("impossible", effect.txn.id)
