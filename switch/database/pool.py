"""One SQLite file: a connection that writes, one transaction at a time, and one that reads.

Write-ahead log, synchronous=FULL: a transaction that has returned is on disk. The file is our
user's alone.
"""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiosqlite

from switch.errors import VaultError

__all__ = ["Database", "Transaction", "Value"]

Value = int | str | bytes | None

BUSY_MS: Final = 2_000
"""Only a person's own tool can hold the file against us; then this long is waited."""
WRITER_CACHE_KIB: Final = 32 << 10
READER_CACHE_KIB: Final = 8 << 10

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    f"PRAGMA busy_timeout = {BUSY_MS}",
)


class Transaction:
    """What may be done inside `Database.transaction`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Runs one statement; returns the rows it changed."""
        cursor = await self._connection.execute(sql, values)
        changed = cursor.rowcount
        await cursor.close()
        return changed

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Runs one statement for each row."""
        cursor = await self._connection.executemany(sql, rows)
        await cursor.close()

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Any]:
        """All rows of a query, as tuples."""
        return list(await self._connection.execute_fetchall(sql, values))

    async def row(self, sql: str, values: Sequence[Value] = ()) -> Any:
        """The first row, or None."""
        found = await self.rows(sql, values)
        return found[0] if found else None


class Database:
    """An open file. Close it: aiosqlite's threads would keep the process alive."""

    def __init__(
        self, file: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection
    ) -> None:
        self.file = file
        self._writer = writer
        self._reader = reader
        self._turn = asyncio.Lock()
        self.reach: Callable[[str], object] = _nowhere
        """Is told the crash points of a transaction."""

    @staticmethod
    async def open(file: Path) -> "Database":
        """Opens the file, made (mode 0600, directory 0700) when absent.

        Raises: VaultError when it is no database, damaged at its head, or open to others.
        """
        _make(file)
        opened: list[aiosqlite.Connection] = []
        try:
            for cache_kib in (WRITER_CACHE_KIB, READER_CACHE_KIB):
                connection = await aiosqlite.connect(file, isolation_level=None)
                opened.append(connection)
                # Fetched to the end: an open cursor would pin the state that it has seen.
                for statement in (
                    *_PRAGMAS,
                    f"PRAGMA cache_size = -{cache_kib}",
                    "SELECT count(*) FROM sqlite_schema",
                ):
                    await connection.execute_fetchall(statement)
        except sqlite3.Error as error:
            for connection in opened:
                await connection.close()
            raise _explained(file, error) from None
        return Database(file, *opened)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One writing transaction: durable when the block has ended, undone when it raises.

        Raises: VaultError for what SQLite refuses; IntegrityError of sqlite3 as it is.
        """
        async with self._turn:
            try:
                await self._writer.execute_fetchall("BEGIN IMMEDIATE")
                try:
                    yield Transaction(self._writer)
                except BaseException:
                    if self._writer.in_transaction:
                        await self._writer.execute_fetchall("ROLLBACK")
                    raise
                self.reach("vault.commit.before")
                await self._writer.execute_fetchall("COMMIT")
                self.reach("vault.commit.after")
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                if self._writer.in_transaction:
                    await self._writer.execute_fetchall("ROLLBACK")
                raise _explained(self.file, error) from None

    async def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Any]:
        """All rows of a query over what is committed. Raises: VaultError."""
        try:
            return list(await self._reader.execute_fetchall(sql, values))
        except sqlite3.Error as error:
            raise _explained(self.file, error) from None

    async def row(self, sql: str, values: Sequence[Value] = ()) -> Any:
        """The first row, or None."""
        found = await self.rows(sql, values)
        return found[0] if found else None

    async def close(self) -> None:
        """Closes both connections; the write-ahead log goes into the file."""
        await self._reader.close()
        await self._writer.close()


def _make(file: Path) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise VaultError(f"cannot be opened: {error.strerror}", file=str(file)) from None
    if mode & 0o077:
        raise VaultError(
            f"the file has mode {mode:04o}: others may read it",
            file=str(file),
            help=f"chmod 600 {file}",
        )


def _explained(file: Path, error: sqlite3.Error) -> VaultError:
    """SQLite's own words name tables and columns, never values."""
    return VaultError(
        f"SQLite says: {error}",
        file=str(file),
        help="when the file is damaged, put the last backup in its place",
    )


def _nowhere(point: str) -> None:
    """Nobody wants to know."""
