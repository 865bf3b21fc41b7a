"""What one operator asked for and another has to confirm: nobody has the final word alone.

Asked for is asked for a quarter of an hour. Both orders stand in the audit, the refused ones too,
and from there a worker that starts again knows what was asked of the one before
(`saf_write_off.recall`): from a chain that shows when somebody changed it, not from a file of its
own that anybody may have written.

**Who is another.** The person behind sudo where there is one, else the user as the kernel knows
them. Who may log in as the node's own user may claim any name; what the audit has of such a caller
is the claim, the uid and the process.
"""

from typing import Final

import msgspec

from switch.errors import OrderError
from switch.runtime.clock import SECOND

__all__ = ["ASKED_MAX", "VALID_S", "Approvals", "Asked"]

VALID_S: Final = 900
"""From the asking until it is asked for no longer."""
ASKED_MAX: Final = 1_000
"""At a time; a further one is refused."""

Key = tuple[str, int, int]
"""Order, transaction, duty."""


class Asked(msgspec.Struct, frozen=True):
    """By whom, why, until when."""

    who: str
    why: str
    until_ns: int


class Approvals:
    """What waits for a second operator's word."""

    def __init__(self) -> None:
        self._asked: dict[Key, Asked] = {}

    def of(self, key: Key, now_ns: int) -> Asked | None:
        """What was asked for and is still good."""
        asked = self._asked.get(key)
        return asked if asked is not None and now_ns < asked.until_ns else None

    def ask(
        self, key: Key, who: str, why: str, now_ns: int, valid_ns: int = VALID_S * SECOND
    ) -> Asked:
        """Asks for it, or anew in the place of who asked before. Raises: OrderError: too many."""
        self._asked = {at: one for at, one in self._asked.items() if now_ns < one.until_ns}
        if key not in self._asked and len(self._asked) >= ASKED_MAX:
            raise OrderError(
                f"{ASKED_MAX} orders wait for a second operator",
                help="confirm them, or let them lapse",
            )
        asked = Asked(who, why, now_ns + min(valid_ns, VALID_S * SECOND))
        self._asked[key] = asked
        return asked

    def confirmed(self, key: Key, who: str, now_ns: int) -> Asked:
        """Who asked for it, given that somebody else confirms. Raises: OrderError: nobody asked, or
        not in time, or the same operator."""
        asked = self.of(key, now_ns)
        if asked is None:
            raise OrderError(
                f"nobody has asked for it within the last {VALID_S // 60} minutes",
                help="ask first: the same order without --confirm",
            )
        if asked.who == who:
            raise OrderError(
                f"{who} has asked for it: another operator has to confirm",
                help="each under a name of their own, for example by sudo -u",
            )
        return asked

    def done(self, key: Key) -> None:
        """It is carried out, or of no account any more."""
        self._asked.pop(key, None)
