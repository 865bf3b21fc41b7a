"""The engine's table is total and keeps the rules that can be read off it."""

from switch.engine.events import Event
from switch.engine.forward import CONCLUSIONS
from switch.engine.states import IMPOSSIBLE, KEY_STATES, TABLE, Ignored, State, To
from switch.model import end
from switch.model.state import Cause, KeyState

_OWING = {State.OWED, State.REVERSING, State.PARKED}
_IN_FLIGHT = {State.AWAITING, State.SUPPRESSED}


def test_the_table_is_total() -> None:
    assert set(TABLE) == set(State)
    for row in TABLE.values():
        assert set(row) == set(Event)


def test_every_ignored_cell_says_why() -> None:
    for row in TABLE.values():
        for cell in row.values():
            assert not isinstance(cell, Ignored) or len(cell.reason) > 10


def test_nothing_leads_back_to_a_bank() -> None:
    """Rule 2: what was sent once is never sent again; its only exits are an answer or a
    reversal."""
    for state, row in TABLE.items():
        for event, cell in row.items():
            if isinstance(cell, To) and cell.state is State.AWAITING and state is not cell.state:
                assert state in {State.NEW, State.VERIFYING}
                assert event is Event.FORWARDED


def test_what_a_bank_owes_ends_only_by_its_word() -> None:
    """Rule 3: a reversal is repeated until a final code comes, whatever else happens."""
    for state in _OWING:
        for event, cell in TABLE[state].items():
            if isinstance(cell, To) and cell.state not in _OWING:
                assert cell.state is State.REVERSED
                assert event is Event.REVERSAL_CONFIRMED


def test_an_approval_is_undone_by_its_acquirer_or_when_provably_undelivered() -> None:
    """Rule 4."""
    leaves = {
        event
        for event, cell in TABLE[State.APPROVED].items()
        if isinstance(cell, To) and cell.state is not State.APPROVED
    }
    assert leaves == {Event.ACQUIRER_REVERSED, Event.UNDELIVERABLE}


def test_nothing_in_flight_ends_without_an_outcome() -> None:
    for state in _IN_FLIGHT:
        for cell in TABLE[state].values():
            assert not isinstance(cell, To) or cell.state in {
                *_IN_FLIGHT,
                State.APPROVED,
                State.STOOD_IN,
                State.DECLINED,
                State.OWED,
            }


def test_a_suppressed_approval_never_reaches_its_acquirer() -> None:
    """Rule 6: no way leads from a request that was taken back to APPROVED."""
    reachable, todo = set(), [State.SUPPRESSED]
    while todo:
        state = todo.pop()
        if state in reachable:
            continue
        reachable.add(state)
        todo += [cell.state for cell in TABLE[state].values() if isinstance(cell, To)]
    assert State.APPROVED not in reachable


def test_final_states_are_reachable_and_every_state_is() -> None:
    reachable, todo = set(), [State.NEW]
    while todo:
        state = todo.pop()
        if state not in reachable:
            reachable.add(state)
            todo += [cell.state for cell in TABLE[state].values() if isinstance(cell, To)]
    assert reachable == set(State)


def test_an_outcome_of_ours_owes_a_reversal_exactly_where_the_table_says_owed() -> None:
    for event, (_, _, cause) in CONCLUSIONS.items():
        targets = {
            cell.state for state in _IN_FLIGHT if isinstance(cell := TABLE[state][event], To)
        }
        targets.discard(State.APPROVED)
        assert targets == ({State.OWED} if cause is not Cause.NONE else {State.DECLINED})


def test_conclusions_use_known_end_codes() -> None:
    assert {ending for _, ending, _ in CONCLUSIONS.values()} <= set(end.ALL)
    assert len(set(end.ALL)) == len(end.ALL)


def test_every_key_state_says_something_of_its_transaction() -> None:
    assert set(KEY_STATES) == set(KeyState)


def test_impossible_is_one_value() -> None:
    cells = [cell for row in TABLE.values() for cell in row.values()]
    assert all(cell is IMPOSSIBLE for cell in cells if not isinstance(cell, To | Ignored))
