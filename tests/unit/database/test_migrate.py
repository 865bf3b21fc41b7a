"""Numbered migrations: order, digest, one transaction each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switch.database import Database, migrate, read_migrations
from switch.errors import UsageError, VaultError
from switch.tokens.vault import MIGRATIONS


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "made" / "one.sqlite")
    yield opened
    await opened.close()


def steps(directory: Path, *texts: str) -> Path:
    directory.mkdir(exist_ok=True)
    for number, text in enumerate(texts, 1):
        (directory / f"{number:04}_step.sql").write_text(text, encoding="utf-8")
    return directory


FIRST = "CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1);\n-- a comment; no statement\n"
SECOND = "ALTER TABLE a ADD COLUMN y INTEGER;\n"


async def test_what_is_missing_is_applied_once(tmp_path: Path, database: Database) -> None:
    directory = steps(tmp_path / "m", FIRST)
    assert await migrate(database, read_migrations(directory), 5) == 1
    steps(directory, FIRST, SECOND)
    assert await migrate(database, read_migrations(directory), 6) == 1
    assert await migrate(database, read_migrations(directory), 7) == 0
    assert await database.rows("SELECT * FROM a") == [(1, None)]
    assert await database.rows("SELECT number, name, applied_ms FROM migrations") == [
        (1, "step", 5),
        (2, "step", 6),
    ]


async def test_step_that_fails_leaves_nothing_behind(tmp_path: Path, database: Database) -> None:
    broken = steps(tmp_path / "m", FIRST, "CREATE TABLE b (x);\nINSERT INTO nowhere VALUES (1);\n")
    with pytest.raises(VaultError, match="nowhere"):
        await migrate(database, read_migrations(broken), 1)
    assert await database.rows("SELECT count(*) FROM sqlite_schema WHERE name = 'b'") == [(0,)]
    assert await migrate(database, read_migrations(steps(broken, FIRST, SECOND)), 2) == 1


async def test_step_in_another_wording_is_refused(tmp_path: Path, database: Database) -> None:
    directory = steps(tmp_path / "m", FIRST)
    await migrate(database, read_migrations(directory), 1)
    steps(directory, FIRST + " ")
    with pytest.raises(VaultError, match="another wording"):
        await migrate(database, read_migrations(directory), 1)


async def test_newer_database_is_refused(tmp_path: Path, database: Database) -> None:
    directory = steps(tmp_path / "m", FIRST, SECOND)
    await migrate(database, read_migrations(directory), 1)
    (directory / "0002_step.sql").unlink()
    with pytest.raises(VaultError, match="newer version"):
        await migrate(database, read_migrations(directory), 1)


async def test_history_with_a_gap_is_refused(tmp_path: Path, database: Database) -> None:
    directory = steps(tmp_path / "m", FIRST, SECOND)
    await migrate(database, read_migrations(directory), 1)
    async with database.transaction() as txn:
        await txn.execute("DELETE FROM migrations WHERE number = 1")
    with pytest.raises(VaultError, match="0001 was never applied"):
        await migrate(database, read_migrations(directory), 1)


@pytest.mark.parametrize("name", ["0002_gap.sql", "1_short.sql", "0001-dash.sql"])
def test_odd_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match="0001"):
        read_migrations(tmp_path)


def test_file_that_ends_inside_a_statement_is_refused(tmp_path: Path) -> None:
    (migration,) = read_migrations(steps(tmp_path / "m", "CREATE TABLE a (x)"))
    with pytest.raises(UsageError, match="inside a statement"):
        list(migration.statements())


def test_our_own_are_in_order() -> None:
    assert [one.number for one in read_migrations(MIGRATIONS)] == [1]
    assert all(list(one.statements()) for one in read_migrations(MIGRATIONS))
