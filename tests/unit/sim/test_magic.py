"""One table for code, help and documentation."""

import pytest

from scripts.cards_page import cards_text
from switch.sim.cards import card_number
from switch.sim.magic import (
    CODE_MIN,
    ORDINARY,
    TABLE,
    TAPS,
    Act,
    Trick,
    find,
    find_tap,
    tap_markdown,
    text,
)
from tests.support.tree import ROOT


@pytest.mark.parametrize("digits", TABLE)
def test_every_row_is_chosen_by_card_and_by_amount(digits: int) -> None:
    row = TABLE[digits]
    assert find(card_number("629901", digits), 1234) is row
    assert find(card_number("629901"), digits) is row
    assert find(card_number("629901"), 3_0000 + digits) is row


def test_the_card_wins_over_the_amount() -> None:
    assert find(card_number("629901", 9051), 9300).code == "51"


@pytest.mark.parametrize("amount", [0, 1, CODE_MIN - 1, 9999, 18_999])
def test_other_amounts_are_ordinary(amount: int) -> None:
    assert find(card_number("629901"), amount) is ORDINARY


def test_a_card_with_unlisted_digits_is_ordinary() -> None:
    assert find(card_number("629901", 9999), 100) is ORDINARY


def test_every_act_has_a_row_and_keys_match() -> None:
    assert {row.act for row in TABLE.values()} == set(Act) - {Act.ORDINARY}
    assert all(digits == row.digits and digits >= CODE_MIN for digits, row in TABLE.items())
    assert list(TABLE) == sorted(TABLE)


def test_rows_without_an_answer_have_no_code() -> None:
    silent = {Act.SILENT, Act.LOST, Act.DEAF, Act.HANG_UP}
    assert {row.act for row in TABLE.values() if not row.code} == silent


def test_help_lists_every_row() -> None:
    lines = text().splitlines()
    assert len(lines) == len(TABLE) + len(TAPS) + 3
    assert all(any(line.startswith(f"  {digits}  ") for line in lines) for digits in TABLE)


def test_every_trick_has_a_row_that_no_bank_takes_for_magic() -> None:
    assert {row.trick for row in TAPS.values()} == set(Trick) - {Trick.NOTHING}
    assert list(TAPS) == sorted(TAPS)
    for digits, row in TAPS.items():
        assert digits == row.digits < CODE_MIN
        token = card_number("629977", digits)
        assert find_tap(token) is row
        assert find(token, 100) is ORDINARY
    assert find_tap(card_number("629977", 9051)) is None
    assert find_tap(card_number("629977", 1)) is None


def test_documentation_holds_the_tables() -> None:
    page = (ROOT / "docs" / "reference" / "test-cards.md").read_text(encoding="utf-8")
    assert page == cards_text(), "run scripts/generate"
    assert tap_markdown() in page
