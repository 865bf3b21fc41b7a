"""Ids: of institutions, and of transactions with node and lane in their upper bits."""

from typing import Final

import msgspec

from switch.constants import LANE_BITS, NODE_BITS, TXN_COUNTER_BITS
from switch.errors import UsageError

__all__ = ["INSTITUTION_ID_MAX", "TxnId", "first_txn", "is_institution_id"]

INSTITUTION_ID_MAX: Final = 16
"""Characters of an institution id; it is a label of metrics and a column on a screen."""

_COUNTER_MASK: Final = (1 << TXN_COUNTER_BITS) - 1
_LANE_MASK: Final = (1 << LANE_BITS) - 1


class TxnId(msgspec.Struct, frozen=True):
    """A transaction id taken apart: 8 bits node, 8 bits lane, 48 bits counter."""

    node: int
    lane: int
    counter: int

    @staticmethod
    def unpack(txn: int) -> "TxnId":
        """Of the 64-bit number that records and effects carry."""
        return TxnId(
            txn >> (LANE_BITS + TXN_COUNTER_BITS),
            txn >> TXN_COUNTER_BITS & _LANE_MASK,
            txn & _COUNTER_MASK,
        )

    def pack(self) -> int:
        """The 64-bit number."""
        return (self.node << LANE_BITS | self.lane) << TXN_COUNTER_BITS | self.counter


def first_txn(node: int, lane: int, last_txn: int) -> int:
    """The id to begin with: one above `last_txn` (0 when the journal is empty).

    Raises UsageError when the journal belongs to another node or lane, since ids would then not be
    unique.
    """
    if not 0 <= node < 1 << NODE_BITS or not 0 <= lane < 1 << LANE_BITS:
        raise UsageError(f"node {node} or lane {lane} does not fit its bits")
    if not last_txn:
        return TxnId(node, lane, 1).pack()
    last = TxnId.unpack(last_txn)
    if (last.node, last.lane) != (node, lane):
        raise UsageError(
            f"the journal was written by node {last.node} lane {last.lane}, not {node} lane {lane}"
        )
    return last_txn + 1


def is_institution_id(text: str) -> bool:
    """1 to 16 printable ASCII characters without space, quote or backslash."""
    return 0 < len(text) <= INSTITUTION_ID_MAX and all(
        "!" <= character <= "~" and character not in "\"'\\" for character in text
    )
