"""Links under stress: sign-on, fail-over, lost banks, peers that do not read, stalls."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from switch.wire import Message
from tests.support.node import MakeNode
from tests.support.peer import DIALECT, Acquirer, Bank, BankLink, purchase, until


def resident_kib(pid: int) -> int:
    """Resident memory of a process; readable although it is not dumpable."""
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def test_financial_traffic_before_sign_on_is_refused(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node([await bank.start()]).start()
    stranger = await Acquirer.connect(node.acquirer, sign_on=False)
    assert (await stranger.ask(purchase())).get("response_code") == "91"
    assert bank.requests == []
    assert (await stranger.sign_on()).get("response_code") == "00"
    assert (await stranger.ask(purchase())).get("response_code") == "00"
    assert (await stranger.sign_on("301")).get("response_code") == "00"
    assert (await stranger.sign_on("002")).get("response_code") == "00"
    assert (await stranger.ask(purchase())).get("response_code") == "91"
    assert await node.stop() == 0


async def test_stranger_that_goes_on_asking_is_cut_off(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node([await bank.start()]).start()
    stranger = await Acquirer.connect(node.acquirer, sign_on=False)
    for _ in range(40):
        stranger.send("0200", purchase())
    await asyncio.wait_for(stranger.ended.wait(), 5)
    assert len(stranger.received) <= 16
    assert bank.requests == []
    assert await node.stop() == 0


async def test_bank_that_refuses_the_sign_on_gets_no_requests(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.sign_on_code = "05"
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "91"
    assert bank.requests == []
    assert await node.stop() == 0


async def test_connections_over_the_cap_are_closed(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node([await bank.start()], acquirer="connections_max = 2").start()
    first = await Acquirer.connect(node.acquirer)
    second = await Acquirer.connect(node.acquirer)
    third = await Acquirer.connect(node.acquirer, sign_on=False)
    await asyncio.wait_for(third.ended.wait(), 5)
    assert not second.ended.is_set()
    assert (await first.ask(purchase())).get("response_code") == "00"
    assert await node.stop() == 0


async def test_answer_may_come_on_another_connection_of_the_bank(
    make_node: MakeNode, bank: Bank
) -> None:
    def elsewhere(link: BankLink, message: Message) -> None:
        (other,) = [each for each in bank.links if each is not link]
        bank.reply(other, message)

    bank.on_request = elsewhere
    node = await make_node([await bank.start()]).start()
    await until(lambda: node.opened("BANK01") == 2, what="both connections signed on")
    acquirer = await Acquirer.connect(node.acquirer)
    for _ in range(4):
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert await node.stop() == 0


async def test_fail_over_serves_new_requests_and_never_sends_one_twice(
    make_node: MakeNode, bank: Bank
) -> None:
    asked: list[BankLink] = []

    def drop(link: BankLink, message: Message) -> None:
        """The first request's connection is reset with the request in hand."""
        asked.append(link)
        if len(asked) == 1:
            link.abort()
        else:
            bank.reply(link, message)

    bank.on_request = drop
    node = await make_node([await bank.start()]).start()
    await until(lambda: node.opened("BANK01") == 2, what="both connections signed on")
    acquirer = await Acquirer.connect(node.acquirer)
    lost = purchase()
    acquirer.send("0200", lost)
    await until(lambda: len(asked) == 1, what="first request")
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    # The lost one ends at its deadline and is reversed; it was sent once.
    late = await acquirer.next()
    assert (late.get("stan"), late.get("response_code")) == (lost["stan"], "91")
    await until(lambda: len(bank.reversals) == 1, what="reversal")
    assert [m.get("rrn") for m in bank.requests].count(str(lost["rrn"])) == 1
    assert await node.stop() == 0


async def test_bank_that_has_gone_is_answered_91_at_once_and_is_dialled_again(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    await until(lambda: node.opened("BANK01") == 2, what="both connections")
    await bank.stop_listening()
    for link in list(bank.links):
        link.abort()
    await until(lambda: bool(node.events("dial.failed")), what="failed dial")
    assert (await acquirer.ask(purchase(), within_s=0.4)).get("response_code") == "91"
    await bank.start(bank.port)
    await until(lambda: node.opened("BANK01") >= 3, what="new connection")
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert await node.stop() == 0


async def test_expired_deadlines_run_before_replies_that_waited_during_a_stall(
    make_node: MakeNode, bank: Bank
) -> None:
    held: list[tuple[BankLink, Message]] = []
    bank.on_request = lambda link, message: held.append((link, message))
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    acquirer.send("0200", purchase())
    await until(lambda: len(held) == 1, what="request at the bank")
    worker = node.worker_pid
    os.kill(worker, signal.SIGSTOP)
    bank.reply(*held[0])
    await asyncio.sleep(0.8)
    os.kill(worker, signal.SIGCONT)
    assert (await acquirer.next()).get("response_code") == "91"
    await until(lambda: len(bank.reversals) == 1, what="reversal")
    await asyncio.sleep(0.3)
    assert len(acquirer.received) == 2, "the late approval must not reach the acquirer"
    assert await node.stop() == 0


@pytest.mark.slow
async def test_acquirer_that_does_not_read_never_grows_our_memory(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()], limits="write_buffer_bytes_max = 65536").start()
    polite = await Acquirer.connect(node.acquirer)
    known = purchase()
    assert (await polite.ask(known)).get("response_code") == "00"
    rude = await Acquirer.connect(node.acquirer, receive_buffer=4096)
    rude.stop_reading()
    before = resident_kib(node.worker_pid)
    # One request, answered from the store each time: cheap for the rude peer, an answer for us.
    frame = DIALECT.encode("0201", known)
    sent = 0
    for _ in range(60):
        rude.write(frame * 500)
        sent += 500
        await asyncio.sleep(0.02)
        if rude.ended.is_set() or rude.unsent > 1 << 20:
            break
    await asyncio.sleep(0.5)
    grown = resident_kib(node.worker_pid) - before
    assert sent >= 2_000
    assert grown < 8_192, f"{grown} KiB"
    assert (await polite.ask(purchase())).get("response_code") == "00"
    rude.abort()
    assert await node.stop() == 0


@pytest.mark.slow
async def test_bank_that_does_not_read_is_left_out_and_its_share_is_bounded(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.receive_buffer = 4096
    other = Bank()
    node = await make_node(
        [await bank.start(), await other.start()], bank="in_flight_max = 200\nconnections = 1"
    ).start()
    acquirer = await Acquirer.connect(node.acquirer)
    await until(lambda: node.opened("BANK01") == node.opened("BANK02") == 1, what="sign-on")
    bank.links[0].stop_reading()
    before = resident_kib(node.worker_pid)
    asked = [purchase(serial=n) for n in range(2_000)]
    for values in asked:
        acquirer.send("0200", values)
    answers = [await acquirer.next(10) for _ in asked]
    assert {a.get("response_code") for a in answers} == {"91"}
    assert resident_kib(node.worker_pid) - before < 16_384
    assert (await acquirer.ask(purchase(prefix="629901"))).get("response_code") == "00"
    await node.stop()
    await other.stop()
