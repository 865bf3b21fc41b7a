"""What tokens may be while orders are under way."""

import pytest

from switch.model.token import TokenState
from switch.simulation.register import AFTER, EVER, NOBODY, Ordered, Register, Thing
from switch.simulation.wallet import EXPIRY, ISSUED, LIMITED, RESTLESS, card, token_of
from switch.tokens.states import Action, after

TOKEN = token_of(0, 1)


def ordered(register: Register, what: str, call: int, end: int, **more: object) -> Ordered:
    one = Ordered(len(register.orders), what, TOKEN, call_ns=call, end_ns=end, **more)  # type: ignore[arg-type]
    register.begin(one)
    return one


def states(register: Register, since: int, until: int, token: str = TOKEN) -> set[int]:
    return {thing.state for thing in register.possible(token, since, until)}


def test_from_its_call_to_its_end_an_order_may_be_carried_out_or_not() -> None:
    register = Register()
    ordered(register, "suspend", 100, 200, outcome="done", applied=True)
    ordered(register, "resume", 300, 400, outcome="done", applied=True)
    assert states(register, 0, 99) == {TokenState.ACTIVE}
    assert states(register, 150, 150) == {TokenState.ACTIVE, TokenState.SUSPENDED}
    assert states(register, 201, 299) == {TokenState.SUSPENDED}
    assert states(register, 201, 300) == {TokenState.SUSPENDED, TokenState.ACTIVE}
    assert states(register, 401, EVER) == {TokenState.ACTIVE}


def test_what_was_not_carried_out_changes_nothing_and_what_has_no_end_may_come_at_any_time() -> (
    None
):
    register = Register()
    ordered(register, "suspend", 100, 200, outcome="read", applied=False)
    assert states(register, 0, EVER) == {TokenState.ACTIVE}
    ordered(register, "delete", 300, EVER)
    assert states(register, 5_000, 5_000) == {TokenState.ACTIVE, TokenState.DELETED}


def test_another_card_is_behind_a_token_from_its_order_on() -> None:
    register = Register()
    ordered(
        register, "replace_pan", 100, 200, outcome="done", applied=True, pan=card(0, 9),
        expiry="3209",
    )  # fmt: skip
    assert register.cards(TOKEN, 0, 50) == {(card(0, 1), EXPIRY)}
    assert register.cards(TOKEN, 150, 160) == {(card(0, 1), EXPIRY), (card(0, 9), "3209")}
    assert register.cards(TOKEN, 201, EVER) == {(card(0, 9), "3209")}


def test_a_token_that_is_to_be_issued_is_nobodys_and_limited_ones_have_their_states() -> None:
    register = Register()
    assert states(register, 0, EVER, token_of(1, ISSUED)) == {NOBODY}
    for number, limits in LIMITED.items():
        assert states(register, 0, EVER, token_of(2, number)) == {limits.state}
    for number in RESTLESS:
        assert states(register, 0, EVER, token_of(2, number)) == {TokenState.ACTIVE}
    assert register.possible("6299770000000000", 0, EVER) == []


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("state", list(TokenState))
def test_the_operators_table_agrees_with_the_products(action: Action, state: TokenState) -> None:
    assert AFTER.get((action.replace("-", "_"), state)) == after(action, state)


def test_what_an_order_makes_of_a_token() -> None:
    one = Thing(TokenState.ACTIVE, "1", "3112")
    assert one.after("suspend", "", "") == Thing(TokenState.SUSPENDED, "1", "3112")
    assert one.after("replace_pan", "2", "3209") == Thing(TokenState.ACTIVE, "2", "3209")
    assert one.after("issue", "2", "3209") is None
