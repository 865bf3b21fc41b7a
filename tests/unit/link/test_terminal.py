"""The table of a terminal's sign-on: total, and with an answer for everything."""

import pytest

from switch.link.terminal import (
    TABLE,
    TERMINAL_CODES,
    Act,
    Standing,
    Wanted,
    refusal,
    wanted,
)
from switch.model import end
from switch.native import mac


def test_table_is_total_and_every_act_is_used() -> None:
    assert set(TABLE) == set(Standing)
    assert all(set(row) == set(Wanted) for row in TABLE.values())
    assert {act for row in TABLE.values() for act in row.values()} == set(Act)
    assert set(Act) - set(TERMINAL_CODES) == {Act.ISSUE, Act.FORGET}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("001", Wanted.SIGN_ON),
        ("003", Wanted.SIGN_ON),
        ("004", Wanted.SIGN_ON),
        ("002", Wanted.SIGN_OFF),
        ("301", Wanted.ECHO),
        ("006", Wanted.ODD),
        ("", Wanted.ODD),
        (None, Wanted.ODD),
    ],
)
def test_field_60_3_says_what_is_wanted(code: str | None, expected: Wanted) -> None:
    assert wanted(code) is expected


def test_nobodys_terminal_is_never_given_keys() -> None:
    for standing in (Standing.UNKNOWN, Standing.MERCHANT):
        assert not set(TABLE[standing].values()) & {Act.ISSUE, Act.FORGET, Act.ANSWER}


def test_every_result_of_a_guard_has_a_refusal() -> None:
    told = {reason: refusal(reason) for reason in mac.RESULTS if reason != "ok"}
    assert told == {
        "wrong": ("A0", end.PROOF, True),
        "missing": ("A0", end.PROOF, True),
        "keyless": ("A0", end.NOT_SIGNED_ON, True),
        "unknown": ("97", end.FIELD_RULE, False),
        "merchant": ("03", end.FIELD_RULE, False),
    }
