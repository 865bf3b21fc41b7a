"""After a restart: what the journal says was in doubt or owed becomes work again.

In doubt means accepted and never answered. Nobody knows whether the request reached the bank, so it
is declined and reversed, like a time-out; the acquirer's repeat gets the decline. What was owed
goes on with the repeat form, since the first may have left. Runs before any link opens; running it
twice is as good as once, because the outcome of the doubtful is recorded and what is recorded is no
longer in doubt. A question about a balance is declined and not reversed: no money moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from switch.engine.duty import Stage
from switch.engine.effects import DEAD, HELD, PARKED, Effect, Undo
from switch.model import end
from switch.model.kind import Kind
from switch.model.response import TIMED_OUT
from switch.model.state import Cause

if TYPE_CHECKING:
    from switch.engine.deliver import Deliveries
    from switch.engine.ports import Recovered

__all__ = ["STAGES", "recover"]


STAGES: Final = {PARKED: Stage.PARKED, DEAD: Stage.DEAD, HELD: Stage.HELD}
"""What rested, rests."""


def recover(recovered: Recovered, deliveries: Deliveries, now_ns: int, now_ms: int) -> list[Effect]:
    """Takes up what was owed, as old as it is by the wall clock and where it stood; returns what
    makes the doubtful ones owed too."""
    # By age, since that is the order in which they die; of one transaction the list knows better.
    for owed in sorted(recovered.owed, key=lambda owed: (owed.owed_ms, owed.txn, owed.duty)):
        stage = STAGES.get(owed.standing)
        age_ms = now_ms - owed.owed_ms
        deliveries.add(owed, now_ns, repeat=True, age_ms=age_ms, stage=stage, why=owed.why)
    return [
        Undo(
            original.txn,
            TIMED_OUT,
            end.RESTART,
            Cause.NONE if original.kind == Kind.BALANCE else Cause.RESTART,
        )
        for original in recovered.in_doubt
    ]
