"""Longest prefix wins; what has no route says so."""

import pytest

from switch.errors import UsageError
from switch.native import codec, walk
from tests.support.walk import dialect

DIALECT = dialect()


def card(pan: str) -> codec.Message:
    frame = DIALECT.encode("0200", {"pan": pan, "stan": "000001"} if pan else {"stan": "000001"})
    return DIALECT.decode(frame[2:])


def test_the_longest_prefix_wins() -> None:
    routes = walk.Routes([("6299", 1), ("629901", 2), ("62990155", 3)])
    pans = ("6299001234567891", "6299011234567890", "6299015512345679", "6300001234567890", "")
    found = [routes.find(card(pan)) for pan in pans]
    assert found == [1, 2, 3, -1, -1]


def test_an_empty_prefix_is_the_default() -> None:
    assert walk.Routes([("", 4), ("62", 5)]).find(card("5100000000000000")) == 4


@pytest.mark.parametrize("rules", [[("62x", 1)], [("6299001234567", 1)], [("62", 1), ("62", 2)]])
def test_rules_that_make_no_sense_are_refused(rules: list[tuple[str, int]]) -> None:
    with pytest.raises(UsageError, match="prefix"):
        walk.Routes(rules)
