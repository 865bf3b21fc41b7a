"""One table of metrics: bounded, complete from the start, and the same names on both sides."""

import re
from pathlib import Path
from typing import get_args

from switch.engine.effects import NOTES as ENGINE_NOTES
from switch.model import end
from switch.native import codec
from switch.observe.catalogue import (
    ENDS,
    FAMILIES,
    INTERNAL_US,
    NOTES,
    OTHER,
    OVERFLOWING,
    PREFIX,
    RESPONSE_CODES,
    TOKEN_OPERATIONS,
    Members,
    series_of,
)
from switch.tokens import orders
from tests.support.tree import ROOT

MEMBERS = Members(["ACQ01", "ACQ02"], ["BANK01", "BANK02", "BANK03"])
SERIES = series_of(MEMBERS)
FORBIDDEN = {"pan", "terminal", "merchant", "stan", "rrn", "amount", "token", "card"}


def test_names_are_unique() -> None:
    names = [*SERIES.counters, *SERIES.gauges, *SERIES.histograms]
    assert len(names) == len(set(names))
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_every_combination_exists_from_the_start() -> None:
    assert f'{PREFIX}transactions_total{{class="auth",outcome="declined"}}' in SERIES.counters
    assert f'{PREFIX}upstream_requests_total{{issuer="BANK03",result="late"}}' in SERIES.counters
    assert f"{PREFIX}undelivered_answers_total" in SERIES.counters
    assert f'{PREFIX}inflight_requests{{issuer="BANK01"}}' in SERIES.gauges
    assert f'{PREFIX}upstream_duration_seconds{{issuer="BANK02"}}' in SERIES.histograms


def test_a_rule_of_stand_in_has_series_with_its_own_bank_only() -> None:
    rules = {"BANK01": ["transit", "shop"], "BANK02": ["transit"]}
    members = Members(["ACQ01"], ["BANK01", "BANK02", "BANK03"], rules=rules)
    stood = [name for name in series_of(members).counters if 'result="stood"' in name]
    assert stood == [
        f'{PREFIX}stand_in_total{{issuer="{bank}",rule="{rule}",result="stood"}}'
        for bank, rule in (("BANK01", "transit"), ("BANK01", "shop"), ("BANK02", "transit"))
    ]


def test_a_node_of_twenty_members_stays_within_five_thousand_series() -> None:
    twenty = Members([f"ACQ{n:02}" for n in range(10)], [f"BANK{n:02}" for n in range(10)])
    exposed = 0
    for family in FAMILIES:
        lines = len(family.bounds_us) + 3 if family.bounds_us else 1
        exposed += sum(1 for _ in family.series(twenty)) * lines
    assert exposed < 5_000


def test_no_label_speaks_of_a_card_or_a_terminal() -> None:
    assert {label for family in FAMILIES for label in family.labels} & FORBIDDEN == set()


def test_the_limit_of_the_service_level_is_an_edge() -> None:
    assert 10_000 in INTERNAL_US
    assert all(tuple(f.bounds_us) == tuple(sorted(f.bounds_us)) for f in FAMILIES)


def test_end_codes_and_notes_are_all_listed() -> None:
    assert set(ENDS) == set(end.ALL)
    assert set(ENGINE_NOTES) <= set(NOTES)


def test_response_codes_are_those_of_the_dialects_and_at_most_sixty() -> None:
    assert len(RESPONSE_CODES) <= 60
    file = ROOT / "config" / "dialects" / "iso87-ascii.toml"
    values, _ = codec.parse_toml(file.read_text())
    assert {"00", "51", "91", OTHER} <= set(RESPONSE_CODES)
    assert set(values["response_codes"]["approve"]) <= set(RESPONSE_CODES)


def test_native_rooms_count_under_names_of_the_catalogue() -> None:
    source = Path(ROOT / "native/src/walk/figures.rs").read_text()
    named = re.findall(r'"(tapswitch_[a-z_]+)(?:\{\{(.*?)\}\})?"', source.replace('\\"', "'"))
    assert len(named) >= 15
    families = {PREFIX + family.name: list(family.labels) for family in FAMILIES}
    for name, labels in named:
        assert families[name] == re.findall(r"(\w+)='", labels), name


def test_operations_on_tokens_are_those_that_may_be_ordered() -> None:
    tags = [order.__struct_config__.tag for order in get_args(orders.Order)]
    assert sorted(map(str, tags)) == sorted(TOKEN_OPERATIONS)


def test_what_overflows_has_a_value_for_it() -> None:
    labels = {family.name: family.labels for family in FAMILIES}
    for name, label in OVERFLOWING.items():
        assert OTHER in (labels[name][label] or ())
