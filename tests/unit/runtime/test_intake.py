"""Turns of acquirers on both loops: caps are exact, a noisy one delays no other, refusals come
before the record, and what must never be refused is not."""

import asyncio
import time
from pathlib import Path

import pytest

from switch.model.kind import Kind
from switch.native import meter
from switch.observe.catalogue import SHED_REASONS
from switch.observe.totals import Totals
from switch.runtime import intake, listener
from switch.runtime.lane import REASONS
from switch.runtime.transport import Paused
from tests.support.peer import DIALECT, Acquirer, Bank, Values, purchase, until
from tests.support.rig import Rig, rig

PATIENT = "wait_target_ms = 2000\nwait_interval_ms = 2500"
"""Nothing that waits is refused in the time of a test."""
HASTY = "wait_target_ms = 1\nwait_interval_ms = 1"
SECOND_ACQUIRER = """
[[acquirers]]
id = "ACQ02"
institution_code = "10002"
listen = "127.0.0.1:0"
timeout_ms = 5000
terminal_timeout_ms = 6000
"""


def totals(node: Rig) -> Totals:
    node.worker.gauges.refresh(node.driver)
    found = Totals()
    found.read(meter.MeterReader.open(str(node.worker.metrics.path)))
    return found


def shed(node: Rig, name: str = "ACQ01") -> dict[str, int]:
    """Of an acquirer, by reason; what never happened is left out."""
    return {reason: n for reason, n in node.member(name).lane.shed.items() if n}


async def answers(acquirer: Acquirer, count: int) -> dict[int, str]:
    """Response code by STAN."""
    got = [await acquirer.next() for _ in range(count)]
    return {one.stan: str(one.get("response_code")) for one in got}


def stan_of(values: Values) -> int:
    return int(str(values["stan"]))


def reversal_of(values: Values) -> Values:
    """Takes a request back."""
    named = f"0200{values['stan']!s}{values['transmission_time']!s}{'10001':0>11}{'0':0>11}"
    same = {"rrn": values["rrn"], "pan": values["pan"], "original_data": named}
    return purchase() | same


def records(node: Rig) -> int:
    return int(node.driver.journal.stats()["appended"])


def test_the_reasons_are_those_of_the_catalogue() -> None:
    assert tuple(REASONS) == SHED_REASONS


async def test_the_in_flight_cap_is_exact_and_what_is_beyond_waits(tmp_path: Path) -> None:
    bank = Bank()
    bank.silent = True
    limits = f"in_flight_max = 8\n{PATIENT}"
    async with rig(tmp_path, [await bank.start()], acquirer=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = [purchase(serial=n) for n in range(20)]
        acquirer.write(b"".join(DIALECT.encode("0200", values) for values in asked))
        await until(lambda: node.member("ACQ01").lane.waiting == 12, what="twelve wait")
        await asyncio.sleep(0.1)
        assert (node.member("ACQ01").in_flight, len(bank.requests)) == (8, 8)
        bank.silent = False
        for message in list(bank.requests):
            bank.reply(bank.links[0], message)
        assert set((await answers(acquirer, 20)).values()) == {"00"}
        assert (node.member("ACQ01").in_flight, shed(node)) == (0, {})
    await bank.stop()


async def test_what_waits_too_long_for_the_cap_is_refused_without_a_record(tmp_path: Path) -> None:
    bank = Bank()
    bank.silent = True
    limits = f"in_flight_max = 2\n{HASTY}"
    async with rig(tmp_path, [await bank.start()], acquirer=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        first = [purchase(serial=n) for n in range(2)]
        for values in first:
            acquirer.send("0200", values)
        await until(lambda: len(bank.requests) == 2, what="two in flight")
        before = records(node)
        late = [purchase(serial=n) for n in range(2, 7)]
        for values in late:
            acquirer.send("0200", values)
        assert await answers(acquirer, 5) == {stan_of(values): "91" for values in late}
        assert (len(bank.requests), records(node)) == (2, before)
        assert shed(node) == {"in_flight": 5}
        assert totals(node).by("tapswitch_terminations_total", "end")["AW"] == 5
        for message in list(bank.requests):
            bank.reply(bank.links[0], message)
        assert set((await answers(acquirer, 2)).values()) == {"00"}
    await bank.stop()


async def test_a_refused_request_is_told_the_same_again_and_may_be_asked_anew(
    tmp_path: Path,
) -> None:
    bank = Bank()
    bank.silent = True
    limits = f"in_flight_max = 1\n{HASTY}"
    async with rig(tmp_path, [await bank.start()], acquirer=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        acquirer.send("0200", purchase())
        await until(lambda: len(bank.requests) == 1, what="one in flight")
        values = purchase(serial=2)
        assert (await acquirer.ask(values)).get("response_code") == "91"
        bank.silent = False
        bank.reply(bank.links[0], bank.requests[0])
        await acquirer.next()
        # Its repeat may have been under way already, and whoever asked keeps the first answer.
        assert (await acquirer.ask(values, "0201")).get("response_code") == "91"
        assert (await acquirer.ask(purchase(serial=7_000))).get("response_code") == "00"
        assert len(bank.requests) == 2
    await bank.stop()


async def test_behind_a_standing_disk_requests_wait_where_they_are_refused_and_reversals_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HELD_MAX", 4)
    bank = Bank()
    async with rig(tmp_path, [await bank.start()], acquirer=PATIENT) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        driver, commit = node.driver, node.driver._commit
        driver._commit = lambda: False
        asked = [purchase(serial=n) for n in range(10)]
        acquirer.write(b"".join(DIALECT.encode("0200", values) for values in asked))
        lane = node.member("ACQ01").lane
        await until(lambda: lane.waiting == 6, what="six wait")
        assert (driver.native.held, bank.requests) == (4, [])
        # Never refused, and never made to wait for room either.
        other = await Acquirer.connect(node.acquirer)
        other.send("0420", reversal_of(purchase()))
        await until(lambda: driver.native.held > 4, what="the reversal is taken")
        assert lane.waiting == 6
        lane.adopt(1, 1, 0, 5)
        codes = await answers(acquirer, 6)
        assert codes == {stan_of(values): "91" for values in asked[4:]}
        assert shed(node) == {"delay": 6}
        driver._commit = commit
        driver.arm()
        assert set((await answers(acquirer, 4)).values()) == {"00"}
        assert (await other.next()).get("response_code") == "00"
        assert not driver.native.held
    await bank.stop()


async def test_beyond_its_rate_an_acquirer_is_refused_at_once(tmp_path: Path) -> None:
    bank = Bank()
    limits = "rate_max = 1\nburst_max = 5"
    async with rig(tmp_path, [await bank.start()], acquirer=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = [purchase(serial=n) for n in range(12)]
        acquirer.write(b"".join(DIALECT.encode("0200", values) for values in asked))
        codes = await answers(acquirer, 12)
        assert [codes[stan_of(values)] for values in asked] == ["00"] * 5 + ["91"] * 7
        assert len(bank.requests) == 5
        assert shed(node) == {"rate": 7}
        # An operator allows more.
        node.member("ACQ01").lane.adopt(5, 100, 0, 5)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
    await bank.stop()


async def test_reversals_repeats_and_echoes_pass_whatever_the_limits_say(tmp_path: Path) -> None:
    bank = Bank()
    limits = f"rate_max = 1\nburst_max = 1\n{HASTY}"
    async with rig(tmp_path, [await bank.start()], acquirer=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        known = purchase()
        assert (await acquirer.ask(known)).get("response_code") == "00"
        before = shed(node)
        noise = [purchase(serial=n) for n in range(6)]
        reversal = reversal_of(known)
        acquirer.write(
            b"".join(DIALECT.encode("0200", values) for values in noise[:3])
            + DIALECT.encode("0201", known)
            + DIALECT.encode("0200", known)
            + b"".join(DIALECT.encode("0200", values) for values in noise[3:])
            + DIALECT.encode("0420", reversal)
        )
        codes = [await acquirer.next() for _ in range(9)]
        told = [(one.mti, one.stan, str(one.get("response_code"))) for one in codes]
        refused = {stan_of(values) for values in noise}
        assert {(mti, code) for mti, stan, code in told if stan in refused} == {("0210", "91")}
        assert [code for _, stan, code in told if stan == stan_of(known)] == ["00", "00"]
        assert [code for mti, _, code in told if mti == "0430"] == ["00"]
        await until(lambda: len(bank.reversals) == 1, what="the bank's reversal")
        assert (before, shed(node)) == ({}, {"rate": 6})
        assert len(bank.requests) == 1
    await bank.stop()


async def test_a_noisy_acquirer_delays_no_quiet_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With turns of one request a tick, behind a backlog of hundreds."""
    monkeypatch.setattr(intake, "QUANTUM", 1)
    for slice_ns in ("SLICE_NS", "SLICE_BRIEF_NS"):
        monkeypatch.setattr(intake, slice_ns, 0)
    bank = Bank()
    more = {"acquirer": PATIENT, "tokens": SECOND_ACQUIRER}
    async with rig(tmp_path, [await bank.start()], **more) as node:
        noisy = await Acquirer.connect(node.acquirer)
        at = node.worker.links.addresses(node.worker.settings)["acquirers"]["ACQ02"]
        quiet = await Acquirer.connect(at)
        flood = b"".join(DIALECT.encode("0200", purchase(serial=n)) for n in range(400))
        noisy.write(flood)
        for _ in range(10_000):
            await asyncio.sleep(0)
            if node.member("ACQ01").lane.waiting > 100:
                break
        seen = sum(node.member("ACQ01").messages_in)
        quiet.send("0200", purchase(acquirer_code="10002"))
        for _ in range(1_000):
            # One turn of the loop, one turn of an acquirer.
            await asyncio.sleep(0)
            if node.member("ACQ02").messages_in[Kind.PURCHASE]:
                break
        assert sum(node.member("ACQ01").messages_in) - seen < 10
        assert node.member("ACQ01").lane.waiting > 50
        assert (await quiet.next()).get("response_code") == "00"
        assert set((await answers(noisy, 400)).values()) == {"00"}
        assert (shed(node), shed(node, "ACQ02")) == ({}, {})
    await bank.stop()


async def test_a_standing_queue_is_cut_down_to_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More comes than can be served: part is refused, nothing is lost, and journal, bank and
    counters agree."""
    monkeypatch.setattr(intake, "QUANTUM", 1)
    for slice_ns in ("SLICE_NS", "SLICE_BRIEF_NS"):
        monkeypatch.setattr(intake, slice_ns, 0)
    bank = Bank()
    async with rig(tmp_path, [await bank.start()], acquirer=HASTY) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = [purchase(serial=n) for n in range(1_000)]
        acquirer.write(b"".join(DIALECT.encode("0200", values) for values in asked))
        codes = await answers(acquirer, 1_000)
        approved = [stan for stan, code in codes.items() if code == "00"]
        refused = [stan for stan, code in codes.items() if code == "91"]
        assert len(approved) + len(refused) == 1_000
        assert approved
        assert len(refused) > 500
        assert shed(node) == {"delay": len(refused)}
        found = totals(node)
        series = 'tapswitch_shed_total{acquirer="ACQ01",reason="delay"}'
        assert found.of(series) == len(refused)
        assert found.by("tapswitch_terminations_total", "end")["RF"] == len(refused)
        assert len(bank.requests) == len(approved)
        assert node.member("ACQ01").in_flight == 0
    await bank.stop()


async def test_while_more_comes_than_can_be_served_connections_rest_and_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "REST_S", 0.1)
    bank = Bank()
    bank.silent = True
    limits = "in_flight_max = 1\nwait_target_ms = 1\nwait_interval_ms = 20"
    more = {"acquirer": limits, "deadline": "deadline_ms = 3000"}
    async with rig(tmp_path, [await bank.start()], **more) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        (connection,) = node.member("ACQ01").connections.values()
        acquirer.send("0200", purchase())
        await until(lambda: len(bank.requests) == 1, what="one in flight")
        asked = 1
        rested = False

        def more_than_it_serves() -> bool:
            nonlocal asked, rested
            acquirer.send("0200", purchase(serial=1 + asked % 900))
            asked += 1
            rested = rested or bool(connection.paused & Paused.RESTING)
            return rested

        await until(more_than_it_serves, what="a rest")
        await until(lambda: not connection.paused, what="read again")
        await until(lambda: shed(node).get("in_flight", 0) > 0, what="some are refused")
        bank.silent = False
        bank.reply(bank.links[0], bank.requests[0])
        codes = [await acquirer.next() for _ in range(asked)]
        assert {str(one.get("response_code")) for one in codes} == {"00", "91"}
        # Nothing waits any more: no rest is left over.
        assert (await acquirer.ask(purchase(serial=5_000))).get("response_code") == "00"
        await until(lambda: not connection.paused, what="read as ever")
    await bank.stop()


async def test_a_request_after_a_long_silence_may_wait_for_the_interval(
    tmp_path: Path,
) -> None:
    """Nothing has waited in between: its queue does not stand."""
    bank = Bank()
    bank.silent = True
    limits = "in_flight_max = 1\nwait_target_ms = 1\nwait_interval_ms = 400"
    more = {"acquirer": limits, "deadline": "deadline_ms = 3000"}
    async with rig(tmp_path, [await bank.start()], **more) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        acquirer.send("0200", purchase())
        await until(lambda: len(bank.requests) == 1, what="one in flight")
        await asyncio.sleep(0.45)
        acquirer.send("0200", purchase(serial=2))
        await until(lambda: node.member("ACQ01").lane.waiting == 1, what="one waits")
        await asyncio.sleep(0.1)
        assert shed(node) == {}
        bank.silent = False
        bank.reply(bank.links[0], bank.requests[0])
        assert set((await answers(acquirer, 2)).values()) == {"00"}
    await bank.stop()


async def test_more_than_can_wait_is_not_read_and_closed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (listener, intake):
        monkeypatch.setattr(module, "QUEUE_BYTES_MAX", 2_000)
    monkeypatch.setattr(listener, "OVERRUN_MAX_NS", 600_000_000)
    bank = Bank()
    bank.silent = True
    more = {"acquirer": f"in_flight_max = 1\n{PATIENT}", "deadline": "deadline_ms = 3000"}
    async with rig(tmp_path, [await bank.start()], **more) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        (connection,) = node.member("ACQ01").connections.values()

        def flood() -> bool:
            acquirer.send("0200", purchase())
            return bool(connection.paused & Paused.QUEUE_FULL)

        await until(flood, what="not read")
        waiting = connection.framer.waiting_bytes
        for _ in range(200):
            acquirer.send("0200", purchase())
        began = time.monotonic()
        await asyncio.sleep(0.2)
        assert connection.framer.waiting_bytes == waiting
        await asyncio.wait_for(acquirer.ended.wait(), 5)
        assert time.monotonic() - began > 0.3
        assert connection.reason == "overrun"
        assert not node.driver.intake.waiting
    await bank.stop()


async def test_a_reversal_that_waits_is_handled_when_its_connection_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = Bank()
    bank.silent = True
    more = {"acquirer": f"in_flight_max = 1\n{PATIENT}", "deadline": "deadline_ms = 3000"}
    async with rig(tmp_path, [await bank.start()], **more) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        acquirer.send("0200", purchase())
        await until(lambda: len(bank.requests) == 1, what="one in flight")
        waiting = purchase()
        reversal = reversal_of(waiting)
        acquirer.write(DIALECT.encode("0200", waiting) + DIALECT.encode("0420", reversal))
        await until(lambda: node.member("ACQ01").lane.waiting == 2, what="both wait")
        acquirer.abort()
        await until(lambda: not node.member("ACQ01").connections, what="lost link")
        assert not node.driver.intake.waiting
        bank.silent = False
        bank.reply(bank.links[0], bank.requests[0])
        again = await Acquirer.connect(node.acquirer)
        # Its tombstone stands: the request that was never looked at is refused when it comes again.
        assert (await again.ask(waiting, "0201")).get("response_code") == "94"
        assert len(bank.requests) == 1
    await bank.stop()


async def test_what_waits_is_served_before_a_drain_ends(tmp_path: Path) -> None:
    bank = Bank()
    bank.silent = True
    limits = f"in_flight_max = 1\n{PATIENT}"
    async with rig(tmp_path, [await bank.start()], acquirer=limits) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = [purchase(serial=n) for n in range(5)]
        for values in asked:
            acquirer.send("0200", values)
        await until(lambda: node.member("ACQ01").lane.waiting == 4, what="four wait")
        ending = asyncio.ensure_future(node.worker.finish())
        await asyncio.sleep(0.05)
        bank.silent = False
        bank.reply(bank.links[0], bank.requests[0])
        assert set((await answers(acquirer, 5)).values()) == {"00"}
        assert await ending == 0
    await bank.stop()


async def test_a_late_request_is_served_where_no_more_waits_than_a_turn_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stall of ours is no backlog of theirs."""
    bank = Bank()
    async with rig(tmp_path, [await bank.start()], acquirer=HASTY) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        await acquirer.ask(purchase())
        few, many = intake.QUANTUM, 40 * intake.QUANTUM
        for count, first in ((few, 1_000), (many, 2_000)):
            asked = [purchase(serial=first + n) for n in range(count)]
            acquirer.write(b"".join(DIALECT.encode("0200", values) for values in asked))
            with monkeypatch.context() as patched:
                # Ten milliseconds pass between the read and the turn.
                patched.setattr(intake, "monotonic_ns", lambda: time.monotonic_ns() + 10_000_000)
                codes = list((await answers(acquirer, count)).values())
            assert (set(codes) == {"00"}) is (count == few)
    await bank.stop()
