"""Stand-in over real sockets: a bank that is away, silent, or has its circuit open; what it is told
when it is back, once each and in order; allowances that a restart does not forget."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switch.control.member_drain import MemberDrain
from switch.control.member_enable import MemberEnable
from switch.control.member_show import MemberShow
from switch.control.members import MemberDone
from switch.control.order import By, Order
from switch.control.remote import ask
from switch.control.stand_in import StandInResume, StandInSuspend
from switch.crypto.keyfile import open_keys
from switch.engine.ports import StandIn
from switch.errors import OrderError
from switch.journal.reader import open_reader
from switch.link.circuit import CircuitState
from switch.model.state import Duty
from switch.settings.load import load
from switch.sim.cards import Mixture
from switch.sim.magic import Act
from switch.wire import Message
from tests.support.peer import Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig
from tests.support.world import world

RULES = """\
suspect_ms = 0
[[issuers.stand_in]]
name = "small"
when = ["unreachable", "circuit", "timeout"]
cards = ["plain"]
currency = "156"
amount_minor_max = 5000
count_max = 4
sum_minor_max = 12000
bank_sum_minor_max = 1000000
"""
DEADLINE = "deadline_ms = 1000"
CARD = "6299001234567891"
OTHER = "6299001234567883"


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.stop()


def sale(pan: str = CARD, amount: int = 1_000) -> dict[str, str]:
    values = purchase(amount=amount, pan=pan, expiry="3012")
    return {name: str(value) for name, value in values.items()}


async def up(node: Rig) -> Acquirer:
    await until(lambda: len(node.member("BANK01").ready) == 2, what="the bank's links")
    return await Acquirer.connect(node.acquirer)


async def code(acquirer: Acquirer, values: dict[str, str]) -> str | None:
    answer = await acquirer.ask(values)
    if answer.get("response_code") == "00" and answer.has("auth_code"):
        return f"00 {(answer.get('auth_code') or '')[0]}"
    return answer.get("response_code")


async def settled(node: Rig) -> None:
    await until(lambda: node.driver.engine.owed_count == 0, what="nothing is owed")


def numbers(messages: list[Message]) -> Counter[tuple[int, str | None]]:
    return Counter((one.stan, one.get("transmission_time")) for one in messages)


def findings(directory: Path) -> list[object]:
    settings = load(directory)
    keys = open_keys(settings.keys.file, settings.keys.sealing_key_file)
    return list(open_reader(directory / "data" / "journal" / "w0", keys).verify())


async def test_a_bank_that_is_away_is_told_once_of_each_approval_when_it_is_back(
    tmp_path: Path, bank: Bank
) -> None:
    at = await bank.start()
    async with rig(tmp_path, [at], bank=RULES, deadline=DEADLINE) as node:
        acquirer = await up(node)
        assert await code(acquirer, sale()) == "00 A", "the bank decides while it is there"
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        wanted = [sale(), sale(OTHER), sale(OTHER, 2_000)]
        assert [await code(acquirer, one) for one in wanted] == ["00 S"] * 3
        assert await code(acquirer, sale(amount=5_001)) == "91", "no rule covers it"
        again = wanted[0]
        assert await code(acquirer, again) == "00 S", "its repeat gets the stored answer"
        assert bank.advices == []
        await bank.start(int(at.rpartition(":")[2]))
        await settled(node)
        assert [one.mti for one in bank.advices] == ["0220"] * 3
        assert sorted(one.get("rrn") or "" for one in bank.advices) == sorted(
            one["rrn"] for one in wanted
        )
        assert bank.reversals == []
        assert node.member("BANK01").stand_ins["small", StandIn.STOOD] == 3
    assert findings(tmp_path) == []


async def test_a_silent_bank_gets_the_reversal_before_the_advice(
    tmp_path: Path, bank: Bank
) -> None:
    bank.silent = True
    async with rig(tmp_path, [await bank.start()], bank=RULES, deadline=DEADLINE) as node:
        acquirer = await up(node)
        assert await code(acquirer, sale()) == "00 S"
        await settled(node)
        (request,), (reversal,), (advice,) = bank.requests, bank.reversals, bank.advices
        assert reversal.get("original_data.stan") == f"{request.stan:06d}"
        assert advice.stan not in {request.stan, reversal.stan}
        assert advice.get("response_code") == "00"
        seen = [one.mti for link in bank.links for one in link.received]
        assert seen.index("0420") < seen.index("0220") or len(bank.links) > 1
    assert findings(tmp_path) == []


async def test_an_advice_that_is_not_acknowledged_is_repeated_under_the_same_numbers(
    tmp_path: Path, bank: Bank
) -> None:
    at = await bank.start()
    async with rig(tmp_path, [at], bank=RULES, deadline=DEADLINE) as node:
        acquirer = await up(node)
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        assert await code(acquirer, sale()) == "00 S"
        bank.acknowledges = False
        await bank.start(int(at.rpartition(":")[2]))
        await until(lambda: len(bank.advices) >= 3, what="repeated")
        assert [one.mti for one in bank.advices[:3]] == ["0220", "0221", "0221"]
        assert len(numbers(bank.advices)) == 1
        bank.acknowledges = True
        await settled(node)
    assert findings(tmp_path) == []


async def test_an_open_circuit_stands_in_at_once(tmp_path: Path, bank: Bank) -> None:
    circuit = "[issuers.circuit]\nfailures_min = 3\nwindow_ms = 20000\npause_min_ms = 60000\n"
    rules = RULES.replace('"timeout"', '"circuit"') + circuit
    async with rig(tmp_path, [await bank.start()], bank=rules, deadline=DEADLINE) as node:
        acquirer = await up(node)
        bank.silent = True
        for _ in range(3):
            assert await code(acquirer, sale()) == "91"
        await until(lambda: node.member("BANK01").circuit.state is CircuitState.OPEN, what="open")
        reached = len(bank.requests)
        assert await code(acquirer, sale()) == "00 S"
        assert len(bank.requests) == reached
        await settled(node)
        assert len(bank.advices) == 1
    assert findings(tmp_path) == []


async def test_after_an_online_decline_nothing_is_approved_under_that_key(
    tmp_path: Path, bank: Bank
) -> None:
    at = await bank.start()
    async with rig(tmp_path, [at], bank=RULES, deadline=DEADLINE) as node:
        acquirer = await up(node)
        bank.code = "51"
        declined = sale()
        assert await code(acquirer, declined) == "51"
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        assert await code(acquirer, declined) == "51"
        assert not node.member("BANK01").stand_ins
    assert findings(tmp_path) == []


async def test_allowances_are_remembered_over_a_restart(tmp_path: Path, bank: Bank) -> None:
    at = await bank.start()
    async with rig(tmp_path, [at], bank=RULES, deadline=DEADLINE) as node:
        acquirer = await up(node)
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        assert [await code(acquirer, sale()) for _ in range(3)] == ["00 S"] * 3
    async with rig(tmp_path, None) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        answers = [await code(acquirer, sale()) for _ in range(2)]
        assert answers == ["00 S", "91"]
        results = node.member("BANK01").stand_ins
        assert (results["small", StandIn.STOOD], results["small", StandIn.COUNT]) == (1, 1)
        assert await code(acquirer, sale(OTHER)) == "00 S"
        await bank.start(int(at.rpartition(":")[2]))
        await settled(node)
        assert len(numbers(bank.advices)) == 5
        # After a restart nobody knows which were sent: they go in the form of a repeat.
        assert Counter(one.mti for one in bank.advices) == {"0221": 3, "0220": 2}
    assert findings(tmp_path) == []


async def test_the_acquirer_s_reversal_reaches_the_bank_behind_the_advice(
    tmp_path: Path, bank: Bank
) -> None:
    at = await bank.start()
    async with rig(tmp_path, [at], bank=RULES, deadline=DEADLINE) as node:
        acquirer = await up(node)
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        sold = sale()
        assert await code(acquirer, sold) == "00 S"
        undo = sold | {
            "stan": f"{int(sold['stan']) + 500_000:06d}",
            "original_data.mti": "0200",
            "original_data.stan": sold["stan"],
            "original_data.transmission_time": sold["transmission_time"],
            "original_data.acquirer_code": sold["acquirer_code"],
            "original_data.forwarder_code": "0" * 11,
        }
        acquirer.send("0420", undo)
        answer = await acquirer.next()
        assert (answer.mti, answer.get("response_code")) == ("0430", "00")
        assert bank.advices == []
        await bank.start(int(at.rpartition(":")[2]))
        await settled(node)
        (advice,), (reversal,) = bank.advices, bank.reversals
        assert reversal.get("original_data.mti") == "0220"
        assert reversal.get("original_data.stan") == f"{advice.stan:06d}"
    assert findings(tmp_path) == []


async def done(node: Rig, order: Order) -> MemberDone:
    return await asyncio.to_thread(ask, node.worker.settings, order, MemberDone)


async def test_an_operator_suspends_it_over_a_restart_too(tmp_path: Path, bank: Bank) -> None:
    at, why = await bank.start(), By(reason="test")
    async with rig(tmp_path, [at], bank=RULES, deadline=DEADLINE) as node:
        acquirer = await up(node)
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        assert await code(acquirer, sale()) == "00 S"
        told = await done(node, StandInSuspend(member="BANK01", by=why, dry_run=True))
        assert told.did == "would approve nothing in its name (1 rules)"
        assert await code(acquirer, sale()) == "00 S"
        await done(node, StandInSuspend(member="BANK01", by=why))
        assert await code(acquirer, sale()) == "91"
        assert node.member("BANK01").stand_ins["small", StandIn.SUSPENDED] == 1
        # Another hold leaves it as it is.
        await done(node, MemberDrain(member="BANK01", by=why))
        await done(node, MemberEnable(member="BANK01", by=why))
    async with rig(tmp_path, None) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        assert await code(acquirer, sale()) == "91"
        shown = (await done(node, MemberShow(member="BANK01"))).member
        assert shown.stand_in_suspended
        assert [(one.count, one.sum_minor, one.rules) for one in shown.stand_in] == [(2, 2_000, 1)]
        told = await done(node, StandInResume(member="BANK01", by=why))
        assert told.member.stand_in_suspended == ""
        assert await code(acquirer, sale()) == "00 S"
        with pytest.raises(OrderError):
            await done(node, StandInSuspend(member="ACQ01", by=why))
    assert findings(tmp_path) == []


async def test_nothing_is_approved_without_a_rule(tmp_path: Path, bank: Bank) -> None:
    at = await bank.start()
    async with rig(tmp_path, [at], deadline=DEADLINE) as node:
        acquirer = await up(node)
        await bank.stop()
        await until(lambda: not node.member("BANK01").ready, what="the bank is gone")
        assert await code(acquirer, sale()) == "91"
    assert findings(tmp_path) == []


WORLD_RULES = (
    RULES.replace("count_max = 4", "count_max = 10000")
    .replace("sum_minor_max = 12000", "sum_minor_max = 50000000")
    .replace("amount_minor_max = 5000", "amount_minor_max = 5000000")
    .replace("bank_sum_minor_max = 1000000", "bank_sum_minor_max = 0")
)
POINTS = (
    "journal.appended:30",
    "journal.sync.before:9",
    "journal.sync.after:9",
    "release.answer.before:12",
    "release.answer.after:12",
    "release.reversal.before:2",
    "release.reversal.after:2",
    "worker.resumed:1",
)


@pytest.mark.system
async def test_killed_anywhere_ledgers_agree_with_one_advice_for_each_approval(
    tmp_path: Path,
) -> None:
    """A worker of its own under traffic; its bank is silent on some, away for a while, and back.
    The bank's books are the oracle: money is held under an advice's numbers, or under a request's,
    once for each approval that a terminal has."""
    mixture: Mixture = {Act.SILENT: 0.2, Act.LATE: 0.1, Act.DECLINE: 0.05}
    async with world(
        tmp_path, mixture=mixture, rate=120, patience_s=0.7, late_ms=350, bank=WORLD_RULES,
        deadline="deadline_ms = 250",
    ) as made:  # fmt: skip
        node = made.bare
        await made.sold(20)
        assert node.process is not None
        node.process.send_signal(signal.SIGKILL)
        await node.ended()
        for point in POINTS:
            node.environment = {"TAPSWITCH_CRASH_AT": point}
            process = await node.launch()
            await until(lambda: bool(node.told()) or process.returncode is not None, what="ready")  # noqa: B023
            if process.returncode is None:
                made.reach()
            assert await node.ended() == -signal.SIGKILL, f"{point} was not reached"
        node.environment = {}
        await made.start()
        made.bank_net.refuse()
        await made.sold(20)
        made.bank_net.heal()
        for _ in range(10):
            await made.sold(20)
            # On a busy machine a bank that was away is asked again only after a while.
            why = {one.get("reason") for one in made.reader().records()}
            if {"timeout", "unreachable"} <= why:
                break
        report = await made.conserved()
        assert report.stood_in > 20
        reader = made.reader()
        records = list(reader.records())
        stood = [one for one in records if one["kind"] == "STOOD_IN" and not one["carried"]]
        told = Counter(
            one["txn"]
            for one in records
            if one["kind"] == "SETTLED" and one.get("duty") == Duty.ADVICE
        )
        assert told == Counter(one["txn"] for one in stood), "exactly one advice each"
        assert {one["reason"] for one in stood} >= {"timeout", "unreachable"}
