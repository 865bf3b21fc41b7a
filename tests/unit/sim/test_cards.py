"""Test cards are valid, of the test range, and drawn in the shares that were asked for."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.sim.cards import (
    APPROVING,
    DEMO,
    HARSH,
    Wallet,
    card_number,
    check_digit,
    luhn_valid,
    mask,
)
from switch.sim.magic import ORDINARY, TABLE, Act, find


@pytest.mark.parametrize(
    ("digits", "expected"), [("7992739871", "3"), ("411111111111111", "1"), ("0", "0")]
)
def test_check_digit_of_known_numbers(digits: str, expected: str) -> None:
    assert check_digit(digits) == expected


@given(
    st.integers(0, 99),
    st.integers(0, 9999),
    st.integers(0, 99_999),
    st.integers(0, 15),
    st.integers(1, 9),
)
def test_every_card_is_valid_and_one_changed_digit_is_not(
    bank: int, digits: int, serial: int, place: int, by: int
) -> None:
    pan = card_number(f"6299{bank:02d}", digits, serial)
    assert len(pan) == 16
    assert luhn_valid(pan)
    changed = pan[:place] + str((int(pan[place]) + by) % 10) + pan[place + 1 :]
    assert not luhn_valid(changed)


@pytest.mark.parametrize("prefix", ["411111", "62990", "6299012", "6299ab"])
def test_cards_outside_the_test_range_are_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="629900"):
        card_number(prefix)


def test_mask_shows_six_and_four() -> None:
    assert mask("6299010000000014") == "629901******0014"


def test_an_approving_wallet_buys_ordinary_things_only() -> None:
    wallet = Wallet(["629901", "629902"], APPROVING, Random(1))
    drawn = [wallet.draw() for _ in range(2000)]
    assert {find(purchase.pan, purchase.amount) for purchase in drawn} == {ORDINARY}
    assert {purchase.pan[:6] for purchase in drawn} == {"629901", "629902"}
    assert all(luhn_valid(purchase.pan) and 100 <= purchase.amount < 9000 for purchase in drawn)


def test_the_demo_mixture_is_drawn_in_its_shares_by_card_and_by_amount() -> None:
    wallet = Wallet(["629901"], DEMO, Random(2))
    drawn = [wallet.draw() for _ in range(40_000)]
    acts = Counter(find(purchase.pan, purchase.amount).act for purchase in drawn)
    for act, share in DEMO.items():
        assert 0.5 * share < acts[act] / len(drawn) < 2 * share, act
    assert acts[Act.ORDINARY] / len(drawn) > 0.85
    magic = [purchase for purchase in drawn if find(purchase.pan, purchase.amount) is not ORDINARY]
    by_amount = sum(purchase.amount in TABLE for purchase in magic)
    assert 0.4 < by_amount / len(magic) < 0.6


def test_the_harsh_mixture_has_every_fault() -> None:
    assert HARSH.keys() == set(Act) - {Act.ORDINARY, Act.APPROVE}
    assert sum(HARSH.values()) < 0.75
    assert HARSH.keys() > DEMO.keys()


def test_shares_beyond_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="shares"):
        Wallet(["629901"], {Act.SLOW: 1.1}, Random(3))
