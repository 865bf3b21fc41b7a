"""Domains as people and files write them."""

from itertools import pairwise

import pytest

from switch.errors import TokenError
from switch.model.token import Domain
from switch.tokens.domain import DOMAIN_FIELDS, describe, domain_of

EVERYTHING = {
    "requestor_bound": "yes",
    "channels": "contactless, QR",
    "mccs": "4111;0742",
    "ceiling_minor": "5000",
    "ceiling_currency": "156",
    "currencies": "156 344",
    "not_before": "2026-01-01",
    "not_after": "2027-01-01T08:00+08:00",
}


def test_all_of_it() -> None:
    assert set(EVERYTHING) == set(DOMAIN_FIELDS)
    assert domain_of(EVERYTHING) == Domain(
        requestor_bound=True,
        channels=5,
        mccs=(4111, 742),
        ceiling_minor=5000,
        ceiling_currency=156,
        currencies=(156, 344),
        not_before_s=1_767_225_600,
        not_after_s=1_798_761_600,
    )


def test_in_one_line() -> None:
    assert describe(domain_of(EVERYTHING)) == (
        "its requestor only; by contactless, qr; merchants 4111, 0742; up to 5000 of 156; "
        "in 156, 344; from 2026-01-01T00:00:00Z; until 2027-01-01T00:00:00Z"
    )
    assert describe(Domain()) == "anywhere"


def test_nothing_restricts_nothing() -> None:
    assert domain_of({}) == domain_of(dict.fromkeys(DOMAIN_FIELDS, "")) == Domain()


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("requestor_bound", "perhaps"),
        ("channels", "contactles"),
        ("mccs", "12345"),
        ("mccs", "x"),
        ("ceiling_minor", "5000"),
        ("ceiling_minor", "1.5"),
        ("ceiling_currency", "CNY"),
        ("currencies", "156,1000"),
        ("not_before", "tomorrow"),
        ("not_after", "1960-01-01"),
    ],
)
def test_what_is_wrong_is_refused_without_quoting_it(key: str, text: str) -> None:
    with pytest.raises(TokenError) as caught:
        domain_of({key: text})
    assert text not in caught.value.problem


def test_misspelt_channel_gets_the_nearest() -> None:
    with pytest.raises(TokenError, match="contactless"):
        domain_of({"channels": "contactles"})


def test_end_comes_after_the_begin() -> None:
    dates = ("2026-01-01", "2026-01-02")
    for begin, end in pairwise([*dates, dates[0]]):
        fields = {"not_before": begin, "not_after": end}
        if begin < end:
            assert domain_of(fields).not_after_s
        else:
            with pytest.raises(TokenError, match="ends before"):
                domain_of(fields)
