"""A bank's books: each request booked once, each reversal in effect once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.sim.bank import Bank, Original
from switch.sim.cards import card_number
from switch.sim.ledger import Effect
from switch.sim.magic import TABLE, Act

PREFIX = "629901"
REFERENCE = ("000001", "1123100000")


def purchase(amount: int = 5000, digits: int = 0, pan: str = "") -> Original:
    return Original(
        pan or card_number(PREFIX, digits),
        amount,
        "T0000001",
        "M00000000000001",
        "00000000001",
        "A00000000001",
    )


def test_an_ordinary_purchase_holds_its_amount() -> None:
    bank = Bank([PREFIX], opening_balance=10_000)
    decision = bank.request(REFERENCE, purchase())
    assert (decision.code, decision.held) == ("00", 5000)
    assert bank.available(card_number(PREFIX)) == 5000
    assert (bank.holds, bank.held_amount) == (1, 5000)


def test_an_empty_account_declines_51() -> None:
    bank = Bank([PREFIX], opening_balance=4999)
    assert bank.request(REFERENCE, purchase()).code == "51"
    assert bank.holds == 0


@pytest.mark.parametrize(
    "pan", ["6299020000000014", card_number("629902"), card_number(PREFIX)[:-1] + "0", "6299", ""]
)
def test_a_card_that_is_not_the_banks_declines_14(pan: str) -> None:
    bank = Bank([PREFIX])
    original = Original(pan, 5000, "T0000001", "M00000000000001", "00000000001", "A00000000001")
    assert bank.request(REFERENCE, original).code == "14"


@pytest.mark.parametrize("digits", TABLE)
def test_magic_rows_hold_what_they_say(digits: int) -> None:
    row = TABLE[digits]
    bank = Bank([PREFIX])
    decision = bank.request(REFERENCE, purchase(digits=digits))
    assert decision.magic is row
    assert (decision.held > 0) == row.holds
    assert decision.held == (2500 if row.act is Act.PARTIAL else 5000 if row.holds else 0)
    assert decision.code == (row.code or "00")


def test_a_request_seen_before_is_answered_as_then_and_booked_once() -> None:
    bank = Bank([PREFIX])
    first = bank.request(REFERENCE, purchase())
    second = bank.request(REFERENCE, purchase())
    assert (second.code, second.held, second.copy) == (first.code, first.held, True)
    assert bank.held_amount == 5000


def test_a_reversal_releases_once_however_often_it_comes() -> None:
    bank = Bank([PREFIX], opening_balance=10_000)
    bank.request(REFERENCE, purchase())
    effects = [bank.reverse(REFERENCE, purchase()) for _ in range(3)]
    assert [one.effect for one in effects] == [Effect.RELEASED, Effect.AGAIN, Effect.AGAIN]
    assert [one.released for one in effects] == [5000, 0, 0]
    assert all(one.acknowledge and not one.problem for one in effects)
    assert bank.available(card_number(PREFIX)) == 10_000
    assert (bank.holds, bank.held_amount) == (0, 0)


def test_a_reversal_of_a_decline_has_no_effect() -> None:
    bank = Bank([PREFIX])
    bank.request(REFERENCE, purchase(digits=9051))
    assert bank.reverse(REFERENCE, purchase(digits=9051)).effect is Effect.NOTHING


def test_a_reversal_that_overtakes_leaves_a_tombstone() -> None:
    bank = Bank([PREFIX])
    assert bank.reverse(REFERENCE, purchase()).effect is Effect.TOMBSTONE
    assert bank.reverse(REFERENCE, purchase()).effect is Effect.AGAIN
    late = bank.request(REFERENCE, purchase())
    assert (late.code, late.held) == ("12", 0)


def test_a_lost_request_was_never_booked() -> None:
    bank = Bank([PREFIX])
    assert bank.request(REFERENCE, purchase(digits=9301)).held == 0
    assert bank.reverse(REFERENCE, purchase(digits=9301)).effect is Effect.TOMBSTONE


def test_a_deaf_bank_acknowledges_the_repeat_only() -> None:
    bank = Bank([PREFIX])
    bank.request(REFERENCE, purchase(digits=9302))
    first, second = (
        bank.reverse(REFERENCE, purchase(digits=9302)),
        bank.reverse(REFERENCE, purchase(digits=9302)),
    )
    assert (first.effect, first.acknowledge) == (Effect.RELEASED, False)
    assert (second.effect, second.acknowledge) == (Effect.AGAIN, True)


def test_a_healed_bank_loses_nothing_and_hears_all() -> None:
    bank = Bank([PREFIX])
    bank.healed = True
    assert bank.request(REFERENCE, purchase(digits=9301)).held == 5000
    bank.request(("000002", "1123100000"), purchase(digits=9302))
    assert bank.reverse(("000002", "1123100000"), purchase(digits=9302)).acknowledge


def test_a_reversal_that_disagrees_names_the_fields() -> None:
    bank = Bank([PREFIX])
    bank.request(REFERENCE, purchase())
    wrong = Original(
        card_number(PREFIX), 4000, "T0000002", "M00000000000001", "00000000001", "A00000000001"
    )
    assert bank.reverse(REFERENCE, wrong).problem == "amount terminal"


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from([0, *TABLE])), max_size=60)
)
def test_money_is_conserved_whatever_comes(steps: list[tuple[bool, int, int]]) -> None:
    """Balances plus holds are constant; holds are counted right; nothing is released twice."""
    bank = Bank([PREFIX], opening_balance=20_000)
    held: dict[int, int] = {}
    for reverse, number, digits in steps:
        reference = (f"{number:06d}", "1123100000")
        if reverse:
            assert bank.reverse(reference, purchase()).released == held.get(number, 0)
            held[number] = 0
        else:
            decision = bank.request(reference, purchase(digits=digits))
            if not decision.copy and decision.held:
                held[number] = decision.held
    assert bank.held_amount == sum(held.values())
    assert bank.holds == sum(amount > 0 for amount in held.values())
    pans = [card_number(PREFIX, digits) for digits in (0, *TABLE)]
    assert sum(bank.available(pan) for pan in pans) + bank.held_amount == 20_000 * len(pans)


def test_an_advice_is_booked_once_whatever_the_balance_and_can_be_reversed() -> None:
    bank = Bank(("6299",), opening_balance=100)
    told = Original("6299000000000004", 500, "T", "M", "A", "R")
    first, again = bank.advise(("1", "t"), told), bank.advise(("1", "t"), told)
    assert (first.code, first.held, again.code, again.held) == ("00", 500, "00", 0)
    assert (again.copy, bank.holds, bank.held_amount) == (True, 1, 500)
    undone = bank.reverse(("1", "t"), told)
    assert (undone.effect, undone.released, bank.holds) == (Effect.RELEASED, 500, 0)
    stranger = Original("4299000000000004", 500, "T", "M", "A", "R")
    assert bank.advise(("2", "t"), stranger).code == "14"
