"""Derived limits; relations between them are asserted at import.

Names put units and qualifiers last. A limit that an operator may move is a settings key instead
(switch/settings/schema.py); what stands here follows from a format or from our own structure.
"""

from typing import Final

__all__ = [
    "BIN_PREFIX_DIGITS_MAX",
    "CONNECTS_PER_S_MAX",
    "DRAIN_S_MAX",
    "FRAME_BYTES_MAX",
    "INDEX_LOOK_MS",
    "JOURNAL_GROUP_MS_MAX",
    "JOURNAL_MARGIN_MS",
    "LANE_BITS",
    "NODE_BITS",
    "STAN_MAX",
    "TIMER_TICK_MS",
    "TXN_COUNTER_BITS",
]

STAN_MAX: Final = 999_999
"""Field 11 has six digits; 000000 is not used, the sequence wraps to 000001."""

BIN_PREFIX_DIGITS_MAX: Final = 11
"""Longest prefix a route may name: account ranges of schemes are cut at 11 digits or earlier."""

FRAME_BYTES_MAX: Final = 65_535
"""What a length prefix of two bytes can say."""

CONNECTS_PER_S_MAX: Final = 200
"""New connections of a member in a second where its settings say nothing else. Each costs the loop
a quarter of a millisecond with its sign-on: 5 % of it, whoever knocks."""

NODE_BITS: Final = 8
LANE_BITS: Final = 8
TXN_COUNTER_BITS: Final = 48
"""A transaction id is node, lane and counter in 64 bits: unique without asking anybody."""

TIMER_TICK_MS: Final = 100
"""The worker's one timer: a deadline is noticed at most this late."""

INDEX_LOOK_MS: Final = 500
"""At least this often a worker looks which generation of the token index is in force."""

JOURNAL_GROUP_MS_MAX: Final = 75
"""A group commit slower than this is a disk in trouble; the journal's histogram shows it."""

JOURNAL_MARGIN_MS: Final = 2 * JOURNAL_GROUP_MS_MAX + TIMER_TICK_MS
"""What must lie between a bank's deadline and the acquirer's: the outcome is noticed at the next
tick and waits for its group, which may have to wait for the group before it."""

DRAIN_S_MAX: Final = 15
"""After this, work that is still open ends a drain as failed (exit code 6 of demo and bench)."""

assert NODE_BITS + LANE_BITS + TXN_COUNTER_BITS == 64
assert JOURNAL_MARGIN_MS >= TIMER_TICK_MS + JOURNAL_GROUP_MS_MAX
