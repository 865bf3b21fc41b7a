"""The vault of a world: the product's own tables and orders over real files of SQLite, whose
statements take virtual time and no thread.

A statement waits a while before it is carried out, and a COMMIT a while behind it too: whoever is
killed in between has it durable and was never told. What SQLite and LMDB promise of a power cut is
believed; what is looked at is the order of our own steps.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.database import migrate, read_migrations
from switch.database.pool import Database, Value
from switch.model.token import TokenState
from switch.native import index as indexes
from switch.native import journal as journals
from switch.settings.schema import TokenRange, TokenSettings
from switch.tokens.audit import FIRST_HASH, verify
from switch.tokens.books import Books, no_step
from switch.tokens.orders import By, Import, Provision
from switch.tokens.service import TokenService
from switch.tokens.vault import MIGRATIONS, Vault

__all__ = [
    "INDEX", "Connection", "Left", "copy_vault", "database_of", "left_of", "make_vault", "now",
    "service_of",
]  # fmt: skip

INDEX: Final = "index"
FILE: Final = "vault.sqlite"
VAULT_ID: Final = bytes(range(16))
MADE_MS: Final = 1_700_000_000_000
_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON")
"""A world's disk is memory where there is any: nothing is to be synced."""

Wait = Callable[[], float]


class _Cursor:
    """What a statement has done."""

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount

    async def close(self) -> None:
        """As of a cursor."""


class Connection:
    """In the place of a connection of aiosqlite: as much of it as `Database` asks for."""

    def __init__(self, file: Path, wait: Wait | None) -> None:
        """`wait` draws seconds of virtual time; None: there is no loop, and nothing takes any."""
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._wait = wait
        self._open = True
        for pragma in _PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}").fetchall()

    @property
    def in_transaction(self) -> bool:
        """As of a connection; not of one whose process has gone."""
        return self._open and self._connection.in_transaction

    async def execute(self, sql: str, values: Sequence[Value] = ()) -> _Cursor:
        """One statement."""
        await self._pause()
        return _Cursor(self._connection.execute(sql, values).rowcount)

    async def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> _Cursor:
        """One statement for each row."""
        await self._pause()
        return _Cursor(self._connection.executemany(sql, rows).rowcount)

    async def execute_fetchall(self, sql: str, values: Sequence[Value] = ()) -> list[Any]:
        """All rows of a statement."""
        await self._pause()
        found = self._connection.execute(sql, values).fetchall()
        if sql == "COMMIT":
            await self._pause()
        return found

    async def _pause(self) -> None:
        if self._wait is not None:
            await asyncio.sleep(self._wait())

    async def close(self) -> None:
        """As of a connection."""
        self.cut()

    def cut(self) -> None:
        """Its process has gone: what was not committed never was."""
        if self._open:
            self._open = False
            self._connection.close()


def database_of(directory: Path, wait: Wait | None) -> tuple[Database, list[Connection]]:
    """The database of a directory, and what to cut when its process is killed."""
    file = directory / FILE
    both = [Connection(file, wait) for _ in range(2)]
    writer, reader = both
    return Database(file, writer, reader), both  # type: ignore[arg-type]


def _settings(directory: Path, prefix: str) -> TokenSettings:
    """As a settings file would have it."""
    return TokenSettings(
        ranges=(TokenRange(prefix=prefix, length=16),),
        vault_file=str(directory / FILE),
        index_dir=str(directory / INDEX),
    )


async def service_of(
    directory: Path,
    prefix: str,
    keys: journals.Keys,
    now_ms: Callable[[], int],
    database: Database,
) -> TokenService:
    """What carries orders out, over a vault that is there."""
    (vault_id,) = await database.row("SELECT id FROM vault")
    settings = _settings(directory, prefix)
    opened = indexes.Index.open(settings.index_dir, keys)
    books = Books(Vault(database, vault_id), opened, now_ms, no_step)
    return TokenService(books, indexes.VaultKeys(keys), settings)


def now(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs to its end what waits for nobody."""
    while True:
        try:
            work.send(None)
        except StopIteration as end:
            return end.value


def make_vault(
    directory: Path,
    prefix: str,
    keys: journals.Keys,
    wanted: Sequence[Provision],
    states: dict[str, TokenState],
) -> None:
    """A vault with these tokens, and its index. `states` are those that no import makes."""
    directory.mkdir(mode=0o700)
    now(_make(directory, prefix, keys, wanted, states))


async def _make(
    directory: Path,
    prefix: str,
    keys: journals.Keys,
    wanted: Sequence[Provision],
    states: dict[str, TokenState],
) -> None:
    database, _ = database_of(directory, None)
    try:
        await migrate(database, read_migrations(MIGRATIONS), MADE_MS)
        async with database.transaction() as txn:
            await txn.execute("INSERT INTO vault VALUES (1, ?, 0, 0, ?)", (VAULT_ID, FIRST_HASH))
        service = await service_of(directory, prefix, keys, lambda: MADE_MS, database)
        books = service.books
        books.rebuilding = True  # the index follows
        by = By(actor="maker", reason="the tokens of a world")
        await service.perform(Import(by=by, rows=list(wanted)))
        async with database.transaction() as txn:
            for token, state in states.items():
                await txn.execute("UPDATE tokens SET state = ? WHERE token = ?", (state, token))
        made = books.index.rebuild()
        made.add(await books.vault.page("", len(wanted)), 1)
        made.finish(await books.vault.change(), VAULT_ID)
    finally:
        await database.close()


def copy_vault(directory: Path, into: Path) -> None:
    """One of a world's own."""
    shutil.copytree(directory, into)


class Left(msgspec.Struct):
    """What a world has left of vault and index."""

    rows: list[tuple[str, int, str, str, int]] = []
    """Token, state, masked card, its expiry, mapping version; of the vault."""
    index: dict[str, dict[str, object]] = {}
    """What the index has of each."""
    fault: str = ""
    """Why the index has no answer."""
    stamp: int = 0
    """The change that the index shows."""
    change: int = 0
    """The vault's last."""
    intents: int = 0
    """Restrictions that were begun and not completed."""
    audited: list[tuple[str, str, str]] = []
    """Who, what came of it, about which token; in order."""
    chain: str = ""
    """What is wrong with the audit's chain."""


def left_of(directory: Path, keys: journals.Keys) -> Left:
    """Read from the files, by nothing of the service."""
    left = Left()
    opened = indexes.Index.open(str(directory / INDEX), keys)
    masks = indexes.VaultKeys(keys)
    connection = sqlite3.connect(directory / FILE)
    try:
        found = connection.execute(
            "SELECT t.token, t.state, t.card_expiry, t.mapping_version, c.pan_sealed, c.id,"
            " c.key_version FROM tokens t JOIN cards c ON c.id = t.card ORDER BY t.token"
        )
        for token, state, expiry, version, sealed, row, key_version in found.fetchall():
            masked = masks.masked(sealed, row, key_version)
            left.rows.append((token, state, masked, expiry, version))
        (left.intents,) = connection.execute("SELECT count(*) FROM intents").fetchone()
        (left.change,) = connection.execute("SELECT change FROM vault").fetchone()
        left.audited = connection.execute(
            "SELECT actor, outcome, token FROM audit ORDER BY sequence"
        ).fetchall()
        newest, newest_hash = connection.execute(
            "SELECT audit_sequence, audit_hash FROM vault"
        ).fetchone()
        rows = connection.execute(
            "SELECT sequence, at_ms, actor, action, token, reason, outcome, code, change, detail,"
            " hash FROM audit ORDER BY sequence"
        ).fetchall()
        left.chain = verify(rows, newest, newest_hash).problem
    finally:
        connection.close()
    left.fault = opened.why
    if not left.fault:
        left.stamp = (opened.stamp or (0, b""))[0]
        left.index = {row[0]: dict(opened.find(row[0]) or {}) for row in left.rows}
    return left
