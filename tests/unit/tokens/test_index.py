"""The seam to the native index; its inside is tested in native/src/index/tests.rs."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from switch.errors import TokenIndexError, UsageError, VaultError
from switch.native import index, journal
from tests.support.journal import make_keys
from tests.support.tokens import Row, row

VAULT = bytes(range(16))


def built(directory: Path, keys: journal.Keys, rows: list[Row], change: int) -> index.Index:
    opened = index.Index.open(str(directory), keys)
    rebuild = opened.rebuild()
    rebuild.add(rows, change)
    rebuild.finish(change, VAULT)
    opened.look()
    return opened


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> journal.Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


def test_rows_of_the_vault_are_found_and_their_cards_stay_masked(
    tmp_path: Path, keys: journal.Keys
) -> None:
    opened = built(tmp_path, keys, [row(keys, n) for n in range(20)], 3)
    assert (opened.why, opened.stamp, len(opened)) == ("", (3, VAULT), 20)
    found = opened.find(row(keys, 7).token)
    assert found is not None
    assert found["pan"] == "629900******0072"
    assert found["state"] == 2
    assert opened.verify() == 20
    assert opened.find("6299770000099998") is None


READER = """
import os, sys
from switch.native import index, journal
keys_at, index_at, token = sys.argv[1:]
sealing = os.open(keys_at + "/sealing.key", os.O_RDONLY)
opened = index.Index.open(index_at, journal.Keys.open(keys_at + "/switch.keys", sealing))
for _ in sys.stdin:
    found = opened.find(token)
    print(None if found is None else found["state"], flush=True)
"""


def test_a_write_is_seen_at_once_by_another_process(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = tmp_path_factory.mktemp("keys")
    keys = make_keys(at)
    opened = built(tmp_path, keys, [row(keys, n) for n in range(3)], 1)
    one = row(keys, 1)
    told = []
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(at), str(tmp_path), one.token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write("\n")
        told.append(reader.stdout.readline())
        for change, state in enumerate([3, 2, 4], 2):
            opened.write([msgspec.structs.replace(one, state=state)], [], change)
            reader.stdin.write("\n")
            told.append(reader.stdout.readline())
        opened.write([], [one.token], 5)
        reader.stdin.write("\n")
        told.append(reader.stdout.readline())
        reader.stdin.close()
    assert [line.strip() for line in told] == ["2", "3", "2", "4", "None"]
    assert opened.stamp == (5, VAULT)
    assert len(opened) == 2


def test_damage_that_is_met_is_reported_to_whoever_can_rebuild(
    tmp_path: Path, keys: journal.Keys
) -> None:
    rows = [row(keys, n) for n in range(500)]
    opened = built(tmp_path, keys, rows, 1)
    met = [opened.damaged]
    (data,) = tmp_path.glob("*/data.mdb")
    pages = data.stat().st_size // 4096
    with data.open("r+b") as file:
        for page in range(2, pages):
            file.seek(page * 4096 + 100)
            file.write(b"\xff" * 3000)
    with pytest.raises(TokenIndexError):
        opened.find(rows[7].token)
    met.append(opened.damaged)
    assert met == [False, True]
    with pytest.raises(TokenIndexError):
        opened.verify()
    with pytest.raises(TokenIndexError):
        opened.write([rows[7]], [], 2)
    # LMDB may not write to it: the next look finds nothing in force.
    opened.mark_stale()
    assert opened.why
    again = built(tmp_path, keys, rows, 2)
    assert (again.why, again.damaged, again.verify()) == ("", False, 500)


def test_nothing_there_is_no_answer_and_never_unknown(tmp_path: Path, keys: journal.Keys) -> None:
    opened = index.Index.open(str(tmp_path), keys)
    assert opened.why == "missing"
    with pytest.raises(TokenIndexError, match="missing"):
        opened.find("6299770000000001")
    with pytest.raises(TokenIndexError):
        opened.write([], [], 1)


def test_a_stale_index_answers_nothing(tmp_path: Path, keys: journal.Keys) -> None:
    opened = built(tmp_path, keys, [row(keys, 1)], 1)
    opened.mark_stale()
    assert (opened.why, opened.stamp) == ("stale", None)
    with pytest.raises(TokenIndexError, match="stale"):
        opened.find(row(keys, 1).token)


def test_a_row_that_is_not_sound_is_refused_whole(tmp_path: Path, keys: journal.Keys) -> None:
    opened = built(tmp_path, keys, [row(keys, 1)], 1)
    good = row(keys, 2)
    for change in (
        {"state": 9},
        {"token": "62x"},
        {"requestor": "1"},
        {"token_expiry": "3013"},
        {"mccs": [1] * 17},
        {"currencies": [1] * 9},
    ):
        bad = msgspec.structs.replace(good, **change)
        with pytest.raises((UsageError, TokenIndexError)):
            opened.write([good, bad], [], 2)
    moved = msgspec.structs.replace(good, card_row=good.card_row + 1)
    with pytest.raises(VaultError, match="row"):
        opened.write([moved], [], 2)
    assert opened.stamp == (1, VAULT)
    assert opened.find(good.token) is None


def test_tokens_are_random_valid_and_of_their_range(keys: journal.Keys) -> None:
    made = index.random_tokens("629977", 19, 500)
    assert len(set(made)) == 500
    for token in made:
        assert len(token) == 19
        assert token.startswith("629977")
        digits = [int(c) for c in reversed(token)]
        assert (
            sum(d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)) % 10 == 0
        )
    # Every digit comes about equally often where it is random.
    drawn = "".join(token[6:18] for token in made)
    assert all(450 < drawn.count(digit) < 750 for digit in "0123456789")
    with pytest.raises(UsageError):
        index.random_tokens("629977", 7, 1)


def test_nothing_of_a_card_shows(tmp_path: Path, keys: journal.Keys) -> None:
    one = row(keys, 7)
    opened = built(tmp_path, keys, [one], 1)
    vault = index.VaultKeys(keys)
    assert vault.masked(one.pan_sealed, one.card_row, 1) == "629900******0072"
    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for shape in (b"6299000000000072", bytes.fromhex("6299000000000072")):
        assert shape not in everything
    assert "6299" not in repr(opened) + repr(vault)
