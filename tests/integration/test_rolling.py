"""A worker is replaced under load, by order: nobody who connects is refused, every request gets one
answer, the bank sees each once. A next worker that cannot start ends nobody. A worker that dies
leaves its listeners to the next one."""

import asyncio
import itertools
import os
import signal
import socket
import sys
import time

import pytest

from switch.wire import Message
from tests.support.node import MakeNode, Node
from tests.support.peer import ROOT, Acquirer, Bank, BankLink, purchase, until

LINKS = 6
BANK_S = 0.03


@pytest.fixture
async def node(make_node: MakeNode, bank: Bank) -> Node:
    def slowly(link: BankLink, message: Message) -> None:
        asyncio.get_running_loop().call_later(BANK_S, bank.reply, link, message)

    bank.on_request = slowly
    return await make_node([await bank.start()], deadline="deadline_ms = 2000").start()


async def order(node: Node, *words: str) -> tuple[int, str]:
    """`tapswitch restart`: exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "switch", "restart", "--config", str(node.directory), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode or 0, said.decode()


class Till:
    """Sells one thing after the other on a connection of its own; what got no answer is repeated
    on the next connection, under the repeat MTI, until there is one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: dict[str, list[str]] = {}
        self.at: list[float] = []
        self.repeated = 0
        self.refused = 0
        self.stopping = False

    async def work(self) -> None:
        link = await self._connect()
        while not self.stopping:
            asked = purchase()
            stan = str(asked["stan"])
            self.answers[stan] = []
            mti = "0200"
            while not self.answers[stan]:
                try:
                    answer = await link.ask(asked, mti)
                except ConnectionError:
                    self.repeated += 1
                    mti = "0201"
                    link = await self._connect()
                    continue
                assert answer.get("stan") == stan
                self.answers[stan].append(answer.get("response_code") or "")
                self.at.append(time.monotonic())
        await link.close()

    async def _connect(self) -> Acquirer:
        while True:
            try:
                return await Acquirer.connect(self.address)
            except ConnectionRefusedError:
                self.refused += 1
                await asyncio.sleep(0.01)
            except ConnectionError:
                # Accepted by the one that was just ending: the queue's next one takes us.
                await asyncio.sleep(0.001)


async def sold(tills: list[Till], count: int) -> None:
    have = sum(len(till.at) for till in tills)
    await until(lambda: sum(len(till.at) for till in tills) >= have + count, 20, "sales")


async def test_workers_are_replaced_under_load_and_nothing_is_lost_doubled_or_refused(
    node: Node, bank: Bank
) -> None:
    tills = [Till(node.acquirer) for _ in range(LINKS)]
    work = [asyncio.ensure_future(till.work()) for till in tills]
    pids = [node.worker_pid]
    for _ in range(3):
        await sold(tills, 100)
        code, said = await order(node, "--wait", "--reason", "a drill")
        assert code == 0, said
        assert f"worker {pids[-1]} makes way" in said
        pids.append(node.worker_pid)
    await sold(tills, 100)
    for till in tills:
        till.stopping = True
    await asyncio.wait_for(asyncio.gather(*work), 10)

    assert len(set(pids)) == 4
    asked = [stan for till in tills for stan in till.answers]
    assert [codes for till in tills for codes in till.answers.values()] == [["00"]] * len(asked)
    seen = [message.get("rrn") for message in bank.requests]
    assert len(seen) == len(set(seen)) == len(asked), "lost or doubled at the bank"
    assert bank.reversals == []
    assert sum(till.refused for till in tills) == 0, "a connection was refused"
    moments = sorted(at for till in tills for at in till.at)
    gaps = sorted((b - a for a, b in itertools.pairwise(moments)), reverse=True)
    sys.stdout.write(f"{len(asked)} sales, gaps {[round(gap * 1000) for gap in gaps[:3]]} ms\n")
    assert gaps[0] < 5
    assert len(node.events("worker.replaced")) == 3
    assert not node.events("worker.restarting")
    assert all(not event["in_doubt"] for event in node.events("journal.recovered"))
    assert await node.stop() == 0


async def test_a_next_worker_that_cannot_start_leaves_everything_as_it_is(
    node: Node, bank: Bank
) -> None:
    before = node.worker_pid
    (key,) = node.directory.rglob("switch.keys")
    kept = key.read_bytes()
    key.write_bytes(b"not a key file")
    code, said = await order(node)
    assert code == 5, said
    assert "the worker stays: the next one ended with exit code 3" in said
    assert node.worker_pid == before
    acquirer = await Acquirer.connect(node.acquirer)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    key.write_bytes(kept)
    assert (await order(node, "--wait"))[0] == 0
    assert node.worker_pid != before
    assert await node.stop() == 0


async def test_who_connects_while_a_dead_worker_is_replaced_waits_and_is_served(
    node: Node, bank: Bank
) -> None:
    address = node.acquirer
    os.kill(node.worker_pid, signal.SIGKILL)
    # At once: no worker runs now.
    acquirer = await Acquirer.connect(address)
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert node.acquirer == address
    await node.stop()
    host, _, port = address.rpartition(":")
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect((host, int(port)))
