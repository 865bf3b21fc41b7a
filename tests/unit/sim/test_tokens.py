"""Test tokens: as many as were asked for, each of its own, with the magic of its card."""

import csv
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest

from switch.model.pan import luhn_digit
from switch.sim.cards import luhn_valid
from switch.sim.devices import TOKEN_COLUMNS
from switch.sim.magic import TABLE, TAPS, Trick, find, find_tap
from switch.sim.tokens import IMPORT_COLUMNS, PASSED, issue, write_import, write_tokens

BANKS = ("629900", "629901", "629902")


@pytest.mark.parametrize("count", [10, 1_000, 30_000])
def test_tokens_are_valid_and_no_two_are_equal(count: int) -> None:
    made = list(issue("629977", BANKS, count))
    assert len({one.token for one in made}) == len({one.pan for one in made}) == count
    assert all(luhn_valid(one.token) and luhn_valid(one.pan) for one in made)
    assert all(one.token[-1] == luhn_digit(one.token[:-1]) for one in made)
    assert {one.pan[:6] for one in made} == set(BANKS)
    assert {one.profile for one in made} == {"unionpay-01", "visa-10", "visa-18"}


def test_tokens_go_on_behind_a_hundred_thousand_serials() -> None:
    made = list(issue("629977", BANKS, 110_000))
    assert len({one.token for one in made}) == 110_000
    assert Counter(one.token[6:10] for one in made)["0001"] > 5_000


def test_a_range_has_an_end() -> None:
    with pytest.raises(ValueError, match="no room for 900000000"):
        next(issue("629977", BANKS, 900_000_000))


def test_magic_digits_of_a_token_are_its_cards() -> None:
    for one in issue("629977", BANKS, 50_000):
        magic = find_tap(one.token)
        assert one.trick is (magic.trick if magic else Trick.NOTHING)
        assert find(one.pan, 100) == find(one.token, 100)
        assert (one.expiry == PASSED) is (one.trick is Trick.EXPIRED)
    digits = Counter(int(one.token[6:10]) for one in issue("629977", BANKS, 50_000))
    assert all(digits[row] == 50 for row in TAPS)
    assert all(digits[row.digits] == 50 for row in TABLE.values() if row.digits != 9000)


def test_files_say_what_is_to_be_issued_and_tapped(tmp_path: Path) -> None:
    made = list(issue("629977", BANKS, 2_000))
    stream = StringIO()
    assert write_import(stream, made) == sum(one.known for one in made) < 2_000
    write_tokens(tmp_path / "tokens.csv", made)
    stream.seek(0)
    rows = {row["token"]: row for row in csv.DictReader(stream)}
    assert tuple(next(iter(rows.values()))) == IMPORT_COLUMNS
    restricted = {Trick.SUSPENDED: "suspended", Trick.WRONG_MERCHANT: "mccs"}
    for one in made:
        if not one.known:
            assert one.token not in rows
            continue
        row = rows[one.token]
        assert (row["pan"], row["token_expiry"]) == (one.pan, one.expiry)
        assert (row["suspended"] == "yes") is (one.trick is Trick.SUSPENDED)
        assert bool(row["mccs"]) is (restricted.get(one.trick) == "mccs")
        assert bool(row["ceiling_minor"]) is (one.trick is Trick.ABOVE_CEILING)
    text = (tmp_path / "tokens.csv").read_text()
    assert text.splitlines()[0] == ",".join(TOKEN_COLUMNS)
    assert len(text.splitlines()) == 2_001
    assert not any(one.pan in text for one in made)
