"""Vault and index are made equal again, whatever the index looks like; commands go on meanwhile."""

import asyncio
import shutil
import sqlite3
import sys
from pathlib import Path
from random import Random

import pytest

from switch.errors import TokenIndexError
from switch.model.token import TokenState
from switch.tokens import books
from switch.tokens.vault import Intent, Vault
from tests.support.journal import make_keys
from tests.support.vault import differences, opened


async def test_new_vault_has_an_empty_index(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        assert (room.books.index.why, len(room.books.index)) == ("", 0)
        assert await differences(room) == []
        assert await room.books.repair() is False


async def test_index_that_is_behind_gets_what_it_lacks(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        tokens, keys = await room.bring(30), room.keys
        shutil.copytree(tmp_path / "index", tmp_path / "old")
        await room.suspend(tokens[5])
        await room.bring(3, first=100)
    shutil.rmtree(tmp_path / "index")
    (tmp_path / "old").rename(tmp_path / "index")
    steps: list[str] = []
    async with opened(tmp_path, keys, repaired=False, step=steps.append) as room:
        assert await room.books.repair() is True
        assert await differences(room) == []
        assert not room.usable(tokens[5])
    assert steps == ["repair.page"], "written into the one in force, not built anew"


async def test_index_that_is_far_behind_is_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "CATCH_UP_MAX", 2)
    monkeypatch.setattr(books, "PAGE", 4)
    steps: list[str] = []
    async with opened(tmp_path) as room:
        keys = room.keys
        await room.bring(10)
        shutil.copytree(tmp_path / "index", tmp_path / "old")
        await room.bring(3, first=100)
    shutil.rmtree(tmp_path / "index")
    (tmp_path / "old").rename(tmp_path / "index")
    async with opened(tmp_path, keys, step=steps.append) as room:
        assert await differences(room) == []
    assert "rebuild.finished" in steps


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "garbage", "another key"])
async def test_index_that_cannot_be_read_is_built_anew(tmp_path: Path, harm: str) -> None:
    async with opened(tmp_path) as room:
        tokens, keys = await room.bring(300), room.keys
    (generation,) = [file for file in (tmp_path / "index").iterdir() if file.is_dir()]
    data = generation / "data.mdb"
    if harm == "missing":
        shutil.rmtree(tmp_path / "index")
    elif harm == "empty":
        data.write_bytes(b"")
    elif harm == "cut":
        data.write_bytes(data.read_bytes()[:8_192])
    elif harm == "garbage":
        data.write_bytes(bytes(data.stat().st_size))
    else:
        other = tmp_path / "other"
        other.mkdir()
        async with opened(other) as elsewhere:
            await elsewhere.bring(1)
        shutil.rmtree(tmp_path / "index")
        (other / "index").rename(tmp_path / "index")
    async with opened(tmp_path, keys, repaired=False) as room:
        assert room.books.index.why, "no answer, and never an unknown token"
        with pytest.raises(TokenIndexError):
            room.tap(tokens[0])
        assert await room.books.repair() is True
        assert await differences(room) == []


async def test_index_of_another_vault_or_ahead_of_it_answers_nobody(tmp_path: Path) -> None:
    """A vault that was put back from a backup: what the index has since is not so."""
    async with opened(tmp_path) as room:
        keys = room.keys
        token = (await room.issue(1)).token
    shutil.copy(tmp_path / "vault.sqlite", tmp_path / "backup")
    async with opened(tmp_path, keys) as room:
        later = (await room.issue(2)).token
        await room.suspend(token)
    shutil.copy(tmp_path / "backup", tmp_path / "vault.sqlite")
    async with opened(tmp_path, keys, repaired=False) as room:
        assert room.books.fault(await room.books.vault.change()) == "ahead"
        await room.books.repair()
        assert await differences(room) == []
        assert room.tap(later) is None
    (tmp_path / "vault.sqlite").unlink()
    async with opened(tmp_path, keys, repaired=False) as room:
        assert room.books.fault(await room.books.vault.change()) == "other vault"
        await room.books.repair()
        assert len(room.books.index) == 0


async def test_orders_go_on_during_a_rebuild_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every page of a rebuild a token is suspended, another resumed, a third issued; whoever
    reads the old generation or the new one sees each at once."""
    monkeypatch.setattr(books, "PAGE", 20)
    async with opened(tmp_path) as room:
        tokens = await room.bring(400)
        chance = Random(5)
        suspended: set[str] = set()
        ended = asyncio.Event()

        async def order() -> int:
            count = 0
            while not ended.is_set():
                token = chance.choice(tokens)
                await (room.resume if token in suspended else room.suspend)(token)
                suspended.symmetric_difference_update({token})
                assert room.usable(token) == (token not in suspended)
                tokens.append((await room.issue(1_000 + count)).token)
                count += 1
            return count

        ordering = asyncio.ensure_future(order())
        await asyncio.sleep(0.05)
        for _ in range(3):
            await room.books.rebuild()
            assert all(room.usable(token) == (token not in suspended) for token in tokens[:400])
        ended.set()
        assert await ordering > 5
        assert await differences(room) == []


async def test_orders_are_taken_while_there_is_no_index_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "PAGE", 20)
    async with opened(tmp_path) as room:
        tokens = await room.bring(200)
        room.books.index.mark_stale()
        rebuilding = asyncio.ensure_future(room.books.rebuild())
        await asyncio.sleep(0)
        assert (await room.suspend(tokens[7])).state == "suspended"
        await rebuilding
        assert not room.usable(tokens[7])
        assert await differences(room) == []


async def test_one_rebuild_at_a_time(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        first, second = await asyncio.gather(
            room.books.rebuild(), room.books.rebuild(), return_exceptions=True
        )
        assert first is None
        assert isinstance(second, TokenIndexError)


async def test_readers_of_the_old_generation_learn_of_the_new_one(tmp_path: Path) -> None:
    """Another process would be a worker: it must not go on answering from what is not in force."""
    async with opened(tmp_path) as room:
        token = (await room.issue(1)).token
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", READER, str(tmp_path), token,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        assert await child.stdout.readline() == b"2\n"
        await room.books.rebuild()
        await room.suspend(token)
        child.stdin.write(b"\n")
        assert await child.stdout.readline() in (b"3\n", b"stale\n")
        child.stdin.write_eof()
        await child.wait()
        assert room.books.index.clear_stale_readers() == 0


READER = """
import sys
from pathlib import Path
from switch.errors import TokenIndexError
from switch.native import index
from tests.faults.test_token_crash import keys_in

directory, token = Path(sys.argv[1]), sys.argv[2]
opened = index.Index.open(str(directory / "index"), keys_in(directory))
print(opened.find(token)["state"], flush=True)
sys.stdin.readline()
try:
    print(opened.find(token)["state"], flush=True)
except TokenIndexError:
    print("stale", flush=True)
"""


async def test_suspended_is_never_usable_between_its_orders(tmp_path: Path) -> None:
    """Random suspends and resumes against taps at every await in between."""
    async with opened(tmp_path) as room:
        tokens = await room.bring(20)
        state = dict.fromkeys(tokens, "active")
        ended = asyncio.Event()

        async def tap() -> int:
            count = 0
            while not ended.is_set():
                for token in tokens:
                    # In between orders, and only then, what was answered must hold.
                    if state[token] == "active":
                        assert room.usable(token)
                    elif state[token] == "suspended":
                        assert not room.usable(token)
                    count += 1
                # Not 0: a loop that never rests starves the threads of the vault.
                await asyncio.sleep(0.001)
            return count

        tapping = asyncio.ensure_future(tap())
        chance = Random(3)
        for _ in range(100):
            token = chance.choice(tokens)
            before, state[token] = state[token], "changing"
            shown = await (room.suspend if before == "active" else room.resume)(token)
            state[token] = shown.state
        ended.set()
        assert await tapping > 500
        assert await differences(room) == []


async def test_vault_that_fails_leaves_the_restriction_in_force(tmp_path: Path) -> None:
    """The disk is full between the second and the third step, say."""
    async with opened(tmp_path) as room:
        token = (await room.issue(1)).token
        database = room.books.vault.database
        async with database.transaction() as txn:
            await txn.execute(
                "CREATE TRIGGER full BEFORE DELETE ON intents BEGIN"
                " SELECT RAISE(FAIL, 'database or disk is full'); END"
            )
        with pytest.raises(sqlite3.IntegrityError, match="disk is full"):
            await room.suspend(token)
        assert not room.usable(token), "stricter, though nobody has answered"
        async with database.transaction() as txn:
            await txn.execute("DROP TRIGGER full")
        assert (await room.show(token)).state == "suspended", "what is in force, not what was"
        assert (await room.resume(token)).state == "active"
        assert await differences(room) == []
        assert [row.outcome for row in await room.audit() if row.action == "suspend"][-1] == "done"


async def test_what_was_begun_before_is_completed_before_anything_is_shown(tmp_path: Path) -> None:
    """Whoever asks what became of his order must not see it carried out later."""
    keys = make_keys(tmp_path)
    async with opened(tmp_path, keys) as room:
        token = (await room.issue(1)).token
        vault = room.books.vault
        row = await vault.find(token)
        assert row is not None
        async with vault.database.transaction() as txn:
            await Vault.begin(
                txn,
                Intent(
                    change=await Vault.next_change(txn), token=row.id, action="suspend",
                    state=int(TokenState.SUSPENDED), card=row.card_row,
                    card_expiry=row.card_expiry, card_sequence=row.card_sequence,
                    mapping_version=row.mapping_version, actor="tester", reason="", begun_ms=1,
                ),
            )  # fmt: skip
    async with opened(tmp_path, keys, repaired=False) as room:
        assert (await room.show(token)).state == "suspended"


async def test_damage_that_a_tap_has_met_is_built_over(tmp_path: Path) -> None:
    async with opened(tmp_path) as room:
        tokens = await room.bring(200)
        (data,) = (tmp_path / "index").glob("*/data.mdb")
        with data.open("r+b") as file:
            for page in range(2, data.stat().st_size // 4096):
                file.seek(page * 4096 + 100)
                file.write(b"\xff" * 3000)
        with pytest.raises(TokenIndexError):
            room.books.index.find(tokens[5])
        assert await room.books.repair() is True
        assert await differences(room) == []
        assert room.usable(tokens[5])
        assert await room.books.repair() is False
