"""What was sent on one connection to a bank, and what became of it: counters that only grow."""

from typing import Final

__all__ = ["NOBODY", "Tally"]


class Tally:
    """One connection's requests. The walk adds to it; whoever judges the link reads it."""

    __slots__ = ("answered", "dropped", "expired", "sent")

    def __init__(self) -> None:
        self.sent = 0
        """Given to the connection."""
        self.answered = 0
        """Answered in time, on whichever connection of the bank."""
        self.expired = 0
        """Reached their deadline without an answer."""
        self.dropped = 0
        """Taken back before they left."""


NOBODY: Final = Tally()
"""Where a request counts that was given to no connection."""
