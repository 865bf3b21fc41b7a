"""The vault's tables: what is read and written, and nothing of why.

Every change has a number, one above the last. A token's row carries the number of the change that
touched it last, so that an index that is behind can be given what it lacks.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.database import Database, Value, migrate, read_migrations
from switch.database.pool import Transaction
from switch.model.token import TOKEN_DIGITS_MAX, TOKEN_DIGITS_MIN
from switch.native import hook
from switch.tokens.audit import FIRST_HASH, link, verify
from switch.tokens.orders import AuditRow, AuditVerdict, By, List
from switch.tokens.record import COLUMNS, TokenRow, row_of

__all__ = ["Happened", "Intent", "Vault"]

MIGRATIONS: Final = Path(__file__).parent / "migrations"
VAULT_ID_BYTES: Final = 16
VARIABLES_MAX: Final = 16_000
"""Values in one query; SQLite takes 32,766."""
_SELECT: Final = f"SELECT {COLUMNS} FROM tokens t JOIN cards c ON c.id = t.card"
_AUDIT: Final = (
    "SELECT sequence, at_ms, actor, action, token, reason, outcome, code, change, detail, hash"
    " FROM audit"
)


class Intent(msgspec.Struct, frozen=True):
    """A restriction that was begun: what the token will be."""

    change: int
    token: int
    """Row of the token."""
    action: str
    state: int
    card: int
    card_expiry: str
    card_sequence: int | None
    mapping_version: int
    actor: str
    reason: str
    begun_ms: int


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit record tells."""

    action: str
    outcome: str
    token: str = ""
    code: str = ""
    change: int = 0
    detail: str = ""


class Vault:
    """An open vault."""

    def __init__(self, database: Database, vault_id: bytes) -> None:
        self.database = database
        database.reach = hook.reach
        self.id = vault_id

    @staticmethod
    async def open(file: Path, now_ms: int) -> "Vault":
        """Opens it, made when absent, and brings its tables to this version. Raises: VaultError."""
        database = await Database.open(file)
        try:
            await migrate(database, read_migrations(MIGRATIONS), now_ms)
            async with database.transaction() as txn:
                await txn.execute(
                    "INSERT OR IGNORE INTO vault VALUES (1, ?, 0, 0, ?)",
                    (os.urandom(VAULT_ID_BYTES), FIRST_HASH),
                )
                (vault_id,) = await txn.row("SELECT id FROM vault")
        except BaseException:
            await database.close()
            raise
        return Vault(database, vault_id)

    async def close(self) -> None:
        await self.database.close()

    # -- reading ----------------------------------------------------------------------------------

    async def change(self) -> int:
        """Number of the last change."""
        (change,) = await self.database.row("SELECT change FROM vault")
        return int(change)

    async def count(self) -> int:
        (count,) = await self.database.row("SELECT count(*) FROM tokens")
        return int(count)

    async def states(self) -> dict[int, int]:
        """How many tokens are in each state (`switch.model.token.TokenState`). Reads all: for a
        gauge."""
        rows = await self.database.rows("SELECT state, count(*) FROM tokens GROUP BY state")
        return {int(state): int(count) for state, count in rows}

    async def find(self, token: str) -> TokenRow | None:
        """The token's row."""
        found = await self.database.row(
            f"{_SELECT} WHERE length(t.token) = ? AND t.token = ?", (len(token), token)
        )
        return row_of(found) if found else None

    async def by_id(self, row: int) -> TokenRow:
        """The row of a token that is known to exist."""
        return row_of(await self.database.row(f"{_SELECT} WHERE t.id = ?", (row,)))

    async def page(self, after: str, limit: int) -> list[TokenRow]:
        """Rows behind the token `after` ('': from the first) in the index's order: shorter numbers
        first, then by value."""
        rows: list[TokenRow] = []
        for length in range(len(after) or TOKEN_DIGITS_MIN, TOKEN_DIGITS_MAX + 1):
            found = await self.database.rows(
                f"{_SELECT} WHERE length(t.token) = ? AND t.token > ? ORDER BY t.token LIMIT ?",
                (length, after if length == len(after) else "", limit - len(rows)),
            )
            rows += map(row_of, found)
            if len(rows) == limit:
                break
        return rows

    async def changed_after(self, change: int, limit: int) -> list[TokenRow]:
        """Rows that later changes than `change` have touched, the oldest change first; a change is
        never cut in two, so that the last one's number stands for all before it."""
        rows = await self.database.rows(
            f"{_SELECT} WHERE t.change > ? AND t.change <= coalesce((SELECT max(change) FROM"
            " (SELECT change FROM tokens WHERE change > ? ORDER BY change LIMIT ?)), 0)"
            " ORDER BY t.change",
            (change, change, limit),
        )
        return [row_of(values) for values in rows]

    async def count_after(self, change: int) -> int:
        """How many tokens later changes than `change` have touched."""
        (count,) = await self.database.row(
            "SELECT count(*) FROM tokens WHERE change > ?", (change,)
        )
        return int(count)

    async def listed(self, order: List, cards: Sequence[int] | None) -> list[TokenRow]:
        """One row more than the limit, when there are more."""
        conditions = ["(length(t.token), t.token) > (?, ?)"]
        values: list[Value] = [len(order.after), order.after]
        if order.state:
            conditions.append("t.state = ?")
            values.append(order.state)
        if order.requestor:
            conditions.append("t.requestor = ?")
            values.append(order.requestor)
        if cards is not None:
            conditions.append(f"t.card IN ({_places(len(cards))})")
            values += cards
        where = " AND ".join(conditions)
        rows = await self.database.rows(
            f"{_SELECT} WHERE {where} ORDER BY length(t.token), t.token LIMIT ?",
            (*values, order.limit + 1),
        )
        return [row_of(found) for found in rows]

    async def history(self, row: int) -> list[tuple[Any, ...]]:
        """Mappings that were in force before: version, sealed number, its row and key version, its
        expiry, Unix ms until."""
        return await self.database.rows(
            "SELECT m.version, c.pan_sealed, c.id, c.key_version, m.card_expiry, m.until_ms"
            " FROM mappings m JOIN cards c ON c.id = m.card WHERE m.token = ? ORDER BY m.version",
            (row,),
        )

    async def intents(self) -> list[Intent]:
        """Restrictions that were begun and not completed."""
        rows = await self.database.rows("SELECT * FROM intents ORDER BY change")
        return [Intent(*values) for values in rows]

    async def audit(self, token: str, limit: int) -> list[AuditRow]:
        """The newest records, the newest last; of one token unless it is empty."""
        where, values = ("WHERE token = ?", [token]) if token else ("", [])
        rows = await self.database.rows(
            f"{_AUDIT} {where} ORDER BY sequence DESC LIMIT ?", (*values, limit)
        )
        names = AuditRow.__struct_fields__
        return [AuditRow(**dict(zip(names, row[:-1], strict=True))) for row in reversed(rows)]

    async def verify_audit(self) -> AuditVerdict:
        """Walks the whole chain."""
        async with self.database.transaction() as txn:
            newest, newest_hash = await txn.row("SELECT audit_sequence, audit_hash FROM vault")
            rows = await txn.rows(f"{_AUDIT} ORDER BY sequence")
        return verify(rows, newest, newest_hash)

    # -- within a transaction ---------------------------------------------------------------------

    @staticmethod
    async def next_change(txn: Transaction) -> int:
        """Takes the next number."""
        (change,) = await txn.row("UPDATE vault SET change = change + 1 RETURNING change")
        return int(change)

    @staticmethod
    async def record(txn: Transaction, by: By, happened: Happened, now_ms: int) -> None:
        """Appends an audit record."""
        sequence, previous = await txn.row("SELECT audit_sequence, audit_hash FROM vault")
        row = AuditRow(
            sequence=sequence + 1,
            at_ms=now_ms,
            actor=by.actor,
            reason=by.reason,
            **msgspec.structs.asdict(happened),
        )
        made = link(previous, row)
        await txn.execute(
            f"INSERT INTO audit VALUES ({_places(11)})", (*msgspec.structs.astuple(row), made)
        )
        await txn.execute(
            "UPDATE vault SET audit_sequence = ?, audit_hash = ?", (row.sequence, made)
        )

    @staticmethod
    async def set_state(txn: Transaction, row: int, state: int, change: int, now_ms: int) -> None:
        await txn.execute(
            "UPDATE tokens SET state = ?, change = ?, changed_ms = ? WHERE id = ?",
            (state, change, now_ms, row),
        )

    @staticmethod
    async def begin(txn: Transaction, intent: Intent) -> None:
        """Writes a restriction down before it is in force."""
        await txn.execute(
            f"INSERT INTO intents VALUES ({_places(11)})", msgspec.structs.astuple(intent)
        )

    @staticmethod
    async def complete(txn: Transaction, intent: Intent, now_ms: int) -> None:
        """Makes the token what the intent says, the old mapping kept, and the intent done."""
        await txn.execute(
            "INSERT INTO mappings SELECT id, mapping_version, card, card_expiry, card_sequence,"
            " ?, ? FROM tokens WHERE id = ? AND mapping_version < ?",
            (intent.change, now_ms, intent.token, intent.mapping_version),
        )
        await txn.execute(
            "UPDATE tokens SET state = ?, card = ?, card_expiry = ?, card_sequence = ?,"
            " mapping_version = ?, change = ?, changed_ms = ? WHERE id = ?",
            (
                intent.state,
                intent.card,
                intent.card_expiry,
                intent.card_sequence,
                intent.mapping_version,
                intent.change,
                now_ms,
                intent.token,
            ),
        )
        await txn.execute("DELETE FROM intents WHERE change = ?", (intent.change,))

    @staticmethod
    async def last_ids(txn: Transaction) -> tuple[int, int]:
        """The highest rows of cards and tokens; 0 for none."""
        card, token = await txn.row(
            "SELECT coalesce((SELECT max(id) FROM cards), 0),"
            " coalesce((SELECT max(id) FROM tokens), 0)"
        )
        return int(card), int(token)

    @staticmethod
    async def cards_by_hash(
        txn: Transaction, hashes: Sequence[bytes]
    ) -> dict[bytes, tuple[int, bytes, int, str | None]]:
        """Of known cards: hash to row, sealed number, key version and PAR."""
        found = {}
        for part in _parts(hashes):
            rows = await txn.rows(
                "SELECT pan_hash, id, pan_sealed, key_version, par FROM cards"
                f" WHERE pan_hash IN ({_places(len(part))})",
                part,
            )
            found.update({row[0]: row[1:] for row in rows})
        return found

    @staticmethod
    async def taken(txn: Transaction, tokens: Sequence[str]) -> set[str]:
        """Those of the numbers that are tokens already."""
        found: set[str] = set()
        for length in {len(token) for token in tokens}:
            for part in _parts([token for token in tokens if len(token) == length]):
                rows = await txn.rows(
                    f"SELECT token FROM tokens WHERE length(token) = {length}"
                    f" AND token IN ({_places(len(part))})",
                    part,
                )
                found.update(token for (token,) in rows)
        return found

    @staticmethod
    async def add_cards(txn: Transaction, rows: Iterable[tuple[Any, ...]]) -> None:
        """(row, sealed, hash, key version, PAR, Unix ms) each."""
        await txn.execute_many(f"INSERT INTO cards VALUES ({_places(6)})", rows)

    @staticmethod
    async def set_par(txn: Transaction, card: int, par: str) -> None:
        await txn.execute("UPDATE cards SET par = ? WHERE id = ?", (par, card))

    @staticmethod
    async def add_tokens(txn: Transaction, rows: Iterable[tuple[Any, ...]]) -> None:
        """The columns of the table, each row."""
        await txn.execute_many(f"INSERT INTO tokens VALUES ({_places(23)})", rows)


def _places(count: int) -> str:
    return ",".join("?" * count)


def _parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), VARIABLES_MAX):
        yield values[start : start + VARIABLES_MAX]
