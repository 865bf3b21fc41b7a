"""The demonstration's own parts; the whole of it runs in tests/integration/test_demo.py."""

from pathlib import Path

import pytest

from switch.apps.demo import CONFIG, Options, Rate, render_config, run, warnings
from switch.control.check import check_node
from switch.errors import OperatorError
from switch.settings.load import load
from switch.settings.schema import split_address
from switch.sim.cards import card_number


def test_the_rendered_settings_have_the_banks_addresses(tmp_path: Path) -> None:
    plan = load(CONFIG / "demo.toml")
    dialled = [issuer.addresses[0] for issuer in plan.issuers if issuer.mode == "dial"]
    addresses = {old: f"127.0.0.1:{5000 + n}" for n, old in enumerate(dialled)}
    render_config(tmp_path / "config", addresses)
    settings = load(tmp_path / "config")
    found = [issuer.addresses[0] for issuer in settings.issuers if issuer.mode == "dial"]
    assert found == list(addresses.values())
    assert settings.routes == plan.routes


def test_two_acquirers_and_three_banks_on_loopback_with_short_deadlines() -> None:
    plan = load(CONFIG / "demo.toml")
    assert (len(plan.acquirers), len(plan.issuers)) == (2, 3)
    assert {issuer.mode for issuer in plan.issuers} == {"dial", "accept"}
    assert all(issuer.deadline_ms <= 2000 for issuer in plan.issuers)
    assert all(split_address(address)[0] == "127.0.0.1" for _, address in plan.listens())


def test_every_bank_has_test_cards_routed_to_it() -> None:
    plan = load(CONFIG / "demo.toml")
    for issuer in plan.issuers:
        prefixes = [route.prefix for route in plan.routes if route.issuer == issuer.id]
        assert prefixes
        assert all(card_number(prefix).startswith(prefix) for prefix in prefixes)


def test_the_rendered_settings_pass_the_check(tmp_path: Path) -> None:
    render_config(tmp_path / "config", {})
    findings = [one.finding for one in check_node(tmp_path / "config")]
    # The one warning: keys will be made at the first start.
    assert [(finding.severity, finding.rule) for finding in findings] == [("warning", "keys")]


def test_a_debug_build_is_said_loudly() -> None:
    assert list(warnings("release")) == ["DEVELOPMENT KEYS"]
    loud = warnings("debug")
    assert list(loud) == ["DEVELOPMENT KEYS", "DEBUG BUILD"]
    assert "make setup" in loud["DEBUG BUILD"]


def test_a_rate_is_taken_between_two_different_status_lines() -> None:
    rate = Rate()
    assert rate.take({}) == 0
    assert rate.take({"at_s": 10.0, "offered": 100}) == 10
    assert rate.take({"at_s": 12.0, "offered": 150}) == 25
    assert rate.take({"at_s": 12.0, "offered": 150}) == 25
    assert rate.take({"at_s": 13.0, "offered": 150}) == 0


def test_a_directory_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="exists already"):
        run(Options(keep=tmp_path))
