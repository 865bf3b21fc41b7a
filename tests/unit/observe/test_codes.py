"""Codes are found as people write them."""

import pytest

from switch.observe.codes import explain, suggestion, title_of


def found(asked: str) -> list[tuple[str, str]]:
    return [(code.kind, code.code) for code in explain(asked)]


@pytest.mark.parametrize("asked", ["TSW-O0102", "tsw-o0102", "O0102", "o0102"])
def test_an_error_is_found_with_and_without_its_prefix(asked: str) -> None:
    assert found(asked) == [("class", "TSW-O0102")]


def test_each_kind_of_code_is_found() -> None:
    assert found("tw") == [("end", "TW")]
    assert found("51") == [("response", "51")]
    assert found("walk.3") == [("rule", "walk.3")]
    assert found("--") == found("answered") == [("end", "--")]


def test_a_retired_code_is_explained_by_its_successor() -> None:
    assert found("ST") == [("end", "SN")]
    assert title_of("end", "ST") == title_of("end", "SN") == "token not usable"


def test_an_unknown_code_gets_a_suggestion() -> None:
    assert found("O0999") == []
    assert suggestion("O01022") == "TSW-O0102"
    assert suggestion("walk.33") == "walk.3"
    assert suggestion("qqqqqqqq") == ""


def test_titles_exist_in_both_languages() -> None:
    assert title_of("end", "TW", "zh") == "银行超时"
    assert title_of("end", "??") == ""
