"""Every cross rule fires on what it forbids, names the key, and is silent on sound settings."""

from pathlib import Path

import pytest

from switch.constants import JOURNAL_MARGIN_MS
from switch.settings.check import Finding, check_settings, is_loopback
from switch.settings.load import load
from tests.support.config import ROUTES, SWITCH, write_config


def findings(directory: Path, switch: str = SWITCH, routes: str = ROUTES) -> list[Finding]:
    return check_settings(load(write_config(directory, switch, routes)))


def route(prefix: str, issuer: str) -> str:
    return f'[[routes]]\nprefix = "{prefix}"\nissuer = "{issuer}"\n'


def test_sound_settings_have_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


ACQUIRER = 'listen = "127.0.0.1:4001"\n'
DIALLED = 'addresses = ["127.0.0.1:5001"]\n'


@pytest.mark.parametrize(
    ("old", "new", "severity", "rule", "key"),
    [
        ("[node]\n", '[node]\nbusiness_zone = "Mars/X"\n', "error", "zone", "node.business_zone"),
        ('"ACQ01"', '"BANK01"', "error", "institution", "issuers.0.id"),
        (ACQUIRER, ACQUIRER + "timeout_ms = 40000\n", "error", "deadlines",
         "acquirers.0.terminal_timeout_ms"),
        (ACQUIRER, ACQUIRER + f"timeout_ms = {20_000 + JOURNAL_MARGIN_MS}\n", "error", "deadlines",
         "acquirers.0.timeout_ms"),
        (DIALLED, DIALLED + "deadline_ms = 30000\n", "error", "deadlines",
         "acquirers.0.timeout_ms"),
        (DIALLED, DIALLED + "reversal_retry_ms = 70000\n", "error", "pauses",
         "issuers.0.reversal_retry_ms"),
        (DIALLED, DIALLED + "reconnect_max_ms = 100\n", "error", "pauses",
         "issuers.0.reconnect_min_ms"),
        (DIALLED, "", "error", "links", "issuers.0.addresses"),
        ('listen = "127.0.0.1:4102"\n', "", "error", "links", "issuers.1.listen"),
        (DIALLED, DIALLED + 'listen = "127.0.0.1:1"\n', "warning", "links", "issuers.0.listen"),
        (DIALLED, 'addresses = ["a:1", "a:1"]\n', "warning", "links", "issuers.0.addresses"),
        ("127.0.0.1:4102", "127.0.0.1:4001", "error", "addresses", "issuers.1.listen"),
        ("127.0.0.1:4102", "0.0.0.0:4001", "error", "addresses", "issuers.1.listen"),
        ("127.0.0.1:4102", "127.0.0.1:9464", "error", "addresses", "metrics.listen"),
        ("127.0.0.1:4001", "127.0.0.1:99999", "error", "addresses", "acquirers.0.listen"),
        ("127.0.0.1:5001", "127.0.0.1:0", "error", "addresses", "issuers.0.addresses.0"),
        ("127.0.0.1:5001", "127.0.0.1:4001", "error", "addresses", "issuers.0.addresses.0"),
        (ACQUIRER, ACQUIRER + 'dialect = "iso87-asci"\n', "error", "dialects",
         "acquirers.0.dialect"),
        ("[node]\n", "[limits]\nduplicates_max = 4095\n[node]\n", "error", "limits",
         "limits.duplicates_max"),
        (ACQUIRER, ACQUIRER + "wait_target_ms = 201\n", "error", "admission",
         "acquirers.0.wait_target_ms"),
        (ACQUIRER, ACQUIRER + "wait_interval_ms = 16000\n", "error", "admission",
         "acquirers.0.wait_interval_ms"),
        (ACQUIRER, ACQUIRER + "rate_max = 5000\nburst_max = 10\n", "warning", "admission",
         "acquirers.0.burst_max"),
        (DIALLED, DIALLED + "in_flight_max = 4096\n", "warning", "admission",
         "acquirers.0.in_flight_max"),
        ("[node]\n", "[journal]\nsegment_mib = 8\n[node]\n", "error", "limits",
         "journal.pending_mib"),
    ],
)  # fmt: skip
def test_rule_fires_at_its_key(
    tmp_path: Path, old: str, new: str, severity: str, rule: str, key: str
) -> None:
    assert old in SWITCH
    found = [(f.severity, f.rule, f.key) for f in findings(tmp_path, SWITCH.replace(old, new, 1))]
    assert [one for one in found if one[1] not in {"tls", "mac"}] == [(severity, rule, key)]


MAC = '[acquirers.mac]\nalgorithm = "{}"\nkey = "a"\n'


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("127.0.0.1:4001", "0.0.0.0:4001", "acquirers.0.listen"),
        ("127.0.0.1:5001", "10.0.0.9:5001", "issuers.0.addresses.0"),
        ("127.0.0.1:4102", "[::]:4102", "issuers.1.listen"),
        (ACQUIRER, ACQUIRER + MAC.format("x9.9") + 'cipher = "3des"\n', "acquirers.0.mac.cipher"),
        (ACQUIRER, ACQUIRER + MAC.format("x9.19") + "key_bytes = 8\n", "acquirers.0.mac.key_bytes"),
        (ACQUIRER, ACQUIRER + MAC.format("x9.19") + 'chain = "xor"\n', "acquirers.0.mac.chain"),
        (ACQUIRER, ACQUIRER + MAC.format("cup-ecb") + 'chain = "retail"\n',
         "acquirers.0.mac.chain"),
        (ACQUIRER, ACQUIRER + MAC.format("cup-ecb") + "code_bytes = 4\n",
         "acquirers.0.mac.code_bytes"),
        (ACQUIRER, ACQUIRER + '[acquirers.mac]\nalgorithm = "x9.9"\n', "acquirers.0.mac.key"),
    ],
)  # fmt: skip
def test_codes_that_cannot_be_made_or_are_missing(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    assert old in SWITCH
    found = [(f.severity, f.rule, f.key) for f in findings(tmp_path, SWITCH.replace(old, new, 1))]
    assert [one for one in found if one[1] != "tls"] == [("error", "mac", key)]


@pytest.mark.parametrize("algorithm", ["cup-ecb", "x9.9", "x9.19"])
def test_every_algorithm_is_sound_without_further_words(tmp_path: Path, algorithm: str) -> None:
    outside = SWITCH.replace(
        ACQUIRER, ACQUIRER.replace("127.0.0.1", "0.0.0.0") + MAC.format(algorithm)
    )
    assert [f for f in findings(tmp_path, outside) if f.rule != "tls"] == []


def test_two_acquirers_with_one_institution_code(tmp_path: Path) -> None:
    second = SWITCH.partition("[[acquirers]]")[2].partition("[[issuers]]")[0]
    second = "[[acquirers]]" + second.replace("ACQ01", "ACQ02").replace("4001", "4002")
    found = findings(tmp_path, SWITCH + second)
    assert [(f.severity, f.key) for f in found] == [("warning", "acquirers.1.institution_code")]


@pytest.mark.parametrize(
    ("routes", "severity", "key", "words"),
    [
        (ROUTES + route("6299", "BANK03"), "error", "routes.2.issuer", 'did you mean "BANK0'),
        (ROUTES + route("629900", "BANK02"), "error", "routes.2.prefix", "leads to BANK01 already"),
        (ROUTES + route("629900", "BANK01"), "warning", "routes.2.prefix", "second time"),
        (ROUTES + route("62990012", "BANK01"), "warning", "routes.2.prefix", "lies in 629900"),
        (route("6299", "BANK01"), "warning", "issuers.1.id", "no route leads to BANK02"),
    ],
)
def test_rule_of_routes(tmp_path: Path, routes: str, severity: str, key: str, words: str) -> None:
    found = findings(tmp_path, routes=routes)
    assert [(f.severity, f.rule, f.key) for f in found] == [(severity, "routes", key)]
    assert words in found[0].problem + found[0].help


def test_longer_prefix_of_another_issuer_is_what_routes_are_for(tmp_path: Path) -> None:
    assert findings(tmp_path, routes=ROUTES + route("6299001", "BANK02")) == []


def test_prefix_whose_cards_are_all_taken_is_never_reached(tmp_path: Path) -> None:
    banks = ["BANK01", "BANK02"]
    nine = [route(f"62990{digit}", banks[digit % 2]) for digit in range(9)]
    tenth = [route(f"629909{digit}", banks[digit % 2]) for digit in range(10)]
    routes = "".join([route("62990", "BANK01"), *nine, *tenth])
    errors = [f for f in findings(tmp_path, routes=routes) if f.severity == "error"]
    assert [f.key for f in errors] == ["routes.0.prefix"]
    assert "never reached" in errors[0].problem


def test_prefix_with_one_card_range_left_is_reached(tmp_path: Path) -> None:
    nine = [route(f"62990{digit}", "BANK02") for digit in range(9)]
    assert findings(tmp_path, routes="".join([route("62990", "BANK01"), *nine])) == []


def test_no_route_at_all(tmp_path: Path) -> None:
    found = findings(tmp_path, routes="")
    assert [f.severity for f in found] == ["warning", "warning", "error"]


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("bank.example:1", False),
    ],
)
def test_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


TOKENS = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'


def test_tokens_in_a_range_of_their_own_are_sound(tmp_path: Path) -> None:
    assert findings(tmp_path, SWITCH + TOKENS) == []


@pytest.mark.parametrize("prefix", ["62990099", "6299"])
def test_no_number_is_both_token_and_card(tmp_path: Path, prefix: str) -> None:
    """Whichever of the two is the longer prefix."""
    tokens = TOKENS.replace("629977", prefix.ljust(6, "0"))
    routes = ROUTES + route(prefix, "BANK01")
    found = [f for f in findings(tmp_path, SWITCH + tokens, routes) if f.rule == "tokens"]
    assert found
    assert {(f.severity, f.key) for f in found} == {("error", "tokens.ranges.0.prefix")}


def test_token_ranges_of_one_length_do_not_overlap(tmp_path: Path) -> None:
    both = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }, '
    both += '{ prefix = "6299770", length = 16 }, { prefix = "6299771", length = 19 }]\n'
    found = findings(tmp_path, SWITCH + both)
    assert [(f.rule, f.key) for f in found] == [("tokens", "tokens.ranges.1.prefix")]


TLS = """[%s.tls]
certificate = "tls/switch.pem"
key = "tls/switch.key"
ca = "tls/ca.pem"
names = [%s]
"""


def with_tls(acquirer: str, bank: str = '"bank01.test"') -> str:
    """ACQ01 and BANK01 with TLS, and these names."""
    text = SWITCH.replace("[[issuers]]", TLS % ("acquirers", acquirer) + "[[issuers]]", 1)
    head, separator, tail = text.rpartition("[[issuers]]")
    return head + TLS % ("issuers", bank) + separator + tail


def test_member_that_connects_to_us_must_have_a_name(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, with_tls("", ""))
    assert (found.severity, found.rule, found.key) == ("error", "tls", "acquirers.0.tls.names")
    assert "tapswitch cert show" in found.help


def test_fleet_that_would_be_away_for_minutes_is_told(tmp_path: Path) -> None:
    """4,096 links, 1.5 ms each: half a minute with a fifth of the worker, ten with a hundredth."""
    fleet = with_tls('"pos.test"').replace(ACQUIRER, ACQUIRER + "connections_max = 4096\n")
    assert findings(tmp_path, fleet) == []
    slow = fleet.replace("[node]\n", "[limits]\nhandshake_share_max = 1\n[node]\n", 1)
    (found,) = findings(tmp_path, slow)
    assert (found.severity, found.rule) == ("warning", "admission")
    assert found.key == "limits.handshake_share_max"
    assert "4160 links" in found.problem or "4096 links" in found.problem
    assert "61" in found.problem


def test_two_acquirers_with_one_name(tmp_path: Path) -> None:
    text = with_tls('"pos.test"')
    second = text.partition("[[acquirers]]")[2].partition("[[issuers]]")[0]
    second = second.replace("ACQ01", "ACQ02").replace("4001", "4002").replace("10001", "10002")
    found = findings(tmp_path, text + "[[acquirers]]" + second.replace("pos.test", "POS.test"))
    assert [(f.severity, f.rule, f.key) for f in found] == [
        ("warning", "tls", "acquirers.1.tls.names")
    ]
    # A bank that is also an acquirer may show one certificate on both sides.
    assert findings(tmp_path, with_tls('"bank01.test"')) == []


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("127.0.0.1:4001", "0.0.0.0:4001", "acquirers.0.listen"),
        ("127.0.0.1:5001", "bank.example:5001", "issuers.0.addresses"),
        ("127.0.0.1:4102", "[::]:4102", "issuers.1.listen"),
    ],
)
def test_link_beyond_this_machine_without_tls_is_told_of(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    found = [f for f in findings(tmp_path, SWITCH.replace(old, new)) if f.rule == "tls"]
    assert [(f.severity, f.key) for f in found] == [("warning", key)]
    if not key.startswith("issuers.1"):
        found = findings(tmp_path, with_tls('"acq01.test"').replace(old, new))
        assert [f for f in found if f.rule == "tls"] == []
