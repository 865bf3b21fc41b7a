"""Runs a list of effects through the gate, in order, and feeds back what an effect brings about.

The one place where effect values become calls; `runtime/driver` and the playbooks both use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from switch.engine.effects import (
    AcceptReversal,
    Answer,
    Conclude,
    Decline,
    Effect,
    Forward,
    Note,
    Refuse,
    Repeat,
    Reverse,
    Settle,
    Undo,
)
from switch.model.state import Cause, ReversalEffect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from switch.engine.engine import Engine
    from switch.engine.ports import Gate

__all__ = ["perform"]


def perform(engine: Engine, gate: Gate, effects: Iterable[Effect], now_ns: int) -> None:
    """Executes `effects` in list order at monotonic `now_ns`.

    A reversal that an effect leaves owed goes back into the engine, whose `due` sends it; one that
    no connection took is reported back, so that its first real send is still the 0420.
    """
    for effect in effects:
        match effect:
            case Conclude(txn, code, end, cause, bank_code):
                reversal = gate.conclude(txn, code, end, cause, bank_code)
                if reversal is not None:
                    engine.owed(reversal, now_ns)
            case Repeat(message, slot, acquirer):
                gate.repeat(message, slot, acquirer)
            case AcceptReversal(message, slot, number, acquirer, original, what):
                reversal = gate.accept_reversal(message, slot, number, acquirer, original, what)
                if reversal is not None:
                    engine.owed(reversal, now_ns)
                elif what is ReversalEffect.REVERSE:
                    gate.note("impossible", original)
            case Reverse(reversal, again):
                if gate.reverse(reversal, again):
                    engine.reversal_sent(reversal)
                else:
                    engine.reversal_unsent(reversal, now_ns)
            case Settle(reversal, result, end):
                gate.settle(reversal, result, end)
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
            case Refuse(message, slot, code, end):
                gate.refuse(message, slot, code, end)
            case Forward() | Answer():
                gate.note("impossible", effect.txn.id)
