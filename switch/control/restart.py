"""Order `restart`: the worker makes way for the next one, which stands ready before it begins to
drain. Whoever connects in between waits; nobody is refused, nothing is lost or doubled."""

import os

from switch.control.order import Answer, Node, Order

__all__ = ["Restart", "Restarting", "perform"]


class Restart(Order, frozen=True, kw_only=True, tag="restart"):
    """Answered by `Restarting`, when the next worker stands ready and this one begins to drain."""

    within_s = 70.0


class Restarting(Answer, frozen=True, kw_only=True, tag="restarting"):
    """It makes way now."""

    pid: int
    in_flight: int
    """Requests that it answers yet."""


async def perform(order: Restart, node: Node) -> Restarting:
    """Raises: OrderError when the next worker cannot start; then this one stays."""
    await node.restart()
    return Restarting(pid=os.getpid(), in_flight=node.driver.engine.in_flight)
