"""Numbered migrations: files ``NNNN_what.sql``, applied in order, each in a transaction of its own.

What was applied is remembered with its digest: a file that was changed afterwards, a gap, or a
database from a newer version refuses to open.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from switch.database.pool import Database
from switch.errors import UsageError, VaultError

__all__ = ["Migration", "migrate", "read_migrations"]

_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migrations (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  applied_ms INTEGER NOT NULL
) STRICT
"""


class Migration(msgspec.Struct, frozen=True):
    """One step."""

    number: int
    name: str
    sql: str
    digest: str
    """SHA-256 of the file."""

    def statements(self) -> Iterator[str]:
        """Its statements, as SQLite itself tells where one ends."""
        pending = ""
        for line in self.sql.splitlines(keepends=True):
            pending += line
            if sqlite3.complete_statement(pending):
                yield pending
                pending = ""
        if re.sub(r"--.*", "", pending).strip():
            raise UsageError(f"migration {self.number:04} ends inside a statement")


def read_migrations(directory: Path) -> list[Migration]:
    """The files of a directory, in order. Raises: UsageError for a gap or an odd name."""
    found: list[Migration] = []
    for file in sorted(directory.glob("*.sql")):
        name = _NAME.fullmatch(file.name)
        if name is None or int(name[1]) != len(found) + 1:
            raise UsageError(f"{file.name} is not migration {len(found) + 1:04}")
        text = file.read_text(encoding="utf-8")
        found.append(
            Migration(int(name[1]), name[2], text, hashlib.sha256(text.encode()).hexdigest())
        )
    return found


async def migrate(database: Database, migrations: list[Migration], now_ms: int) -> int:
    """Applies what is missing; returns how many.

    Raises: VaultError when the database is newer than the program, or a step that was applied is
    not the one of that number here.
    """
    async with database.transaction() as txn:
        await txn.execute(_TABLE)
        applied = await txn.rows("SELECT number, name, digest FROM migrations ORDER BY number")
    _refuse_other_history(database, migrations, applied)
    for migration in migrations[len(applied) :]:
        async with database.transaction() as txn:
            for statement in migration.statements():
                await txn.execute(statement)
            await txn.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, ?)",
                (migration.number, migration.name, migration.digest, now_ms),
            )
    return len(migrations) - len(applied)


def _refuse_other_history(
    database: Database, migrations: list[Migration], applied: list[tuple[int, str, str]]
) -> None:
    for place, (number, name, digest) in enumerate(applied):
        if number != place + 1:
            raise VaultError(
                f"migration {place + 1:04} was never applied, but {number:04} was",
                file=str(database.file),
                help="the table of migrations was changed by hand; use a backup",
            )
        if place >= len(migrations):
            raise VaultError(
                f"a newer version of tapswitch has used it (migration {number:04} {name})",
                file=str(database.file),
                help=f"this version knows {len(migrations)}; use the newer one",
            )
        if digest != migrations[place].digest:
            raise VaultError(
                f"migration {number:04} {name} was applied in another wording",
                file=str(database.file),
                help="a migration never changes once it was released; use the version that made it",
            )
