"""The audit chain: who ordered what, why, and what became of it, refused orders included.

Each record's hash covers the record and the hash before it, and the vault's own row keeps the
newest: a record that was changed, taken out or cut off the end breaks the chain. Whoever can write
the whole file can forge it anew; copy the newest hash elsewhere to notice that as well.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from switch.tokens.orders import AuditRow, AuditVerdict

__all__ = ["FIRST_HASH", "REASON_CHARACTERS_MAX", "link", "verify"]

FIRST_HASH: Final = hashlib.sha256(b"tapswitch audit 1").digest()
"""What the first record follows."""
REASON_CHARACTERS_MAX: Final = 200


def link(previous: bytes, row: AuditRow) -> bytes:
    """The hash of a record behind the one with hash `previous`."""
    return hashlib.sha256(previous + msgspec.json.encode(msgspec.structs.astuple(row))).digest()


def verify(
    records: Iterable[tuple[Any, ...]], newest_sequence: int, newest_hash: bytes
) -> AuditVerdict:
    """Walks the chain; `records` are the audit table's rows in order, the hash last."""
    expected, previous, count = 1, FIRST_HASH, 0
    for values in records:
        row = AuditRow(**dict(zip(AuditRow.__struct_fields__, values[:-1], strict=True)))
        if row.sequence != expected:
            return AuditVerdict(
                records=count, broken_at=expected, problem=f"record {expected} is missing"
            )
        previous = link(previous, row)
        if previous != values[-1]:
            return AuditVerdict(
                records=count,
                broken_at=row.sequence,
                problem=f"record {row.sequence} is not what was written",
            )
        expected, count = expected + 1, count + 1
    if (count, previous) != (newest_sequence, newest_hash):
        return AuditVerdict(
            records=count,
            broken_at=expected,
            problem=f"the chain ends at record {count}, but {newest_sequence} were written",
        )
    return AuditVerdict(records=count)
