"""Which rule covers a request, and what none ever does."""

import msgspec
import pytest

from switch.engine.stand_in import KINDS, StandInRule, Why, rule_for
from switch.model.kind import FORWARDED, Kind
from switch.native import walk
from switch.wire import Message
from tests.support.message import PURCHASE, message

RULE = StandInRule(
    name="small",
    when=frozenset(Why),
    kinds=frozenset({int(Kind.PURCHASE)}),
    currency="156",
    amount_minor_max=2_000,
    count_max=3,
    sum_minor_max=5_000,
    plain=True,
)


def purchase(mti: str = "0200", **fields: str) -> Message:
    return message(mti, {**PURCHASE, **fields})


def covered(
    *rules: StandInRule, asked: Message | None = None, why: Why = Why.TIMEOUT, proved: bool = False
) -> str:
    """Name of the rule that covers the request, '' for none."""
    found = rule_for(rules or (RULE,), asked or purchase(), why, proved=proved)
    return found.name if found is not None else ""


def rule(**changes: object) -> StandInRule:
    return msgspec.structs.replace(RULE, **changes)


def test_the_first_rule_that_covers_it_decides() -> None:
    other = rule(name="other", amount_minor_max=900)
    assert covered(other, RULE) == "small"
    assert covered(RULE, other) == "small"
    assert covered(other, RULE, asked=purchase(amount="000000000900")) == "other"
    assert rule_for((), purchase(), Why.TIMEOUT, proved=False) is None


@pytest.mark.parametrize("why", list(Why))
def test_each_rule_says_when(why: Why) -> None:
    assert covered(rule(when=frozenset({why})), why=why) == "small"
    for other in set(Why) - {why}:
        assert covered(rule(when=frozenset({why})), why=other) == ""


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, {"amount": "000000002001"}),
        ({}, {"currency": "840"}),
        ({"mccs": frozenset({"4111"})}, {"mcc": "5411"}),
        ({"mccs": frozenset({"4111"})}, {}),
        ({"processing_codes": ("01",)}, {}),
        ({"entry_modes": ("05", "02")}, {}),
    ],
)
def test_whatever_a_rule_says_must_hold(changes: dict[str, object], fields: dict[str, str]) -> None:
    assert covered(rule(**changes), asked=purchase(**fields)) == ""


def test_conditions_that_hold() -> None:
    narrow = rule(
        mccs=frozenset({"4111", "4131"}), processing_codes=("00",), entry_modes=("07", "05")
    )
    assert covered(narrow, asked=purchase(mcc="4131")) == "small"


def test_cards_by_prefix_leave_no_mark_on_the_request() -> None:
    asked = purchase()
    assert covered(rule(cards=walk.Routes([("629901", 0)])), asked=asked) == ""
    assert covered(rule(cards=walk.Routes([("629900", 0)])), asked=asked) == "small"


def test_tokens_and_plain_cards_are_told_apart() -> None:
    tokens, plain = rule(tokens=True, plain=False), rule(tokens=False, plain=True)
    assert covered(tokens, proved=True) == "small"
    assert covered(tokens, proved=False) == ""
    assert covered(plain, proved=False) == "small"
    assert covered(plain, proved=True) == ""


@pytest.mark.parametrize("kind", sorted(FORWARDED - set(KINDS.values())))
def test_kinds_that_no_rule_can_name(kind: Kind) -> None:
    assert kind not in KINDS.values()
    assert Kind.REVERSAL_ADVICE not in KINDS.values()


def test_an_authorisation_only_where_the_rule_names_it() -> None:
    assert covered(asked=purchase("0100")) == ""
    named = rule(kinds=frozenset({int(KINDS["authorisation"])}))
    assert covered(named, asked=purchase("0100")) == "small"


def test_never_an_unverified_cryptogram_of_a_plain_card() -> None:
    chip = "9F2608" + "01" * 8
    assert covered(asked=purchase(icc=chip)) == ""


def test_never_a_pin_that_nobody_verified() -> None:
    assert covered(asked=purchase(pin_block="0123456789ABCDEF")) == ""
    assert covered(asked=purchase(pin_block="0123456789ABCDEF"), proved=True) == ""


def test_never_a_repeat_whose_first_presentation_is_unknown() -> None:
    assert covered(asked=purchase("0201")) == ""
