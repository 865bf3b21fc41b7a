"""What the shell publishes, read back from the meter file as the exporter reads it."""

import asyncio
import time
from pathlib import Path
from typing import Any

from switch.native import meter
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import rig


async def test_links_messages_and_what_is_in_flight(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()], bank="in_flight_max = 77") as node:
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        bank.silent = True
        acquirer.send("0200", purchase())
        acquirer.write(b"\x00\x04zzzz")
        await until(lambda: len(bank.requests) == 2, what="second request")
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both links")
        await until(lambda: node.driver.counts["undecodable"] == 1, what="the bad frame")
        node.worker.gauges.refresh(node.driver)

        reader = meter.MeterReader.open(str(node.worker.metrics.path))
        gauges, counters = reader.gauges(), reader.counters()
        assert gauges['tapswitch_inflight_requests{issuer="BANK01"}'] == 1
        assert gauges['tapswitch_inflight_limit{issuer="BANK01"}'] == 77
        assert gauges['tapswitch_link_connections{member="ACQ01"}'] == 1
        assert gauges['tapswitch_link_connections{member="BANK01"}'] == 2
        assert gauges['tapswitch_member_signed_on{member="BANK01"}'] == 1
        assert gauges["tapswitch_worker_heartbeat_timestamp_seconds"] > 1_700_000_000
        label = 'tapswitch_messages_total{member="%s",direction="in",class="%s"}'
        assert counters[label % ("ACQ01", "financial")] == 2
        assert counters[label % ("ACQ01", "network")] == 1
        assert counters[label % ("BANK01", "financial")] == 1
        assert counters['tapswitch_message_bytes_total{member="ACQ01",direction="in"}'] > 300
        assert counters['tapswitch_link_connects_total{member="BANK01",result="ok"}'] == 2
        assert counters['tapswitch_notes_total{what="undecodable"}'] == 1
        last = gauges['tapswitch_link_last_message_timestamp_seconds{member="BANK01"}']
        assert abs(last - time.time()) < 5
        assert gauges["tapswitch_duplicates_limit"] > 0
        assert gauges["tapswitch_journal_shortage"] == 0
        assert counters["tapswitch_worker_cpu_seconds_total"] > 0
        commits = reader.buckets("tapswitch_journal_commit_duration_seconds", [1_000_000])
        assert commits[1] == counters["tapswitch_journal_writes_total"] > 0
        await asyncio.sleep(0.1)
        lags = reader.buckets("tapswitch_event_loop_lag_seconds", [1_000_000])
        assert lags[1] >= 1
    assert not node.worker.metrics.path.exists(), "a clean end takes its file away"
    await bank.stop()


async def test_the_oldest_reversal_that_a_bank_owes_an_answer(tmp_path: Path) -> None:
    bank = Bank()
    bank.acknowledges = False
    async with rig(tmp_path, [await bank.start()], deadline="deadline_ms = 200") as node:
        acquirer = await Acquirer.connect(node.acquirer)
        bank.silent = True
        began = int(time.time())
        assert (await acquirer.ask(purchase())).get("response_code") == "91"
        await until(lambda: len(bank.reversals) >= 1, what="a reversal")
        entries, oldest_s = owed(node)
        assert entries == 1
        assert abs(oldest_s - began) <= 3
        bank.acknowledges = True
        await until(lambda: owed(node) == (0, 0), what="acknowledged")
    await bank.stop()


def owed(node: Any) -> tuple[int, int]:
    """Reversals that BANK01 owes an answer, and the Unix time of the oldest."""
    node.worker.gauges.refresh(node.driver)
    gauges = meter.MeterReader.open(str(node.worker.metrics.path)).gauges()
    names = ("saf_entries", "saf_oldest_entry_timestamp_seconds")
    entries, oldest = (gauges[f'tapswitch_{name}{{member="BANK01"}}'] for name in names)
    return entries, oldest


async def test_a_banks_circuit_and_its_stand_in(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        member = node.member("BANK01")

        def published() -> dict[str, int]:
            node.worker.gauges.refresh(node.driver)
            return meter.MeterReader.open(str(node.worker.metrics.path)).gauges()

        gauges = published()
        assert gauges['tapswitch_circuit_state{issuer="BANK01",state="closed"}'] == 1
        assert gauges['tapswitch_stand_in_suspended{issuer="BANK01"}'] == 0
        member.stand_in_suspended = True
        assert published()['tapswitch_stand_in_suspended{issuer="BANK01"}'] == 1
        node.worker.gauges.removed(member)
        gauges = meter.MeterReader.open(str(node.worker.metrics.path)).gauges()
        assert gauges['tapswitch_circuit_state{issuer="BANK01",state="closed"}'] == 0
        assert gauges['tapswitch_stand_in_suspended{issuer="BANK01"}'] == 0
    await bank.stop()
