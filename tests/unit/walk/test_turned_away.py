"""Requests that were refused without a record: their repeats are told the same for a while."""

from pathlib import Path

from switch.model.state import KeyState
from tests.support.walk import NOW_S, open_world


def test_a_repeat_is_told_what_its_request_was_told_for_five_to_ten_seconds(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request = world.purchase()
        assert world.duplicates.claim(request, world.acquirer, 1, NOW_S) == KeyState.NEW
        world.gate.refuse(request, world.terminal, "96", "JV", NOW_S)
        assert world.one(world.release(), world.terminal).get("response_code") == "96"
        for after_s in (0, 4, 5, 9):
            again = world.purchase()
            found = world.duplicates.claim(again, world.acquirer, 2, NOW_S + after_s)
            assert found == KeyState.TURNED_AWAY, after_s
            assert world.gate.repeat(again, world.terminal, world.acquirer, NOW_S + after_s)
            told = world.one(world.release(), world.terminal)
            assert told.get("response_code") == "96"
        late = world.purchase()
        assert world.duplicates.claim(late, world.acquirer, 3, NOW_S + 11) == KeyState.NEW
