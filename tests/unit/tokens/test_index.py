"""The seam to the native index; its inside is tested in native/src/index/tests.rs."""

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


def test_a_write_is_seen_at_once_by_another_process(tmp_path: Path, keys: journal.Keys) -> None:
    opened = built(tmp_path, keys, [row(keys, n) for n in range(3)], 1)
    suspended = msgspec.structs.replace(row(keys, 1), state=3)
    opened.write([suspended], [row(keys, 2).token], 2)
    found = opened.find(suspended.token)
    assert found is not None
    assert found["state"] == 3
    assert opened.find(row(keys, 2).token) is None
    assert opened.stamp == (2, VAULT)


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
