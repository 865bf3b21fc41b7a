"""One SQLite file: private, durable, one writing transaction at a time."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from switch.database import Database
from switch.errors import VaultError


async def test_file_and_directory_are_ours_alone(tmp_path: Path) -> None:
    file = tmp_path / "vault" / "one.sqlite"
    database = await Database.open(file)
    await database.close()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.sqlite"
    file.touch(mode=0o600)
    file.chmod(0o640)
    with pytest.raises(VaultError, match="mode 0640"):
        await Database.open(file)


async def test_link_and_garbage_are_refused(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(os.urandom(8_192))
    garbage.chmod(0o600)
    with pytest.raises(VaultError, match="not a database"):
        await Database.open(garbage)
    (tmp_path / "link").symlink_to(garbage)
    with pytest.raises(VaultError, match="cannot be opened"):
        await Database.open(tmp_path / "link")


async def test_a_transaction_is_all_or_nothing_and_seen_when_it_ends(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "one.sqlite")
    async with database.transaction() as txn:
        await txn.execute("CREATE TABLE a (x INTEGER PRIMARY KEY) STRICT")
        await txn.execute("INSERT INTO a VALUES (1)")

    async def insert(*statements: str) -> None:
        async with database.transaction() as txn:
            for statement in statements:
                await txn.execute(f"INSERT INTO {statement}")
                assert await database.rows("SELECT x FROM a") == [(1,)]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await insert("a VALUES (2)")
    with pytest.raises(sqlite3.IntegrityError):
        await insert("a VALUES (3)", "a VALUES (1)")
    with pytest.raises(VaultError, match="no such table"):
        await insert("a VALUES (4)", "nowhere VALUES (1)")
    assert await database.rows("SELECT x FROM a") == [(1,)]
    await database.close()


async def test_writers_take_turns(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "one.sqlite")
    async with database.transaction() as txn:
        await txn.execute("CREATE TABLE a (x INTEGER) STRICT")
        await txn.execute("INSERT INTO a VALUES (0)")

    async def add() -> None:
        async with database.transaction() as txn:
            (value,) = await txn.row("SELECT x FROM a")
            await asyncio.sleep(0)
            await txn.execute("UPDATE a SET x = ?", (value + 1,))

    await asyncio.gather(*(add() for _ in range(20)))
    assert await database.row("SELECT x FROM a") == (20,)
    await database.close()


async def test_settings_of_the_file_are_what_durability_needs(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "one.sqlite")
    async with database.transaction() as txn:
        found = {
            name: (await txn.row(f"PRAGMA {name}"))[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
    }
    await database.close()
