"""After a restart: what the journal says was in doubt or owed becomes work again.

In doubt means accepted and never answered. Nobody knows whether the request reached the bank, so it
is declined and reversed, like a time-out; the acquirer's repeat gets the decline. What was owed
goes on with the repeat form, since the first may have left. Runs before any link opens; running it
twice is as good as once, because the outcome of the doubtful is recorded and what is recorded is no
longer in doubt. A question about a balance is declined and not reversed: no money moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from switch.engine.effects import Effect, Undo
from switch.model import end
from switch.model.kind import Kind
from switch.model.response import TIMED_OUT
from switch.model.state import Cause

if TYPE_CHECKING:
    from switch.engine.ports import Recovered
    from switch.engine.reverse import Deliveries

__all__ = ["recover"]


def recover(recovered: Recovered, deliveries: Deliveries, now_ns: int) -> list[Effect]:
    """Takes up the owed reversals; returns what makes the doubtful ones owed too."""
    for reversal in recovered.owed:
        deliveries.add(reversal, now_ns, repeat=True)
    return [
        Undo(
            original.txn,
            TIMED_OUT,
            end.RESTART,
            Cause.NONE if original.kind == Kind.BALANCE else Cause.RESTART,
        )
        for original in recovered.in_doubt
    ]
