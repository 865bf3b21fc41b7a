"""Suggestions."""

from switch.settings.nearest import nearest, suggest


def test_nearest_word_or_nothing() -> None:
    assert nearest("chek", ["check", "run"]) == "check"
    assert nearest("zzzz", ["check", "run"]) == ""


def test_suggestion_names_the_word_or_lists_all() -> None:
    assert suggest("chek", ["check", "run"]) == 'did you mean "check"?'
    assert suggest("zzzz", ["run", "check"]) == "valid here: check, run"
    assert suggest("zzzz", []) == "valid here: nothing"
