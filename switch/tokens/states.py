"""What an action makes of a token's state: one total table.

A restriction takes something away and reaches the index before the vault; a relaxation gives
something and reaches it after. So, whatever is killed where, the stricter state is in force.
"""

from enum import StrEnum, unique
from typing import Final

from switch.model.token import TokenState

__all__ = ["RESTRICTIONS", "Action", "after", "refusal"]


@unique
class Action(StrEnum):
    """What may be done to a token that exists."""

    SUSPEND = "suspend"
    RESUME = "resume"
    DELETE = "delete"
    REPLACE_PAN = "replace-pan"


RESTRICTIONS: Final = frozenset({Action.SUSPEND, Action.DELETE, Action.REPLACE_PAN})
"""To replace a card restricts the old one, which may be lost."""

_S = TokenState

_AFTER: Final[dict[tuple[Action, TokenState], TokenState]] = {
    (Action.SUSPEND, _S.ACTIVE): _S.SUSPENDED,
    (Action.SUSPEND, _S.SUSPENDED): _S.SUSPENDED,
    (Action.RESUME, _S.SUSPENDED): _S.ACTIVE,
    (Action.RESUME, _S.ACTIVE): _S.ACTIVE,
    (Action.DELETE, _S.REQUESTED): _S.DELETED,
    (Action.DELETE, _S.ACTIVE): _S.DELETED,
    (Action.DELETE, _S.SUSPENDED): _S.DELETED,
    (Action.DELETE, _S.DELETED): _S.DELETED,
    (Action.REPLACE_PAN, _S.REQUESTED): _S.REQUESTED,
    (Action.REPLACE_PAN, _S.ACTIVE): _S.ACTIVE,
    (Action.REPLACE_PAN, _S.SUSPENDED): _S.SUSPENDED,
}
"""What is not here is refused."""


def after(action: Action, state: TokenState) -> TokenState | None:
    """The state that follows; None when the action is refused."""
    return _AFTER.get((action, state))


def refusal(action: Action, state: TokenState) -> tuple[str, str]:
    """Problem and help for an action that `after` refuses."""
    name = state.name.lower()
    if state is TokenState.DELETED:
        return f"{action} is refused: the token is deleted for good", "issue a new token"
    possible = [str(other) for other in Action if (other, state) in _AFTER]
    return f"{action} is refused: the token is {name}", f"possible: {', '.join(possible)}"
