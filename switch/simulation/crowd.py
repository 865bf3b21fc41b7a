"""L4: a noisy acquirer beside a quiet one, in a world in which work takes time.

Everything else in a world happens at an instant. Here each message of an acquirer that is handled
costs the node virtual time, and each that is refused unread a sixteenth of it: the clock goes on
while it works, as on one processor. The noisy acquirer offers a multiple of what the node can do.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from switch.runtime.intake import Intake
from switch.runtime.listener import AcquirerConnection
from switch.simulation.broken import Broken
from switch.simulation.chance import stream
from switch.simulation.ground import acquirer_code
from switch.simulation.instead import instead
from switch.simulation.loop import VirtualLoop

if TYPE_CHECKING:
    from switch.simulation.oracles import Evidence
    from switch.simulation.plan import Plan

__all__ = ["COST_US", "NOISY_TIMES", "QUIET_US", "charging", "crowd_rules", "crowded"]

COST_US: Final = 200
"""Of one message: five thousand a second."""
REFUSALS: Final = 16
"""That cost as much as one message."""
QUIET_US: Final = 2_000
"""Between two requests of the quiet acquirer: a tenth of what the node can do."""
NOISY_TIMES: Final = 6
"""Requests of the noisy one, for each transaction that a world has otherwise."""
IN_FLIGHT: Final = 512
"""Of the noisy one, that may be under way."""
WAIT_US: Final = IN_FLIGHT * COST_US
"""A quiet request that waits longer has stood behind all of it. With turns it passes the loop some
five times, each time behind one turn of the noisy one: sixty milliseconds were seen."""
SHARE: Final = 0.05
"""Of all worlds."""


def crowded(plan: "Plan") -> "Plan":
    """A plan as it was drawn, or in a share of them a crowd in its place: no other faults."""
    rng = stream(plan.seed, "crowd")
    if rng.random() >= SHARE:
        return plan
    return plan.without(
        crowd=rng.choice((2, 3, 5)), acquirers=2, links=rng.choice((1, 2, 3)), banks=1,
        accepts=False, deadline_ms=600, timeout_ms=1_000, in_flight_max=IN_FLIGHT, stans=9_000,
        grain_s=1, disk_us=(10, 100, 300), latency_us=(30, 80), taps=0.0, stand_in=0, orders=0,
        hours_off=0, segment_bytes=262_144, here=False, faults={}, aims=(),
    )  # fmt: skip


@contextlib.contextmanager
def charging(loop: VirtualLoop) -> Iterator[None]:
    """While it is entered, work takes time."""
    handle, refuse = AcquirerConnection.handle, Intake._refuse

    def charged(self: Any, items: list[Any], now_ns: int, now_s: int) -> None:
        for item in items:
            loop.spend(COST_US * 1e-6)
            handle(self, [item], now_ns, now_s)

    def refused(self: Any, *args: Any) -> tuple[int, int]:
        count, passed = refuse(self, *args)
        loop.spend(count * COST_US / REFUSALS * 1e-6)
        return count, passed

    with instead(AcquirerConnection, "handle", charged), instead(Intake, "_refuse", refused):
        yield


def crowd_rules(evidence: "Evidence") -> Iterator[Broken]:
    """L4: the quiet acquirer is served, and soon."""
    if not evidence.plan.crowd:
        return
    for slot, body in evidence.bodies():
        if slot.acquirer != acquirer_code(0):
            continue
        first = next(iter(body.told), None)
        if first is None or first.code != "00":
            said = first.code if first is not None else "nothing"
            yield Broken("L4", f"a quiet acquirer was told {said} beside a noisy one", slot.key)
        elif first.at_ns - body.sent[0][0] > WAIT_US * 1_000:
            waited_ms = (first.at_ns - body.sent[0][0]) // 1_000_000
            yield Broken("L4", f"a quiet acquirer waited {waited_ms} ms for a noisy one", slot.key)
