"""Order `terminal-sign-off`: a terminal has no work keys from now on, until it signs on again.

Recorded in the journal, so it holds over a restart. Nothing is sent: its next message is answered
A0 with the request to sign on again. What is in flight ends as it would.
"""

from typing import Final

from switch.control.order import Answer, Node, Order
from switch.errors import OrderError
from switch.runtime.clock import wall_ms
from switch.settings.nearest import suggest

__all__ = ["TerminalDone", "TerminalSignOff", "perform"]

_DONE: Final = "signed off: it signs on again before anything else"


class TerminalSignOff(Order, frozen=True, kw_only=True, tag="terminal-sign-off"):
    """Answered by `TerminalDone`."""

    acquirer: str
    terminal_id: str


class TerminalDone(Answer, frozen=True, kw_only=True, tag="terminal"):
    """What was done to a terminal."""

    acquirer: str
    terminal_id: str
    did: str


async def perform(order: TerminalSignOff, node: Node) -> TerminalDone:
    """Raises: OrderError: no such acquirer, or the terminal is not signed on."""
    names = [acquirer.name for acquirer in node.acquirers.values()]
    if order.acquirer not in names:
        raise OrderError(
            f'this node has no acquirer "{order.acquirer}"', help=suggest(order.acquirer, names)
        )
    desk = node.desk
    done = desk is not None and desk.sign_off(order.acquirer, order.terminal_id, wall_ms())
    if not done:
        raise OrderError(
            f"terminal {order.terminal_id} of {order.acquirer} is not signed on",
            help="tapswitch terminal show says whether there is one",
        )
    return TerminalDone(acquirer=order.acquirer, terminal_id=order.terminal_id, did=_DONE)
