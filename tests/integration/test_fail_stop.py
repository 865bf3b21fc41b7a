"""A journal that fails stops its process before anything unrecorded can leave; the next one goes
on."""

import asyncio
import resource

from tests.support.node import MakeNode
from tests.support.peer import Acquirer, Bank, purchase, until


async def test_nothing_leaves_after_a_failed_write_and_the_next_worker_serves(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    first = node.worker_pid
    # Every write to a file fails from now on (EFBIG), in the worker alone.
    resource.prlimit(first, resource.RLIMIT_FSIZE, (0, 0))
    asked = purchase()
    acquirer.send("0200", asked)
    await asyncio.wait_for(acquirer.ended.wait(), 10)
    assert len(acquirer.received) == 2, "an answer left without its record"
    assert len(bank.requests) == 1, "a request left without its record"

    await until(lambda: node.told().get("pid", first) != first, 15, "next worker")
    (restart,) = node.events("worker.restarting")
    assert restart["exit_code"] == 3
    again = await Acquirer.connect(node.acquirer)
    assert (await again.ask(asked, "0201")).get("response_code") == "00"
    assert await node.stop() == 0


async def test_second_worker_on_one_journal_is_refused_with_the_reason(
    make_node: MakeNode, bank: Bank
) -> None:
    node = await make_node([await bank.start()]).start()
    other = await asyncio.create_subprocess_exec(
        *node.command(), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    _, said = await asyncio.wait_for(other.communicate(), 20)
    assert other.returncode == 3
    assert b"TSW-S0101" in said
    assert b"a data directory of its own" in said
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert await node.stop() == 0
