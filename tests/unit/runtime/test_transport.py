"""Connections of a worker on both loops: caps, back-pressure, limits, and what is told of their
end."""

import asyncio
from pathlib import Path

import pytest

from switch.native import meter
from switch.observe.totals import Totals
from switch.runtime import intake, listener
from switch.runtime.transport import Paused
from tests.support.peer import DIALECT, Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig

PATIENT = "wait_target_ms = 2000\nwait_interval_ms = 2500"
"""Nothing that waits is refused in the time of a test."""


def ends(node: Rig) -> dict[str, int]:
    """What the meter has of ends, by code."""
    totals = Totals()
    totals.read(meter.MeterReader.open(str(node.worker.metrics.path)))
    return dict(totals.by("tapswitch_terminations_total", "end"))


def first_byte(node: Rig) -> int:
    """When the frame began that the acquirer has not finished; 0: none."""
    (connection,) = node.member("ACQ01").connections.values()
    return int(connection.framer.first_byte_ns)


async def test_purchase_on_either_loop(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        answer = await acquirer.ask(purchase())
        assert (answer.mti, answer.get("response_code")) == ("0210", "00")
        assert node.member("ACQ01").in_flight == 0
    await bank.stop()


async def test_frame_in_single_bytes_is_one_message(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        for byte in DIALECT.encode("0200", purchase()):
            acquirer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await acquirer.next()).get("response_code") == "00"
    await bank.stop()


async def test_unfinished_frame_closes_its_link_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "FRAME_COMPLETE_MAX_NS", 200_000_000)
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        slow = await Acquirer.connect(node.acquirer)
        slow.write(DIALECT.encode("0200", purchase())[:-1])
        await asyncio.wait_for(slow.ended.wait(), 3)
        assert node.driver.counts["frame_unfinished"] == 1
        assert bank.requests == []
        assert ends(node) == {"AF": 1}
    await bank.stop()


async def test_frame_cut_short_by_its_peer_has_an_end_code(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        hasty = await Acquirer.connect(node.acquirer)
        hasty.write(DIALECT.encode("0200", purchase())[:-1])
        await until(lambda: first_byte(node) > 0, what="the first part")
        await hasty.close()
        await until(lambda: not node.member("ACQ01").connections, what="the end")
        assert ends(node) == {"AF": 1}
    await bank.stop()


async def test_frame_that_is_too_long_closes_its_link(tmp_path: Path) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        rude = await Acquirer.connect(node.acquirer)
        polite = await Acquirer.connect(node.acquirer)
        rude.write(b"\xff\xff" + b"0" * 5_000)
        await asyncio.wait_for(rude.ended.wait(), 3)
        assert ends(node) == {"SP": 1}
        assert (await polite.ask(purchase())).get("response_code") == "00"
    await bank.stop()


async def test_undecodable_messages_are_refused_where_possible_and_end_the_link(
    tmp_path: Path,
) -> None:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        body = DIALECT.encode("0200", purchase())[2:]
        cut = body[:-3]
        acquirer.write(len(cut).to_bytes(2, "big") + cut)
        assert (await acquirer.next()).get("response_code") == "30"
        for _ in range(listener.UNDECODABLE_MAX + 1):
            acquirer.write(b"\x00\x04" + b"zzzz")
        await asyncio.wait_for(acquirer.ended.wait(), 3)
        assert node.driver.counts["undecodable"] > listener.UNDECODABLE_MAX
        assert ends(node) == {"SP": node.driver.counts["undecodable"]}
    await bank.stop()


async def test_half_a_frame_that_we_do_not_read_on_is_not_held_against_its_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "FRAME_COMPLETE_MAX_NS", 300_000_000)
    for module in (listener, intake):
        monkeypatch.setattr(module, "QUEUE_BYTES_MAX", 400)
    bank = Bank()
    bank.silent = True
    more = {"acquirer": f"in_flight_max = 2\n{PATIENT}", "deadline": "deadline_ms = 3000"}
    async with rig(tmp_path, [await bank.start()], **more) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = [DIALECT.encode("0200", purchase(serial=n)) for n in range(6)]
        acquirer.write(asked[0] + asked[1])
        await until(lambda: len(bank.requests) == 2, what="two in flight")
        (connection,) = node.member("ACQ01").connections.values()
        acquirer.write(asked[2])
        await until(lambda: connection.framer.waiting == 1, what="one waits")
        acquirer.write(asked[3] + asked[4] + asked[5][:50])
        await until(lambda: connection.paused == Paused.QUEUE_FULL, what="not read")
        assert connection.framer.first_byte_ns > 0
        await asyncio.sleep(1.0)
        bank.silent = False
        for message in list(bank.requests):
            bank.reply(bank.links[0], message)
        acquirer.write(asked[5][50:])
        codes = [(await acquirer.next()).get("response_code") for _ in asked]
        assert codes == ["00"] * 6
        assert connection.paused == 0
    await bank.stop()


async def test_peer_that_does_not_read_is_not_read_and_cut_off_at_the_limit(
    tmp_path: Path,
) -> None:
    bank = Bank()
    limits = "write_buffer_bytes_max = 65536"
    async with rig(tmp_path, [await bank.start()], limits=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer, receive_buffer=4096)
        known = purchase()
        assert (await acquirer.ask(known)).get("response_code") == "00"
        (connection,) = node.member("ACQ01").connections.values()
        acquirer.stop_reading()
        frame = DIALECT.encode("0201", known)

        def flood() -> bool:
            acquirer.write(frame * 200)
            return node.driver.counts["peer_does_not_read"] > 0

        await until(flood, what="the peer to be noticed")
        assert connection.paused & Paused.PEER_DOES_NOT_READ or connection.transport is None
        assert not connection.writable
        transport = connection.transport
        assert transport is None or transport.get_write_buffer_size() < 1 << 20
    await bank.stop()


async def test_one_write_that_leaves_more_than_the_limit_cuts_the_peer_off(tmp_path: Path) -> None:
    bank = Bank()
    limits = "write_buffer_bytes_max = 65536"
    async with rig(tmp_path, [await bank.start()], limits=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer, receive_buffer=4096)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        (connection,) = node.member("ACQ01").connections.values()
        acquirer.stop_reading()
        # Nothing waited before it, so that no write is checked: as all answers of one tick, joined.
        node.driver.writers[connection.slot](bytes(4 << 20))
        await until(lambda: not node.member("ACQ01").connections, what="it to be cut off")
        assert connection.reason == "does not read"
    await bank.stop()


async def test_answers_of_an_acquirer_that_left_are_kept_for_its_repeat(tmp_path: Path) -> None:
    bank = Bank()
    bank.silent = True
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = purchase()
        acquirer.send("0200", asked)
        await until(lambda: len(bank.requests) == 1, what="request")
        acquirer.abort()
        await until(lambda: not node.member("ACQ01").connections, what="lost link")
        bank.reply(bank.links[0], bank.requests[0])
        again = await Acquirer.connect(node.acquirer)
        assert (await again.ask(asked, "0201")).get("response_code") == "00"
        assert bank.reversals == []
    await bank.stop()


async def test_answers_of_an_acquirer_that_left_are_reversed_where_its_link_says_so(
    tmp_path: Path,
) -> None:
    bank = Bank()
    bank.silent = True
    more = 'undeliverable = "reverse"'
    async with rig(tmp_path, [await bank.start()], acquirer=more) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = purchase()
        acquirer.send("0200", asked)
        await until(lambda: len(bank.requests) == 1, what="request")
        acquirer.abort()
        await until(lambda: not node.member("ACQ01").connections, what="lost link")
        bank.reply(bank.links[0], bank.requests[0])
        await until(lambda: len(bank.reversals) == 1, what="reversal")
        again = await Acquirer.connect(node.acquirer)
        assert (await again.ask(asked, "0201")).get("response_code") != "00"
    await bank.stop()


async def test_drain_answers_what_is_in_flight_and_discards_what_was_not_read(
    tmp_path: Path,
) -> None:
    bank = Bank()
    bank.silent = True
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        acquirer.send("0200", purchase())
        await until(lambda: len(bank.requests) == 1, what="request")
        finishing = asyncio.ensure_future(node.worker.finish())
        await asyncio.sleep(0.1)
        acquirer.send("0200", purchase())
        bank.reply(bank.links[0], bank.requests[0])
        assert (await acquirer.next()).get("response_code") == "00"
        await asyncio.wait_for(acquirer.ended.wait(), 5)
        assert len(acquirer.received) == 2
        assert await finishing == 0
    await bank.stop()
