"""Kill -9 in the middle: the supervisor starts the next worker, and nothing is lost."""

import asyncio
import os
import signal

import pytest

from switch.wire import Message
from tests.support.node import MakeNode
from tests.support.peer import Acquirer, Bank, BankLink, purchase, until


async def test_request_in_flight_at_a_kill_is_reversed_by_the_next_worker(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.silent = True
    node = await make_node([await bank.start()], bank="connections = 1").start()
    acquirer = await Acquirer.connect(node.acquirer)
    asked = purchase()
    acquirer.send("0200", asked)
    await until(lambda: len(bank.requests) == 1, what="request at the bank")
    address = node.acquirer
    await node.kill_worker()
    assert node.acquirer == address, "a restarted worker listens where the first one did"

    await until(lambda: len(bank.reversals) == 1, what="reversal at the bank")
    (request,), reversal = bank.requests, bank.reversals[0]
    assert reversal.get("original_data.stan") == request.get("stan")
    # Our numbers go on above those that the dead worker used.
    used = (request.get("transmission_time") or "", request.get("stan") or "")
    assert (reversal.get("transmission_time") or "", reversal.get("stan") or "") > used

    # The acquirer's repeat gets the decline that stands, and the bank is not asked again.
    again = await Acquirer.connect(node.acquirer)
    answer = await again.ask(asked, "0201")
    assert answer.get("response_code") not in {"00", None}
    assert len(bank.requests) == 1
    assert await node.stop() == 0


async def test_answer_survives_a_kill(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    asked = purchase()
    first = await acquirer.ask(asked)
    await node.kill_worker()
    again = await (await Acquirer.connect(node.acquirer)).ask(asked, "0201")
    assert again.get("auth_code") == first.get("auth_code") == "A00001"
    assert len(bank.requests) == 1
    assert bank.reversals == []
    assert await node.stop() == 0


async def test_reversal_without_acknowledgement_goes_on_after_a_kill_under_the_same_numbers(
    make_node: MakeNode, bank: Bank
) -> None:
    bank.silent, bank.acknowledges = True, False
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "91"
    await until(lambda: len(bank.reversals) >= 2, what="repeated reversal")
    await node.kill_worker()
    before = len(bank.reversals)
    await until(lambda: len(bank.reversals) > before, what="reversal after the restart")
    assert [m.mti for m in bank.reversals[:2]] == ["0420", "0421"]
    assert bank.reversals[-1].mti == "0421"
    assert len({(m.get("stan"), m.get("transmission_time")) for m in bank.reversals}) == 1
    bank.acknowledges = True
    settled = len(bank.reversals) + 1
    await until(lambda: len(bank.reversals) >= settled, what="acknowledged reversal")
    await asyncio.sleep(0.8)
    assert len(bank.reversals) == settled, "acknowledged, yet repeated"
    assert await node.stop() == 0


async def test_reversal_for_a_bank_that_is_no_member_is_taken_and_told_when_it_is_one_again(
    make_node: MakeNode, bank: Bank
) -> None:
    other = Bank()
    node = await make_node([await bank.start(), await other.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    asked = purchase(prefix="629901")
    assert (await acquirer.ask(asked)).get("response_code") == "00"
    assert await node.stop() == 0

    files = [node.directory / "switch.toml", node.directory / "routes" / "cards.toml"]
    both = [file.read_text(encoding="utf-8") for file in files]
    for file, text, table in zip(files, both, ("\n[[issuers]]", "[[routes]]"), strict=True):
        file.write_text(text[: text.rindex(table)], encoding="utf-8")
    await node.start()
    again = await Acquirer.connect(node.acquirer)
    reversal = again.reversal_of(asked)
    assert (await again.ask(reversal, "0420")).get("response_code") == "00"
    assert (await again.ask(reversal, "0421")).get("response_code") == "00"
    assert (await again.ask(asked, "0201")).get("response_code") != "00"
    assert await node.stop() == 0
    assert other.reversals == []

    for file, text in zip(files, both, strict=True):
        file.write_text(text, encoding="utf-8")
    await node.start()
    assert node.events("journal.recovered")[-1]["owed"] == 1
    await until(lambda: len(other.reversals) == 1, what="reversal at the bank")
    (request,), (told,) = other.requests, other.reversals
    assert told.get("original_data.stan") == request.get("stan")
    used = (request.get("transmission_time") or "", request.get("stan") or "")
    assert (told.get("transmission_time") or "", told.get("stan") or "") > used
    assert await node.stop() == 0
    await other.stop()


async def test_clean_stop_leaves_nothing_in_doubt(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    for _ in range(5):
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert await node.stop() == 0
    await node.start()
    (first, second) = node.events("journal.recovered")
    assert first["records"] == 0
    assert second["records"] > 10
    assert second["in_doubt"] == second["owed"] == 0
    assert await node.stop() == 0


async def test_drain_finishes_what_is_in_flight(make_node: MakeNode, bank: Bank) -> None:
    held: list[tuple[BankLink, Message]] = []
    bank.on_request = lambda link, message: held.append((link, message))
    node = await make_node([await bank.start()], bank="deadline_ms = 3000", deadline="").start()
    acquirer = await Acquirer.connect(node.acquirer)
    acquirer.send("0200", purchase())
    await until(lambda: len(held) == 1, what="request at the bank")
    stopping = asyncio.ensure_future(node.stop())
    await asyncio.sleep(0.3)
    bank.reply(*held[0])
    assert (await acquirer.next()).get("response_code") == "00"
    await asyncio.wait_for(acquirer.ended.wait(), 5)
    await acquirer.close()
    assert await stopping == 0
    assert "002" in {m.get("network_code") for m in bank.network}, "banks are signed off"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_signals(make_node: MakeNode, bank: Bank, number: signal.Signals) -> None:
    node = await make_node([await bank.start()]).start()
    assert node.process is not None
    worker = node.worker_pid
    node.process.send_signal(number)
    code = await asyncio.wait_for(node.process.wait(), 15)
    assert code == (0 if number is signal.SIGTERM else 130)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


async def test_killed_supervisor_leaves_nothing_running(make_node: MakeNode, bank: Bank) -> None:
    node = await make_node([await bank.start()]).start()
    assert node.process is not None
    worker = node.worker_pid
    node.process.kill()
    await node.process.wait()

    def gone() -> bool:
        try:
            with open(f"/proc/{worker}/stat", encoding="ascii") as status:
                return status.read().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    await until(gone, 10, "the worker's end")
