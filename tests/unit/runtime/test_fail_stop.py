"""A fault of ours stops the process wherever it shows; what peers get wrong never does."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

import pytest

from switch.errors import UsageError
from switch.runtime.fault import is_ours, reason
from tests.support.peer import DIALECT, Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig

pytestmark = pytest.mark.timeout(30)

FAULTS = [UsageError("the table is too small"), AssertionError("6299001234567890"), KeyError(7)]


def raising(fault: Exception) -> Callable[..., Never]:
    """A function that raises it, whatever it is called with."""

    def function(*_: object) -> Never:
        raise type(fault)(*fault.args)

    return function


async def stopped(node: Rig, fault: Exception) -> None:
    """Waits for the stop; its reason says what may be said, and every link is cut."""
    why = await asyncio.wait_for(asyncio.shield(node.driver.failed), 5)
    assert type(fault).__name__ in why
    assert "test_fail_stop.py" in why
    assert ("too small" in why) == isinstance(fault, UsageError)
    assert "6299" not in why
    await until(lambda: not any(node.driver.connections()), what="every link cut")


class Played:
    """A request that the bank has, or had."""

    def __init__(self, node: Rig, bank: Bank, acquirer: Acquirer) -> None:
        self.node, self.bank, self.acquirer = node, bank, acquirer
        self.driver: Any = node.driver


def in_reply(play: Played, fault: Exception) -> None:
    """Between a bank's answer and its record."""
    for connection in play.node.member("BANK01").connections.values():
        connection._engine_reply = raising(fault)
    play.bank.reply(play.bank.links[0], play.bank.requests[0])


def in_request(play: Played, fault: Exception) -> None:
    """Behind an acquirer's claim."""
    for connection in play.node.member("ACQ01").connections.values():
        connection._engine_request = raising(fault)
    play.acquirer.send("0200", purchase())


def in_expire(play: Played, fault: Exception) -> None:
    """In a deadline: the timer's list is out of the in-flight map."""
    play.driver.gate = Faulty(play.driver.gate, "conclude", fault)


def in_commit(play: Played, fault: Exception) -> None:
    """At the end of a tick."""
    play.driver._commit = raising(fault)
    play.bank.reply(play.bank.links[0], play.bank.requests[0])


def in_synced(play: Played, fault: Exception) -> None:
    """When the journal reports."""
    play.driver.release = raising(fault)
    play.driver.loop.call_soon(play.driver.synced)


def in_callback(play: Played, fault: Exception) -> None:
    """In a callback that has no care of its own."""
    play.driver.loop.call_soon(raising(fault))


def in_lost_link(play: Played, fault: Exception) -> None:
    """While a lost connection is told to the engine."""
    play.driver.acquirer_lost = raising(fault)
    play.acquirer.abort()


class Faulty:
    """A gate of which one act fails."""

    def __init__(self, gate: Any, act: str, fault: Exception) -> None:
        self._gate = gate
        setattr(self, act, raising(fault))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gate, name)


PLACES = [in_reply, in_request, in_expire, in_commit, in_synced, in_callback, in_lost_link]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
async def test_fault_of_ours_stops_the_process_and_the_next_one_knows_what_is_owed(
    tmp_path: Path, place: Callable[[Played, Exception], None], fault: Exception
) -> None:
    bank = Bank()
    bank.silent = True
    async with rig(tmp_path, [await bank.start()]) as node:
        acquirer = await Acquirer.connect(node.acquirer)
        asked = purchase()
        acquirer.send("0200", asked)
        await until(lambda: len(bank.requests) == 1, what="request")
        place(Played(node, bank, acquirer), fault)
        await stopped(node, fault)
        await asyncio.wait_for(acquirer.ended.wait(), 5)
        assert len(acquirer.received) == 1, "an answer left after the stop"
        assert await node.worker.finish() == 3
    async with rig(tmp_path, None) as node:
        code = (await (await Acquirer.connect(node.acquirer)).ask(asked, "0201")).get(
            "response_code"
        )
        # Recorded before the fault, the approval stands, and its repeat gets it; else it is undone.
        assert (code == "00") == (place is in_commit)
        if code != "00":
            await until(lambda: len(bank.reversals) == 1, what="reversal after the restart")
        assert len(bank.reversals) == (code != "00")
    await bank.stop()


async def test_mangled_frames_of_peers_never_stop_the_process(tmp_path: Path) -> None:
    dice = random.Random(8583)
    bank = Bank()

    def mangled(mti: str) -> bytes:
        body = bytearray(DIALECT.encode(mti, purchase(rrn=f"R{dice.randrange(10**11):011d}"))[2:])
        for _ in range(dice.randrange(1, 5)):
            body[dice.randrange(len(body))] = dice.choice(b"0123456789 A\x00\xff\x80")
        del body[dice.randrange(len(body), 2 * len(body)) :]
        return len(body).to_bytes(2, "big") + bytes(body)

    async with rig(tmp_path, [await bank.start()]) as node:
        for number in range(60):
            acquirer = await Acquirer.connect(node.acquirer)
            for _ in range(20):
                acquirer.write(mangled(dice.choice(("0100", "0200", "0201", "0420", "0800"))))
            for link in bank.links[:1]:
                link.write(mangled(dice.choice(("0210", "0430", "0810", "0200"))))
            if number % 10 == 0:
                await asyncio.sleep(0.05)
            acquirer.abort()
        polite = await Acquirer.connect(node.acquirer)
        await until(lambda: bool(node.member("BANK01").ready), what="bank")
        assert (await polite.ask(purchase())).get("response_code") == "00"
        assert not node.driver.failed.done()
    await bank.stop()


def test_what_the_system_says_of_a_peer_is_no_fault_of_ours() -> None:
    assert not is_ours(None)
    assert not is_ours(TimeoutError(110, "Connection timed out"))
    assert not is_ours(OSError(24, "Too many open files"))
    assert not is_ours(asyncio.CancelledError())
    assert is_ours(ValueError())


def test_text_of_an_error_that_is_not_ours_is_not_told() -> None:
    assert "6299" not in reason(ValueError("6299001234567890"))
    assert "too small" in reason(UsageError("the table is too small"))
