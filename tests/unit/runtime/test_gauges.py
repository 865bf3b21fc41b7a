"""What the shell publishes, read back from the meter file as the exporter reads it."""

import asyncio
from pathlib import Path

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
        await asyncio.sleep(0.1)
        lags = reader.buckets("tapswitch_event_loop_lag_seconds", [1_000_000])
        assert lags[1] >= 1
    assert not node.worker.metrics.path.exists(), "a clean end takes its file away"
    await bank.stop()
