"""What Python counts, what it publishes, and what the gate counts by itself."""

from pathlib import Path

import pytest

from switch.model.state import Cause, ReversalEffect
from switch.native import meter, walk
from switch.observe.catalogue import Members
from switch.observe.metrics import Metrics
from tests.support.walk import ACQUIRER, BANK, CODE_SWITCH, NOW_S, OUT_TIME, World, open_world

MEMBERS = Members([ACQUIRER], [BANK])


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return Metrics(tmp_path / "w0.meter", MEMBERS)


def read(metrics: Metrics) -> dict[str, int]:
    """All counters that are not zero, without prefix."""
    counters = meter.MeterReader.open(str(metrics.path)).counters()
    return {name.removeprefix("tapswitch_"): n for name, n in counters.items() if n}


def test_an_unknown_series_is_our_bug(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.count("link_connects_total", member="BANK99", result="ok")


def test_counts_gauges_and_times_arrive(metrics: Metrics) -> None:
    metrics.count("link_connects_total", member=BANK, result="ok")
    metrics.counter("decode_errors_total", member=ACQUIRER, reason="mti")()
    metrics.set("inflight_limit", 64, issuer=BANK)
    metrics.record("event_loop_lag_seconds", 40)
    metrics.received(ACQUIRER)("0200", 250)
    metrics.received(ACQUIRER)("0500", 50)
    assert read(metrics) == {
        f'link_connects_total{{member="{BANK}",result="ok"}}': 1,
        f'decode_errors_total{{member="{ACQUIRER}",reason="mti"}}': 1,
        f'messages_total{{member="{ACQUIRER}",direction="in",class="financial"}}': 1,
        f'message_bytes_total{{member="{ACQUIRER}",direction="in"}}': 300,
    }
    reader = meter.MeterReader.open(str(metrics.path))
    assert reader.gauges()[f'tapswitch_inflight_limit{{issuer="{BANK}"}}'] == 64
    assert reader.quantiles("tapswitch_event_loop_lag_seconds", [1.0]) == [40]


def test_totals_kept_elsewhere_are_published_once(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.publish_notes({"impossible": 2, "never heard of": 3, "nor of this": 1})
        metrics.publish_evictions({"all": 5, "early": 1, "early_age_s": 9, "in_flight": 0})
    assert read(metrics) == {
        'notes_total{what="impossible"}': 2,
        'notes_total{what="_other"}': 4,
        'duplicates_evictions_total{kind="all"}': 5,
        'duplicates_evictions_total{kind="early"}': 1,
    }


def test_a_clean_end_leaves_no_file(metrics: Metrics) -> None:
    metrics.close()
    metrics.close()
    assert not metrics.path.exists()


def metered(tmp_path: Path, metrics: Metrics) -> World:
    """A world whose gate counts into `metrics`."""
    world = World(tmp_path)
    world.gate = walk.Gate(world.journal, world.duplicates, metrics.meter, CODE_SWITCH)
    world.acquirer = world.gate.institution(ACQUIRER, "")
    world.bank = world.gate.institution(BANK, "")
    world.terminal = world.gate.attach(world.acquirer, world.dialect)
    world.host = world.gate.attach(world.bank, world.dialect)
    return world


def test_the_gate_counts_each_way_a_request_can_end(tmp_path: Path, metrics: Metrics) -> None:
    world = metered(tmp_path, metrics)
    request, txn, frame = world.purchase_to_bank(1)
    world.now_ns += 5_000_000
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    world.flow()
    again = world.purchase(1)
    world.claim(again, 99)
    world.gate.repeat(again, world.terminal, world.acquirer, NOW_S)
    request, txn, frame = world.purchase_to_bank(2)
    world.gate.answer(request, world.reply_to(frame, "51"), world.terminal, txn, world.wall_ms)
    request, txn, _ = world.purchase_to_bank(3)
    owed = world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 9, OUT_TIME
    )
    assert owed is not None
    world.gate.deliver(owed, world.host, repeat=False)
    world.gate.deliver(owed, world.host, repeat=True)
    assert world.gate.owed_to(world.bank) == 1
    world.gate.settle(owed, "00", world.wall_ms)
    assert world.gate.owed_to(world.bank) == 0
    world.gate.refuse(world.purchase(4), world.terminal, "30", "SV")
    world.flow()
    counted = read(metrics)
    sizes = [n for name, n in counted.items() if name.startswith("message_bytes_total")]
    assert len(sizes) == 2
    assert {k: v for k, v in counted.items() if not k.startswith("message_bytes")} == {
        'transactions_total{class="financial",outcome="approved"}': 1,
        'transactions_total{class="financial",outcome="declined"}': 2,
        'transactions_total{class="financial",outcome="system_error"}': 1,
        f'acquirer_transactions_total{{acquirer="{ACQUIRER}",outcome="approved"}}': 1,
        f'acquirer_transactions_total{{acquirer="{ACQUIRER}",outcome="declined"}}': 2,
        f'acquirer_transactions_total{{acquirer="{ACQUIRER}",outcome="system_error"}}': 1,
        f'issuer_responses_total{{issuer="{BANK}",rc_class="approved"}}': 1,
        f'issuer_responses_total{{issuer="{BANK}",rc_class="business"}}': 1,
        f'response_codes_total{{issuer="{BANK}",rc="00"}}': 1,
        f'response_codes_total{{issuer="{BANK}",rc="51"}}': 1,
        'terminations_total{end="--"}': 2,
        'terminations_total{end="TW"}': 1,
        'terminations_total{end="DV"}': 1,
        'terminations_total{end="SV"}': 1,
        'duplicates_total{class="financial"}': 1,
        f'upstream_requests_total{{issuer="{BANK}",result="answered"}}': 2,
        f'upstream_requests_total{{issuer="{BANK}",result="timeout"}}': 1,
        'reversals_total{cause="timeout",result="acknowledged"}': 1,
        f'saf_deliveries_total{{member="{BANK}",result="delivered"}}': 1,
        f'saf_deliveries_total{{member="{BANK}",result="retried"}}': 1,
        f'messages_total{{member="{BANK}",direction="out",class="financial"}}': 3,
        f'messages_total{{member="{BANK}",direction="out",class="reversal"}}': 2,
        f'messages_total{{member="{ACQUIRER}",direction="out",class="financial"}}': 5,
    }
    world.journal.close()


def test_the_gate_splits_the_time_into_ours_and_the_banks(tmp_path: Path, metrics: Metrics) -> None:
    world = metered(tmp_path, metrics)
    request, txn, frame = world.purchase_to_bank(1)  # 1 ms until it is handed to the bank
    world.now_ns += 50_000_000
    reply = world.reply_to(frame)  # 50 ms at the bank
    world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
    world.flow()  # 1 ms back
    reader = meter.MeterReader.open(str(metrics.path))

    def only(name: str, **labels: str) -> int:
        pairs = ",".join(f'{k}="{v}"' for k, v in labels.items())
        _, total, sum_us = reader.buckets(f"tapswitch_{name}{{{pairs}}}", [1])
        assert total == 1
        return sum_us

    assert only("transaction_duration_seconds", **{"class": "financial"}) == 52_000
    assert only("internal_duration_seconds", **{"class": "financial"}) == 2_000
    assert only("upstream_duration_seconds", issuer=BANK) == 50_000
    assert only("stage_duration_seconds", stage="to_bank") == 1_000
    assert only("stage_duration_seconds", stage="to_acquirer") == 1_000
    world.journal.close()


def test_journal_figures_are_published(tmp_path: Path, metrics: Metrics) -> None:
    with open_world(tmp_path) as world:
        message = world.reversal_of(1, 2)
        world.claim(message, 3)
        world.gate.reversal(
            message, -1, 3, world.acquirer, 0, ReversalEffect.TOMBSTONE, world.wall_ms, NOW_S
        )
        world.sync()
        metrics.publish_journal(world.journal.stats())
    assert read(metrics)["journal_records_total"] >= 1


def test_a_failed_write_is_counted_beyond_the_worker_that_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "w0.meter"
    first = Metrics(path, MEMBERS)
    first.count("journal_write_errors_total")
    first.count("link_connects_total", member=BANK, result="ok")
    second = Metrics(path, MEMBERS)
    assert read(second) == {"journal_write_errors_total": 1}
    second.count("journal_write_errors_total")
    assert read(Metrics(path, MEMBERS)) == {"journal_write_errors_total": 2}
    path.write_bytes(b"torn")
    assert read(Metrics(path, MEMBERS)) == {}


def test_the_gateway_has_series_of_its_own(tmp_path: Path) -> None:
    gateway = Metrics(tmp_path / "gateway.meter", Members([], []), "gateway")
    gateway.count("token_requests_total", operation="issue", result="done")
    assert read(gateway) == {'token_requests_total{operation="issue",result="done"}': 1}
    with pytest.raises(KeyError):
        gateway.count("terminations_total", end="--")
