"""What an action makes of a state: the whole table."""

import pytest

from switch.model.token import TokenState
from switch.tokens.states import RESTRICTIONS, Action, after, refusal

R, A, S, D = TokenState


@pytest.mark.parametrize(
    ("action", "states"),
    [
        (Action.SUSPEND, [None, S, S, None]),
        (Action.RESUME, [None, A, A, None]),
        (Action.DELETE, [D, D, D, D]),
        (Action.REPLACE_PAN, [R, A, S, None]),
    ],
)
def test_table(action: Action, states: list[TokenState | None]) -> None:
    assert [after(action, state) for state in TokenState] == states


def test_deleted_is_final() -> None:
    assert {after(action, D) for action in Action} == {D, None}
    assert "for good" in refusal(Action.RESUME, D)[0]


def test_refusal_says_what_is_possible() -> None:
    problem, help_text = refusal(Action.SUSPEND, R)
    assert "requested" in problem
    assert help_text == "possible: delete, replace-pan"


def test_only_resume_gives_something() -> None:
    assert set(Action) - RESTRICTIONS == {Action.RESUME}
