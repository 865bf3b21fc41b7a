"""What acquirers and banks write down."""

from tests.unit.simulation.ledgers import KEY, body, held, slot, told


def test_a_body_was_approved_when_any_answer_said_so() -> None:
    assert body(told=[told("91"), told("00")]).approved
    assert body(told=[told("11")]).approved
    assert not body(told=[told("91"), told("51")]).approved
    assert not body(told=[]).approved


def test_a_slot_is_known_by_what_the_switch_must_know_it_by() -> None:
    assert slot(body()).key == KEY


def test_lists_are_of_one_entry_only() -> None:
    one, other = slot(body()), slot(body())
    one.undoings.append(None)  # type: ignore[arg-type]
    assert other.undoings == []
    first, second = held(), held()
    first.reversals.append(None)  # type: ignore[arg-type]
    assert second.reversals == []
