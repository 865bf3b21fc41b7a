"""What can happen to one transaction, in the past tense.

The names are the columns of the table in `states.py`. The hot pair does not build event objects: a
request and a reply arrive as method calls of `engine.Engine`, which decides what they amount to.
The other events arrive through the method of the same meaning.
"""

from enum import IntEnum, unique

__all__ = ["Event"]


@unique
class Event(IntEnum):
    """One event of a transaction's life."""

    FORWARDED = 0
    """Checked, routed, recorded; the bank's leg is held until durable."""
    VERIFICATION_BEGAN = 1
    """The verdict on card or token comes later (`ports.Verdict.PENDING`)."""
    REFUSED = 2
    """We decline it ourselves: verdict, route, bank down, cap, PIN, amount zero."""
    REPEATED = 3
    """The same request again: same key, same body."""
    CONFLICTED = 4
    """Another body under the same key."""
    ACQUIRER_REVERSED = 5
    """The acquirer takes it back, and the bank may have seen it (or has answered it)."""
    ACQUIRER_REVERSED_UNSENT = 6
    """The acquirer takes it back, and the bank has provably not seen it."""
    REVERSAL_CONFLICTED = 7
    """An acquirer's reversal names it with another card or amount."""
    APPROVED = 8
    """The bank approves, usably: whole amount, known code."""
    DECLINED = 9
    """The bank declines, for a business or a technical reason of its own."""
    UNUSABLE = 10
    """The bank's answer cannot be passed on: partial, unknown code, another amount."""
    DEADLINE_PASSED = 11
    """No answer was read in time."""
    LEG_UNSENT = 12
    """The connection went before the bank's leg was handed to a socket, and no other takes it."""
    BANK_LOST = 13
    """The bank's last connection went after the leg was handed to a socket."""
    UNDELIVERABLE = 14
    """Provably no byte of the approval reached the acquirer, and its link's setting is
    `reverse`."""
    REVERSAL_SENT = 15
    """Our reversal was handed to a signed-on connection of the bank."""
    REVERSAL_UNSENT = 16
    """No connection took our reversal."""
    REVERSAL_CONFIRMED = 17
    """The bank answered our reversal with a final code."""
    REVERSAL_REJECTED = 18
    """The bank answered our reversal with a code that is not final."""
    REVERSAL_EXHAUSTED = 19
    """As many attempts as the setting allows and no final code, or its bank is no member."""
    BANK_RETURNED = 20
    """The bank signed on again."""
    RESTARTED = 21
    """The process started anew and replayed its journal."""
    EXPIRED_UNSENT = 22
    """No answer in time, and the bank's leg still waited for its record: it never leaves."""
    LAPSED = 23
    """No usable answer to a question that moves no money: declined, and nothing is taken back."""
    ADVISED = 24
    """An acquirer told of what was done without the bank: recorded as approved, and owed to it."""
    STOOD_IN = 25
    """The bank does not answer, and we approve in its name; it is owed an advice."""
