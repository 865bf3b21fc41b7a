"""What one operator asks for and another confirms."""

import pytest

from switch.control.approvals import ASKED_MAX, VALID_S, Approvals
from switch.errors import OrderError
from switch.runtime.clock import SECOND

KEY = ("saf-write-off", 42, 1)
LAPSED_NS = VALID_S * SECOND


def test_another_operator_confirms_and_only_that() -> None:
    approvals = Approvals()
    approvals.ask(KEY, "anna", "by phone", 0)
    with pytest.raises(OrderError, match="anna has asked for it"):
        approvals.confirmed(KEY, "anna", 1)
    with pytest.raises(OrderError, match="nobody has asked"):
        approvals.confirmed(("saf-write-off", 42, 2), "bert", 1)
    asked = approvals.confirmed(KEY, "bert", 1)
    assert (asked.who, asked.why) == ("anna", "by phone")
    approvals.done(KEY)
    with pytest.raises(OrderError, match="nobody has asked"):
        approvals.confirmed(KEY, "bert", 1)


def test_what_was_asked_for_lapses() -> None:
    approvals = Approvals()
    approvals.ask(KEY, "anna", "", 0)
    assert approvals.of(KEY, LAPSED_NS - 1) is not None
    assert approvals.of(KEY, LAPSED_NS) is None
    with pytest.raises(OrderError, match="within the last 15 minutes"):
        approvals.confirmed(KEY, "bert", LAPSED_NS)


def test_who_asks_anew_takes_the_place_of_who_asked_before() -> None:
    approvals = Approvals()
    approvals.ask(KEY, "anna", "", 0)
    approvals.ask(KEY, "bert", "", 1)
    with pytest.raises(OrderError, match="bert has asked"):
        approvals.confirmed(KEY, "bert", 2)
    assert approvals.confirmed(KEY, "anna", 2).who == "bert"


def test_only_so_many_wait_and_lapsed_ones_make_room() -> None:
    approvals = Approvals()
    for number in range(ASKED_MAX):
        approvals.ask(("saf-write-off", number, 1), "anna", "", 0)
    with pytest.raises(OrderError, match="wait for a second operator"):
        approvals.ask(("saf-write-off", ASKED_MAX, 1), "anna", "", 1)
    approvals.ask(("saf-write-off", 0, 1), "anna", "", 1)
    approvals.ask(("saf-write-off", ASKED_MAX, 1), "anna", "", LAPSED_NS + 1)
