"""Orders about members against a worker with real connections: what each does, what it refuses,
what holds over a restart."""

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from switch.control.audit import audit_file, read
from switch.control.holds import Holds, holds_file
from switch.control.member_drain import MemberDrain
from switch.control.member_echo import Echoes, MemberEcho
from switch.control.member_enable import MemberEnable
from switch.control.member_show import MemberShow
from switch.control.member_sign_off import MemberSignOff
from switch.control.member_sign_on import MemberSignOn
from switch.control.members import MemberDone
from switch.control.order import By, Order
from switch.control.remote import ask
from switch.errors import OperatorError, OrderError
from switch.link.circuit import CircuitRules
from switch.link.health import HealthRules
from switch.wire import Message
from tests.support.peer import Acquirer, Bank, BankLink, purchase, until
from tests.support.rig import Rig, rig

WHY = By(reason="test")


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.stop()


@pytest.fixture
async def node(tmp_path: Path, bank: Bank) -> AsyncIterator[Rig]:
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        yield node


async def done(node: Rig, order: Order) -> MemberDone:
    return await asyncio.to_thread(ask, node.worker.settings, order, MemberDone)


def codes(bank: Bank) -> list[str | None]:
    """Network management that the bank got since the last look."""
    got = [message.get("network_code") for message in bank.network]
    bank.network.clear()
    return got


async def answer_of(acquirer: Acquirer) -> str | None:
    return (await acquirer.ask(purchase())).get("response_code")


async def test_unknown_member_is_refused_with_the_one_that_was_meant(node: Rig) -> None:
    with pytest.raises(OrderError, match='no member "BNAK01"') as raised:
        await done(node, MemberShow(member="BNAK01"))
    assert raised.value.help == 'did you mean "BANK01"?'


async def test_echo_times_every_line(node: Rig, bank: Bank) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    answer = await asyncio.to_thread(
        ask, node.worker.settings, MemberEcho(member="BANK01", count=2), Echoes
    )
    assert [(len(link.took_us), link.missed) for link in answer.links] == [(2, 0), (2, 0)]
    assert all(0 < took < 2_000_000 for link in answer.links for took in link.took_us)
    assert codes(bank).count("301") == 4
    # A line that was signed on to us can be tested as well; it has to answer.
    asked = asyncio.ensure_future(
        asyncio.to_thread(
            ask, node.worker.settings, MemberEcho(member="ACQ01", limit_ms=200), Echoes
        )
    )
    message = await acquirer.next()
    assert (message.mti, message.get("network_code")) == ("0800", "301")
    (link,) = (await asked).links
    assert (link.took_us, link.missed) == ([], 1)


async def test_drain_waits_for_what_is_in_flight_then_signs_off_and_stays_down(
    node: Rig, bank: Bank
) -> None:
    held: list[tuple[BankLink, Message]] = []
    bank.on_request = lambda link, message: held.append((link, message))
    acquirer = await Acquirer.connect(node.acquirer)
    acquirer.send("0200", purchase())
    await until(lambda: len(held) == 1, what="request at the bank")
    codes(bank)
    draining = asyncio.ensure_future(done(node, MemberDrain(member="BANK01", by=WHY)))
    await until(lambda: node.member("BANK01").hold == "drained", what="draining")
    # Nothing new goes there, and nothing was signed off yet.
    second = await Acquirer.connect(node.acquirer)
    assert await answer_of(second) == "91"
    assert (codes(bank), len(held), draining.done()) == ([], 1, False)
    bank.reply(*held[0])
    assert (await acquirer.next()).get("response_code") == "00"
    answer = await draining
    assert (answer.member.state, answer.member.links, answer.member.hold) == (
        "drained",
        [],
        "drained",
    )
    assert answer.member.hold_reason == "test"
    assert codes(bank) == ["002", "002"]
    assert bank.links == []
    # The dialler holds.
    await asyncio.sleep(0.3)
    assert bank.links == []
    assert await answer_of(second) == "91"
    bank.on_request = None
    answer = await done(node, MemberEnable(member="BANK01", by=WHY))
    assert (answer.did, answer.member.state) == ("enabled: it is up", "up")
    assert await answer_of(second) == "00"


async def test_reversal_owed_to_a_drained_bank_is_delivered_when_it_is_enabled(
    node: Rig, bank: Bank
) -> None:
    bank.silent, bank.acknowledges = True, False
    acquirer = await Acquirer.connect(node.acquirer)
    assert await answer_of(acquirer) == "91"
    await until(lambda: len(bank.reversals) >= 1, what="reversal")
    answer = await done(node, MemberDrain(member="BANK01", by=WHY))
    assert answer.member.reversals_owed == 1
    seen = len(bank.reversals)
    bank.acknowledges = True
    await asyncio.sleep(0.6)
    assert len(bank.reversals) == seen
    await done(node, MemberEnable(member="BANK01", by=WHY))
    await until(lambda: len(bank.reversals) > seen, what="reversal again")
    shown = await done(node, MemberShow(member="BANK01"))
    assert shown.member.reversals_owed == 0


async def test_enabled_while_it_drains_goes_on_as_before(node: Rig, bank: Bank) -> None:
    bank.silent = True
    acquirer = await Acquirer.connect(node.acquirer)
    acquirer.send("0200", purchase())
    await until(lambda: len(bank.requests) == 1, what="request at the bank")
    draining = asyncio.ensure_future(done(node, MemberDrain(member="BANK01", by=WHY)))
    await until(lambda: node.member("BANK01").hold == "drained", what="draining")
    await done(node, MemberEnable(member="BANK01", by=WHY))
    with pytest.raises(OrderError, match="enabled before it was drained"):
        await draining
    bank.silent = False
    assert len(bank.links) == 2
    second = await Acquirer.connect(node.acquirer)
    assert await answer_of(second) == "00"


async def test_drained_acquirer_gets_its_answers_and_then_its_end(node: Rig, bank: Bank) -> None:
    held: list[tuple[BankLink, Message]] = []
    bank.on_request = lambda link, message: held.append((link, message))
    acquirer = await Acquirer.connect(node.acquirer)
    acquirer.send("0200", purchase())
    await until(lambda: len(held) == 1, what="request at the bank")
    draining = asyncio.ensure_future(done(node, MemberDrain(member="ACQ01", by=WHY)))
    await until(lambda: node.member("ACQ01").hold == "drained", what="draining")
    acquirer.send("0200", purchase())
    bank.reply(*held[0])
    assert (await acquirer.next()).get("response_code") == "00"
    assert (await draining).member.links == []
    await asyncio.wait_for(acquirer.ended.wait(), 5)
    # What came afterwards was never begun.
    assert (len(held), len(acquirer.received)) == (1, 2)
    late = await Acquirer.connect(node.acquirer, sign_on=False)
    await asyncio.wait_for(late.ended.wait(), 5)
    await done(node, MemberEnable(member="ACQ01", by=WHY))
    bank.on_request = None
    assert await answer_of(await Acquirer.connect(node.acquirer)) == "00"


async def test_sign_off_keeps_the_connections_and_holds_for_new_ones(node: Rig, bank: Bank) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    codes(bank)
    answer = await done(node, MemberSignOff(member="BANK01", by=WHY))
    assert (answer.member.state, answer.member.signed_on) == ("signed-off", 0)
    assert [link.session for link in answer.member.links] == ["held", "held"]
    assert codes(bank) == ["002", "002"]
    assert await answer_of(acquirer) == "91"
    before = len(bank.links)
    bank.links[0].abort()
    await until(lambda: len(bank.links) == before, what="a new connection")
    await asyncio.sleep(0.1)
    assert codes(bank) == []
    answer = await done(node, MemberSignOn(member="BANK01", by=WHY))
    assert answer.did == "signed on, on 2 of 2 connections that were not"
    assert codes(bank) == ["001", "001"]
    assert await answer_of(acquirer) == "00"


async def test_sign_on_that_the_bank_refuses_is_told(node: Rig, bank: Bank) -> None:
    await done(node, MemberSignOff(member="BANK01", by=WHY))
    bank.sign_on_code = "05"
    with pytest.raises(OrderError, match="took the sign-on on none of 2 connections"):
        await done(node, MemberSignOn(member="BANK01", by=WHY))


@pytest.mark.parametrize("order", [MemberSignOn, MemberSignOff])
async def test_acquirer_signs_on_and_off_itself(node: Rig, order: type[MemberSignOn]) -> None:
    with pytest.raises(OrderError, match="ACQ01 is an acquirer") as raised:
        await done(node, order(member="ACQ01"))
    assert "tapswitch member drain ACQ01" in raised.value.help


@pytest.mark.parametrize("order", [MemberSignOff, MemberDrain])
async def test_dry_run_says_what_it_would_do_and_does_nothing(
    node: Rig, bank: Bank, order: type[MemberDrain]
) -> None:
    codes(bank)
    answer = await done(node, order(member="BANK01", by=WHY, dry_run=True))
    assert answer.did.startswith("would ")
    assert "2 connections" in answer.did
    assert (answer.member.state, codes(bank)) == ("up", [])
    file = audit_file(node.worker.settings.node.data_dir)
    assert [one.kind for one in read(file)][-1] == "look"


@pytest.mark.parametrize("hold", ["drained", "signed-off"])
async def test_hold_is_there_after_a_restart_and_shown(
    tmp_path: Path, bank: Bank, hold: str
) -> None:
    order: Order = MemberDrain(member="BANK01", by=WHY)
    if hold == "signed-off":
        order = MemberSignOff(member="BANK01", by=WHY)
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        await done(node, order)
    gc.collect()  # on this thread: see tests/conftest.py
    codes(bank)
    async with rig(tmp_path, None) as node:
        await asyncio.sleep(0.2)
        shown = (await done(node, MemberShow(member="BANK01"))).member
        assert (shown.state, shown.hold_reason) == (hold, "test")
        assert (len(bank.links), codes(bank)) == (0 if hold == "drained" else 2, [])
        answer = await done(node, MemberEnable(member="BANK01", by=WHY))
        assert answer.member.state == "up"
        assert await answer_of(await Acquirer.connect(node.acquirer)) == "00"


async def test_every_order_stands_in_the_audit_with_its_result(node: Rig) -> None:
    await done(node, MemberDrain(member="BANK01", by=By(reason="maintenance", actor="li")))
    with pytest.raises(OrderError):
        await done(node, MemberSignOn(member="BANK01", by=WHY))
    records = list(read(audit_file(node.worker.settings.node.data_dir)))
    assert [one.kind for one in records] == ["opened", "order", "result", "order", "result"]
    assert (records[1].actor, records[1].reason) == ("li", "maintenance")
    assert [(one.of, one.outcome) for one in records if one.kind == "result"] == [
        (2, "done"),
        (4, "refused"),
    ]
    assert records[4].problem == "BANK01 is drained"


async def test_bank_takes_up_other_settings_for_the_connections_that_stand(
    node: Rig, bank: Bank
) -> None:
    member = node.member("BANK01")
    rules = HealthRules(suspect_ms=100)
    member.retune(5, rules, CircuitRules())
    assert (member.matcher.in_flight_max, member.health) == (5, rules)
    assert {link.health.rules.suspect_ms for link in member.connections.values()} == {100}


def test_damaged_file_of_holds_is_no_reason_to_serve_a_drained_bank(tmp_path: Path) -> None:
    file = holds_file(tmp_path)
    assert Holds.load(file).of("BANK01").hold == ""
    file.write_text('{"BANK01": {"hold": "drai', encoding="utf-8")
    with pytest.raises(OperatorError, match="which members are drained, and it is damaged"):
        Holds.load(file)


async def test_hold_that_cannot_be_kept_is_not_begun(node: Rig, bank: Bank) -> None:
    # A directory in the place of the file: whatever the user may, it cannot be replaced by one.
    holds_file(node.worker.settings.node.data_dir).mkdir()
    with pytest.raises(OrderError, match="nothing was done"):
        await done(node, MemberDrain(member="BANK01", by=WHY))
    assert len(bank.links) == 2
    assert await answer_of(await Acquirer.connect(node.acquirer)) == "00"
