"""The board of `top`, read from a meter file as a worker leaves it."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from switch.apps.board import KEYS, head, plain, screen
from switch.apps.top import SILENT_S, SORTS, Board, Sampler, ordered
from switch.observe.catalogue import Members
from switch.observe.metrics import Metrics
from switch.observe.place import GATEWAY, meter_file
from switch.settings.load import load
from switch.settings.schema import Settings
from tests.support.config import SWITCH, write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    return load(write_config(tmp_path, SWITCH, dialect=DIALECT))


@pytest.fixture
def metrics(settings: Settings) -> Iterator[Metrics]:
    issuers = [b.id for b in settings.issuers]
    rules = {issuer: ["transit", "spare"] for issuer in issuers}
    members = Members([a.id for a in settings.acquirers], issuers, rules=rules)
    made = Metrics(meter_file(settings.node.data_dir, "w0"), members)
    made.set("worker_start_timestamp_seconds", int(time.time()) - 60)
    made.set("worker_heartbeat_timestamp_seconds", int(time.time()))
    yield made
    made.close()


def row(board: Board, member: str) -> dict[str, object]:
    return {
        name: getattr(found, name)
        for found in board.members
        if found.member == member
        for name in found.__struct_fields__
    }


def test_rates_and_shares_are_of_the_last_interval(settings: Settings, metrics: Metrics) -> None:
    bank, acquirer = settings.issuers[0].id, settings.acquirers[0].id
    labels = {"class": "financial", "outcome": "approved"}
    metrics.count("transactions_total", 1_000, **labels)
    sampler = Sampler(settings)
    sampler.look()
    metrics.count("transactions_total", 30, **labels)
    metrics.count("transactions_total", 10, **{"class": "auth", "outcome": "system_error"})
    metrics.count("acquirer_transactions_total", 30, acquirer=acquirer, outcome="approved")
    metrics.count("acquirer_transactions_total", 10, acquirer=acquirer, outcome="declined")
    metrics.count("upstream_requests_total", 8, issuer=bank, result="answered")
    metrics.count("upstream_requests_total", 2, issuer=bank, result="timeout")
    metrics.count("issuer_responses_total", 6, issuer=bank, rc_class="approved")
    metrics.count("issuer_responses_total", 2, issuer=bank, rc_class="business")
    metrics.count("message_bytes_total", 99, member=bank, direction="in")
    for us in (20_000, 20_000, 500_000):
        metrics.record("upstream_duration_seconds", us, issuer=bank)
    metrics.record("internal_duration_seconds", 300, **{"class": "auth"})
    metrics.set("inflight_requests", 3, issuer=bank)
    metrics.set("inflight_limit", 64, issuer=bank)
    metrics.set("saf_entries", 5, member=bank)
    metrics.set("link_connections", 2, member=bank)
    metrics.set("member_signed_on", 1, member=bank)
    metrics.set("member_expected_up", 1, member=bank)
    board = sampler.look()
    assert board.worker == "running"
    assert board.success == 0.75
    assert board.rate == pytest.approx(40 / board.interval_s, rel=0.01)
    assert 290 <= board.ours_us[0] <= 310
    assert (board.in_flight, board.waiting) == (3, 5)
    seen = row(board, bank)
    assert (seen["state"], seen["in_flight"], seen["in_flight_max"]) == ("signed on", 3, 64)
    assert seen["approved"] == 0.75
    assert seen["last_s"] == 0.0
    assert 19_000 <= int(str(seen["p50_us"])) <= 21_000
    assert 490_000 <= int(str(seen["p99_us"])) <= 510_000
    assert row(board, acquirer)["approved"] == 0.75
    assert row(board, acquirer)["p50_us"] is None
    later = sampler.look()
    assert (later.rate, later.success, later.ours_us) == (0.0, None, (0, 0))


def test_a_member_that_is_held_or_down_is_said(settings: Settings, metrics: Metrics) -> None:
    bank, acquirer = settings.issuers[0].id, settings.acquirers[0].id
    metrics.set("member_expected_up", 0, member=bank)
    metrics.set("member_signed_on", 1, member=bank)
    metrics.set("member_expected_up", 1, member=acquirer)
    board = Sampler(settings).look()
    assert row(board, bank)["state"] == "held"
    assert row(board, acquirer)["state"] == "down"
    assert any("! held" in line for line in plain(board, "member"))


def test_a_worker_without_a_heartbeat_is_dead(settings: Settings, metrics: Metrics) -> None:
    metrics.set("worker_heartbeat_timestamp_seconds", int(time.time()) - SILENT_S - 2)
    board = Sampler(settings).look()
    assert board.worker == "silent"
    assert "DEAD OR STANDS STILL" in head(board)


def test_a_worker_that_was_told_to_end_and_then_killed_is_dead_at_once(
    settings: Settings, metrics: Metrics
) -> None:
    metrics.close()  # The file goes; the child makes it anew.
    with subprocess.Popen(
        [sys.executable, "-c", COUNTS, settings.node.data_dir, str(int(time.time()))],
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"counts\n"
        assert Sampler(settings).look().worker == "running"
        child.kill()
        # It has ended, and is not waited for: its number is still taken.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        board = Sampler(settings).look()
    assert board.worker == "dead"
    assert "THE WORKER IS DEAD" in head(board)


COUNTS = """
import sys, time
from pathlib import Path
from switch.observe.catalogue import Members
from switch.observe.metrics import Metrics
from switch.observe.place import meter_file
made = Metrics(meter_file(sys.argv[1], "w0"), Members([], []))
made.set("worker_start_timestamp_seconds", int(sys.argv[2]))
made.set("worker_heartbeat_timestamp_seconds", int(sys.argv[2]))
print("counts", flush=True)
time.sleep(60)
"""
"""A worker's meter without a worker."""


def test_circuit_and_stand_in_of_a_bank_are_shown(settings: Settings, metrics: Metrics) -> None:
    bank, other = (one.id for one in settings.issuers)
    sampler = Sampler(settings)
    first = sampler.look()
    assert (row(first, bank)["circuit"], row(first, bank)["stand_in"]) == ("closed", "off")
    assert row(first, settings.acquirers[0].id)["circuit"] is None
    metrics.set("circuit_state", 1, issuer=bank, state="open")
    metrics.set("circuit_state", 1, issuer=other, state="half_open")
    metrics.count("stand_in_total", 3, issuer=bank, rule="transit", result="stood")
    metrics.count("stand_in_total", 3, issuer=other, rule="transit", result="count")
    board = sampler.look()
    assert (row(board, bank)["circuit"], row(board, bank)["stand_in"]) == ("open", "stands in")
    assert (row(board, other)["circuit"], row(board, other)["stand_in"]) == ("half open", "off")
    assert any("! open  stands in" in line for line in plain(board, "member"))
    metrics.set("stand_in_suspended", 1, issuer=bank)
    assert row(sampler.look(), bank)["stand_in"] == "suspended"


def test_the_gateway_is_no_worker(settings: Settings, metrics: Metrics) -> None:
    gateway = Metrics(meter_file(settings.node.data_dir, GATEWAY), Members([], []), GATEWAY)
    assert Sampler(settings).look().up_s == 60
    metrics.close()
    assert Sampler(settings).look().worker == "not running"
    gateway.close()


def test_without_a_meter_no_worker_runs(settings: Settings) -> None:
    board = Sampler(settings).look()
    assert board.worker == "not running"
    assert "NOT RUNNING" in plain(board, "member")[0]


def test_a_worker_that_started_again_begins_anew(settings: Settings, metrics: Metrics) -> None:
    bank = settings.issuers[0].id
    metrics.count("upstream_requests_total", 500, issuer=bank, result="answered")
    sampler = Sampler(settings)
    sampler.look()
    members = Members([a.id for a in settings.acquirers], [b.id for b in settings.issuers])
    again = Metrics(meter_file(settings.node.data_dir, "w0"), members)
    again.set("worker_start_timestamp_seconds", int(time.time()) - 10)
    again.set("worker_heartbeat_timestamp_seconds", int(time.time()))
    again.count("upstream_requests_total", 20, issuer=bank, result="answered")
    assert row(sampler.look(), bank)["rate"] == pytest.approx(2.0, rel=0.2)


@pytest.mark.parametrize("sort", sorted(SORTS))
def test_every_order_shows_every_member(settings: Settings, metrics: Metrics, sort: str) -> None:
    board = Sampler(settings).look()
    assert {found.member for found in ordered(board.members, sort)} == {
        found.member for found in board.members
    }
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(screen(board, sort))
    text = console.export_text()
    assert all(found.member in text for found in board.members)
    assert f"sorted by {sort}" in text


def test_every_key_sorts() -> None:
    assert set(KEYS.values()) == set(SORTS)
