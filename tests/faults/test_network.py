"""A network that fails on both sides of a real worker: delay, loss, copies, other order, pieces,
dribble, damage, broken connections, exchanged answers. After each set of faults everything comes
to rest and the three ledgers agree; every fault of the set has happened.

Faults that no switch without message codes can notice are not here: a changed response code, a
request that the network repeats towards the bank.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from switch.model import end
from switch.model.state import Cause
from switch.sim.network import Rule, parse_rule
from switch.sim.terminal import Habit
from tests.support.peer import until
from tests.support.world import World, world

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]

WHOLE: Final = bool(os.environ.get("FAULTS_WHOLE"))

DEADLINE_MS: Final = 250
TICK_MS: Final = 100
"""A time-out may be noticed so much later."""

BANK: Final = [
    "down lose mti=0210 share=0.1",
    "down duplicate mti=02 share=0.3",
    "down swap mti=0210 share=0.2",
    "down delay mti=0210 ms=400 share=0.1 times=8",
    "down rewrite field=stan value=999999 mti=0210 share=0.1",
    "down reorder mti=0210 after=2 ms=60 share=0.2",
    "down corrupt at=2 mask=8 mti=0210 share=0.1",
    "down lose mti=0430 share=0.5",
    "up lose mti=0200 share=0.1",
    "up duplicate mti=0420",
    "both split at=1 share=0.5",
    "down dribble ms=1 share=0.1 times=5",
    "up reset at=9 share=0.05 times=3",
    "down truncate at=20 mti=0210 share=0.05 times=3",
]
ACQUIRER: Final = [
    "up duplicate mti=0200 share=0.3",
    "up duplicate mti=042 share=0.5",
    "down lose mti=0210 share=0.1",
    "down swap mti=0210 share=0.1",
    "up lose mti=0420 share=0.5",
    "up reorder mti=0200 after=1 ms=60 share=0.2",
    "up corrupt at=2 mask=8 mti=0200 share=0.1",
    "both split at=3 share=0.5",
    "up dribble ms=1 share=0.1 times=5",
    "both delay ms=5 jitter_ms=30 share=0.3",
    "up truncate at=7 mti=0200 share=0.05 times=3",
    "down reset at=5 mti=0210 share=0.05 times=3",
]


def sets(rules: list[str], side: str) -> list[tuple[str, list[str]]]:
    """Seven at a time, far apart ones together; one at a time when there is time."""
    step = len(rules) if WHOLE else 2
    return [(side, rules[at::step]) for at in range(step)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("network")
    async with world(
        directory,
        rate=80,
        habits={Habit.CANCEL: 0.1},
        patience_s=0.7,
        late_ms=350,
        deadline=f"deadline_ms = {DEADLINE_MS}",
    ) as made:
        await made.rest()
        yield made


@pytest.mark.parametrize(
    ("side", "words"),
    [*sets(BANK, "bank"), *sets(ACQUIRER, "acquirer")],
    ids=lambda value: value if isinstance(value, str) else value[0].replace(" ", "_"),
)
async def test_a_failing_network_loses_and_doubles_nothing(
    shared: World, side: str, words: list[str]
) -> None:
    net = shared.bank_net if side == "bank" else shared.acquirer_net
    rules = [parse_rule(one) for one in words]
    before = {rule.fault: net.done(rule.fault) for rule in rules}

    def happened(rule: Rule) -> bool:
        return net.done(rule.fault) > before[rule.fault]

    shared.resume()
    net.put(*rules)
    await shared.sold(40)
    await until(lambda: all(map(happened, rules)), what=f"each of {words}")
    await shared.rest()
    shared.agree()


AT: Final = range(96) if WHOLE else (1, 9, 90)
"""Of a frame, the shortest of which is longer: in its length, MTI, bitmap and fields."""


@pytest.mark.parametrize("way", ["up reset mti=0200", "down reset mti=0210"])
@pytest.mark.parametrize("side", ["bank", "acquirer"])
async def test_a_reset_at_byte_n_of_a_message_loses_and_doubles_nothing(
    tmp_path: Path, side: str, way: str
) -> None:
    """Connection after connection, each broken at another byte."""
    # A bank whose connections break so often would not be asked any more.
    asked = "[issuers.circuit]\nfailed_share_max = 0\nunreachable_ms = 0\n"
    async with world(tmp_path, patience_s=0.7, late_ms=350, bank=asked) as w:
        net = w.bank_net if side == "bank" else w.acquirer_net
        for number, at in enumerate(AT, 1):
            net.put(parse_rule(f"{way} at={at} times=1"))
            await until(lambda: net.done("reset") == number, what=f"a reset at {at}")  # noqa: B023
        await w.conserved()


async def test_a_line_that_goes_down_and_up_again_and_again(shared: World) -> None:
    shared.resume()
    for _ in range(3):
        await shared.sold(5)
        shared.bank_net.refuse()
        await until(lambda: shared.bank_net.standing == 0, what="the line is down")
        shared.bank_net.heal()
    await shared.sold(5)
    await shared.rest()
    shared.agree()


async def test_a_worker_that_stood_still_times_out_before_it_uses_what_came_meanwhile(
    shared: World,
) -> None:
    """The bank answered in time; its answers lay in the worker's sockets until the deadline had
    long passed. Nobody knows what terminals were told in between: all of it is reversed."""
    shared.resume()
    shared.bank_net.put(parse_rule("down delay mti=0210 ms=120"))
    await shared.sold(10)
    process = shared.bare.process
    assert process is not None
    for _ in range(50):
        # At the bank, and their answers still on the way: whoever looks may be late.
        await until(lambda: shared.accepted >= 3, what="requests in flight")
        process.send_signal(signal.SIGSTOP)
        if shared.accepted >= 3:
            break
        process.send_signal(signal.SIGCONT)
    last = max(record["lsn"] for record in shared.records())
    await until(lambda: shared.fleet.status()["in_flight"] > 5, what="sales under way")
    stands_s = 10.0 if WHOLE else 1.2
    began = shared.fleet.status()["unknown"]
    await asyncio.sleep(stands_s)
    process.send_signal(signal.SIGCONT)
    await shared.sold(10)
    await shared.rest()
    shared.agree()
    assert shared.fleet.status()["unknown"] > began, "terminals gave up meanwhile"
    accepted = {
        record["txn"]: record for record in shared.records() if record["kind"] == "ACCEPTED"
    }
    late = [
        record
        for record in shared.records(last)
        if record["kind"] == "ANSWERED"
        and record["at_ms"] - accepted[record["txn"]]["at_ms"] > DEADLINE_MS + TICK_MS
    ]
    assert late, "nothing was in flight when it stood still"
    told = {(record["end"], record.get("cause")) for record in late}
    assert (end.TIMEOUT, Cause.TIMEOUT) in told
    # What had not left for the bank when it stood still owes the bank nothing.
    assert told <= {(end.TIMEOUT, Cause.TIMEOUT), (end.EXPIRED, None)}
