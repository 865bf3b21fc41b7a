"""Request keys: what makes two requests the same, and what is forgotten when room runs out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.errors import UsageError
from switch.model.state import KeyState
from switch.native import walk
from tests.support.walk import NOW_S, World, open_world, restarted

HALF_A_YEAR_S = 183 * 86_400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, capacity=8) as world:
        yield world


@pytest.mark.parametrize(
    "changes",
    [
        {"terminal_id": "TERM0002"},
        {"merchant_id": "MERCHANT0000002"},
        {"transmission_time": "1123160001"},
        {"mti": "0100"},
    ],
)
def test_whatever_is_in_the_key_makes_another_request(
    world: World, changes: dict[str, str]
) -> None:
    assert world.claim(world.purchase(1), 1) == KeyState.NEW
    assert world.claim(world.purchase(1, **changes), 2) == KeyState.NEW


def test_a_repeat_digit_makes_no_other_request(world: World) -> None:
    assert world.claim(world.purchase(1), 1) == KeyState.NEW
    assert world.claim(world.purchase(1, mti="0201"), 2) == KeyState.IN_FLIGHT


@pytest.mark.parametrize(
    "changes",
    [
        {"pan": "6299011234567890"},
        {"amount": "000000001235"},
        {"currency": "840"},
        {"processing_code": "010000"},
        {"icc": bytes.fromhex("9F26081122334455667788")},
    ],
)
def test_whatever_is_in_the_body_makes_another_body(
    world: World, changes: dict[str, str | bytes]
) -> None:
    assert world.claim(world.purchase(1), 1) == KeyState.NEW
    assert world.claim(world.purchase(1, **changes), 2) == KeyState.IN_FLIGHT + 16


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"condition_code": "06"}),
        ({"condition_code": "06"}, {}),
        ({"mti": "0220"}, {"mti": "0220", "condition_code": "06"}),
    ],
)
def test_another_kind_is_another_body(
    world: World, first: dict[str, str], second: dict[str, str]
) -> None:
    assert world.purchase(1, **first).kind != world.purchase(1, **second).kind
    assert world.claim(world.purchase(1, **first), 1) == KeyState.NEW
    assert world.claim(world.purchase(1, **second), 2) == KeyState.IN_FLIGHT + 16
    assert world.claim(world.purchase(1, **first), 3) == KeyState.IN_FLIGHT


def test_an_advice_and_a_request_with_its_numbers_are_two_exchanges(world: World) -> None:
    """What was not approved is no reason to lose what the advice tells; what differs is another
    fact."""
    assert world.claim(world.purchase(1, mti="0220"), 1) == KeyState.NEW
    assert world.claim(world.purchase(1), 2) == KeyState.NEW
    assert world.claim(world.purchase(1, mti="0221"), 3) == KeyState.IN_FLIGHT
    assert world.claim(world.purchase(1, mti="0201"), 4) == KeyState.IN_FLIGHT
    assert world.claim(world.purchase(2), 5) == KeyState.NEW
    assert world.claim(world.purchase(2, mti="0220", amount="000000000001"), 6) == KeyState.NEW


def test_an_advice_of_what_its_bank_knows_or_may_know_is_taken(world: World) -> None:
    world.purchase_to_bank(1)
    assert world.claim(world.purchase(1, mti="0220"), 90) == KeyState.IN_FLIGHT + 16
    world.approved(2)
    assert world.claim(world.purchase(2, mti="0221"), 91) == KeyState.APPROVED + 16
    request, txn, frame = world.purchase_to_bank(3)
    reply = world.reply_to(frame, "51")
    world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
    assert world.claim(world.purchase(3, mti="0220"), 92) == KeyState.NEW


def test_a_reversal_names_the_advice_or_the_request(world: World) -> None:
    """By the type of the original; both bear the same numbers."""
    request, advice = world.purchase(1), world.purchase(1, mti="0220")
    assert (world.claim(advice, 7), world.claim(request, 8)) == (KeyState.NEW, KeyState.NEW)
    for mti, txn in (("0200", 8), ("0220", 7)):
        reversal = world.reversal_of(1, 2, **{"original_data.mti": mti})
        entry = world.duplicates.original(reversal, world.acquirer, NOW_S)
        assert entry is not None
        assert entry.txn == txn


def test_a_kind_is_told_from_another_after_a_restart(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        world.approved(1)
        with restarted(world) as (second, _):
            completion = second.purchase(1, condition_code="06")
            assert second.claim(completion, 7) == KeyState.APPROVED + 16
            assert second.claim(second.purchase(1, mti="0201"), 8) == KeyState.APPROVED


def test_a_reversal_that_is_sent_on_as_an_advice_is_the_same(world: World) -> None:
    assert world.claim(world.reversal_of(1, 2, mti="0400"), 1) == KeyState.NEW
    assert world.claim(world.reversal_of(1, 2, mti="0420"), 2) == KeyState.IN_FLIGHT
    assert world.claim(world.reversal_of(1, 2, mti="0421"), 3) == KeyState.IN_FLIGHT


def test_two_institutions_never_share_a_key(world: World) -> None:
    assert world.duplicates.claim(world.purchase(1), world.acquirer, 1, NOW_S) == KeyState.NEW
    other = world.gate.institution("ACQ02", "")
    assert world.duplicates.claim(world.purchase(1), other, 2, NOW_S) == KeyState.NEW


def test_the_same_date_of_another_year_is_another_request(world: World) -> None:
    claim = world.duplicates.claim
    assert claim(world.purchase(1), world.acquirer, 1, NOW_S) == KeyState.NEW
    assert claim(world.purchase(1), world.acquirer, 2, NOW_S + 86_400) == KeyState.IN_FLIGHT
    assert claim(world.purchase(1), world.acquirer, 3, NOW_S + 2 * HALF_A_YEAR_S) == KeyState.NEW


def test_an_entry_tells_what_stands_there(world: World) -> None:
    request = world.purchase(1)
    assert world.duplicates.look(request, world.acquirer, NOW_S) is None
    txn, _, _ = world.forward(request)
    entry = world.duplicates.look(world.purchase(1, amount="000000000001"), world.acquirer, NOW_S)
    assert entry is not None
    assert (entry.txn, entry.state, entry.issuer) == (txn, KeyState.IN_FLIGHT, world.bank)
    assert (entry.same_body, entry.card_agrees, entry.amount_minor) == (False, True, 1234)
    assert (entry.response_code, entry.business_date) == ("", "20261123")


def test_a_reversal_of_another_card_does_not_agree(world: World) -> None:
    world.approved(1)
    reversal = world.reversal_of(1, 2, pan="6299011234567890")
    entry = world.duplicates.original(reversal, world.acquirer, NOW_S)
    assert entry is not None
    assert not entry.card_agrees


def test_the_oldest_goes_first_and_what_is_in_flight_stays(world: World) -> None:
    flying = world.purchase(1)
    world.forward(flying)
    world.flow()
    for stan in range(2, 12):
        world.approved(stan)
    look = world.duplicates.look
    assert len(world.duplicates) == world.duplicates.capacity == 8
    assert look(flying, world.acquirer, NOW_S) is not None
    assert look(world.purchase(4), world.acquirer, NOW_S) is None
    assert look(world.purchase(5), world.acquirer, NOW_S) is not None
    evictions = world.duplicates.evictions()
    assert evictions == {"all": 3, "early": 3, "early_age_s": 0, "in_flight": 0}


def test_a_request_that_was_forgotten_in_flight_cannot_be_recorded(tmp_path: Path) -> None:
    with open_world(tmp_path, capacity=1) as world:
        request = world.purchase(1)
        txn, _, _ = world.forward(request)
        world.claim(world.purchase(2), 9)
        assert world.duplicates.evictions()["in_flight"] == 1
        with pytest.raises(UsageError, match="keep the table larger"):
            world.gate.conclude(request, world.terminal, txn, "91", "IR", world.wall_ms)
        assert world.gate.held_bytes(world.terminal) == 0


@pytest.mark.parametrize("capacity", [0, 1 << 27])
def test_a_capacity_that_makes_no_sense_is_refused(world: World, capacity: int) -> None:
    with pytest.raises(UsageError, match="capacity"):
        walk.Duplicates(world.keys, capacity)
