"""The language of `tail --where`: what it says, and how it says that it was not understood."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.journal.where import ALIASES, FIELDS, LENGTH_MAX, WhereError, compile_where

ROW: dict[str, Any] = {name: None if kind in {int, float} else "" for name, kind in FIELDS.items()}
ROW |= {
    "issuer": "BANK01",
    "acquirer": "ACQ01",
    "code": "51",
    "end": "--",
    "kind": "purchase",
    "amount_minor": 1234,
    "token": True,
    "bank_ms": 12.5,
    "merchant_id": "Café 7",
}


def holds(text: str) -> bool:
    return compile_where(text)(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "issuer == BANK01",
        "issuer==BANK01 and rc!=00",
        "code in (51, 61)",
        "code not in (00, 11)",
        'merchant == "Café 7"',
        "merchant == 'Café 7'",
        "amount >= 1234 and amount_minor < 2000",
        "bank_ms > 12.4",
        "token",
        "tap == yes",
        "not (code == 00 or end in (TW, IW))",
        "code == 00 or issuer == BANK01 and end == --",
        "not not token",
    ],
)
def test_true(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    ["code == 00", "amount > 1234", "not token", "issuer != BANK01", "code == 51 and code == 00"],
)
def test_false(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize("operator", ["==", "!=", "<", ">", "<=", ">="])
def test_what_is_not_known_compares_as_false(operator: str) -> None:
    assert not holds(f"ours_us {operator} 5")
    assert not holds("ours_us not in (5)")


def test_and_binds_tighter_than_or() -> None:
    assert holds("code == 51 or code == 00 and code == 99")
    assert not holds("(code == 51 or code == 00) and code == 99")


@pytest.mark.parametrize(
    ("text", "problem", "at", "mend"),
    [
        ("isuer == BANK01", 'no field "isuer"', 0, 'did you mean "issuer"?'),
        ("code == 00 und end == TW", "expected `and`, `or` or the end here", 11, ""),
        ("issuer = BANK01", "this is not understood", 7, "== compares"),
        ("issuer", '"issuer" needs a comparison', 6, "== != < > <= >= in"),
        ("code > 50", '"code" has no order', 5, "only == != in"),
        ("amount > much", '"much" is no number', 9, ""),
        ("token == perhaps", "expected true or false", 9, ""),
        ("code in 00", "a list in parentheses belongs here", 8, 'in (00, "11")'),
        ("code in (00", "a list is not closed", 11, ""),
        ("(code == 00", "a parenthesis is not closed", 11, ""),
        ("code ==", "expected a value here", 7, ""),
        ("", "expected a field here", 0, ""),
        ("code == 00; drop", "this is not understood", 10, ""),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, problem: str, at: int, mend: str) -> None:
    with pytest.raises(WhereError) as caught:
        compile_where(text)
    error = caught.value
    assert (error.problem, error.at) == (problem, at)
    assert error.help.startswith(mend)
    head, line, caret = error.shown().splitlines()
    assert (head, line.strip()) == (problem, text.strip())
    assert caret.index("^") == at + 2


def test_length_and_depth_are_bounded() -> None:
    with pytest.raises(WhereError, match="longer than"):
        compile_where("token or " * LENGTH_MAX)
    with pytest.raises(WhereError, match="nested deeper"):
        compile_where("(" * 100 + "token" + ")" * 100)
    with pytest.raises(WhereError, match="nested deeper"):
        compile_where("not " * 100 + "token")


def test_every_alias_leads_to_a_field() -> None:
    assert set(ALIASES.values()) <= set(FIELDS)
    assert not set(ALIASES) & set(FIELDS)


@given(st.text(alphabet="abcde issuer==!<>()'\",.0123 andornotin", max_size=60))
def test_any_text_compiles_or_says_where_it_is_wrong(text: str) -> None:
    wrong: WhereError | None = None
    try:
        compile_where(text)(ROW)
    except WhereError as error:
        wrong = error
    assert wrong is None or 0 <= wrong.at <= len(text)
