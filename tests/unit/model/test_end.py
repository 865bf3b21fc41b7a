"""End codes: one bounded set whose letters say who and when."""

import re

from switch.model import end
from tests.support.tree import ROOT

WHO = {"-", "A", "I", "S", "K", "T", "R", "D", "J", "O"}
WHEN = {"-", "F", "P", "V", "C", "N", "R", "Q", "W", "B", "L", "S"}
NAMED = [name for name in end.__all__ if name not in {"ALL", "RETIRED"}]


def test_every_code_is_listed_once() -> None:
    assert {getattr(end, name) for name in NAMED} == set(end.ALL)
    assert len(end.ALL) == len(set(end.ALL)) == len(NAMED)


def test_letters_say_who_and_when() -> None:
    assert all(len(code) == 2 and code[0] in WHO and code[1] in WHEN for code in end.ALL)


def test_a_retired_code_is_never_used_again() -> None:
    assert not set(end.RETIRED) & set(end.ALL)
    assert set(end.RETIRED.values()) <= set(end.ALL)


def test_every_code_is_given_somewhere() -> None:
    names = "|".join(NAMED)
    text = "\n".join(
        file.read_text(encoding="utf-8")
        for room in ("engine", "runtime")
        for file in (ROOT / "switch" / room).glob("*.py")
    )
    named = set(re.findall(rf"\b(?:end\.)?({names})\b", text))
    native = {"ANSWERED", "REPEAT"}
    assert named | native == set(NAMED)
