"""Lines that are open for TCP and dead for payments: a relay that swallows bytes, a bank whose
process stands still, a bank that answers echoes and nothing else. Found in seconds, left alone when
it is only slow, and met without a storm when it flaps."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from switch.wire import Message
from tests.support.peer import ROOT, Acquirer, Bank, BankLink, purchase, until
from tests.support.rig import Rig, rig

QUICK = "suspect_ms = 300\nprobe_ms = 300\n"
SLOW_DEADLINE = "deadline_ms = 4000"
LINES_ALONE = "[issuers.circuit]\nfailed_share_max = 0\nunreachable_ms = 0\n"
"""The bank as a whole is not judged: its circuit would open before its lines go out."""


class Relay:
    """TCP in the middle; a connection that is told to swallow takes bytes and gives none on."""

    def __init__(self, host: str, port: int) -> None:
        self.to = (host, port)
        self.made = 0
        self.swallowing: set[int] = set()
        self.deaf_all = False
        self.standing: set[int] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.made = self.made, self.made + 1
        self.standing.add(number)
        there, out = await asyncio.open_connection(*self.to)
        self._writers += [writer, out]
        await asyncio.gather(self._pump(number, reader, out), self._pump(number, there, writer))
        self.standing.discard(number)

    async def _pump(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(65_536):
                if number not in self.swallowing and not self.deaf_all:
                    writer.write(data)
        except ConnectionError:
            pass
        writer.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0.01)


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.stop()


@pytest.fixture
async def relay(bank: Bank) -> AsyncIterator[Relay]:
    host, _, port = (await bank.start()).rpartition(":")
    relay = Relay(host, int(port))
    yield relay
    await relay.stop()


def health(node: Rig) -> list[str]:
    """Of BANK01's lines, in the order in which they came."""
    return [link.health_state for link in node.member("BANK01").connections.values()]


async def up(node: Rig, links: int = 2) -> Acquirer:
    await until(lambda: len(node.member("BANK01").ready) == links, what="the bank's links")
    return await Acquirer.connect(node.acquirer)


async def answered(acquirer: Acquirer, within_s: float = 30) -> str | None:
    return (await acquirer.ask(purchase(), within_s=within_s)).get("response_code")


async def test_half_open_line_is_found_in_seconds_and_the_other_carries_on(
    tmp_path: Path, relay: Relay
) -> None:
    """With the settings as they come: two seconds of silence, three for the probe."""
    at = await relay.start()
    async with rig(tmp_path, [at], deadline="deadline_ms = 2000") as node:
        acquirer = await up(node)
        relay.swallowing.add(0)
        began = time.monotonic()
        codes = []
        while node.driver.counts["link_taken_out"] == 0:
            codes.append(await answered(acquirer))
            await asyncio.sleep(0.05)
            assert time.monotonic() - began < 15
        took = time.monotonic() - began
        assert took > 4.5, "not for a moment of silence"
        assert "91" in codes
        assert sorted(health(node)) == ["good", "out"]
        # From now on nobody waits for it: each would have its 91.
        assert [await answered(acquirer) for _ in range(6)] == ["00"] * 6
        assert node.driver.counts["link_taken_out"] == 1


async def test_half_open_line_is_closed_and_its_successor_echoes_before_it_serves(
    tmp_path: Path, relay: Relay, bank: Bank
) -> None:
    at = await relay.start()
    async with rig(tmp_path, [at], bank=QUICK) as node:
        acquirer = await up(node)
        relay.swallowing.add(0)
        acquirer.send("0200", purchase())
        acquirer.send("0200", purchase())
        await until(lambda: node.driver.counts["link_taken_out"] == 1, what="taken out")
        bank.network.clear()
        await until(lambda: relay.made == 3, what="a new connection")
        await until(lambda: node.driver.counts["link_put_back"] == 1, what="back")
        asked = [message.get("network_code") for message in bank.network]
        assert asked.count("001") == 1
        assert asked.count("301") >= 3
        assert sorted(health(node)) == ["good", "trial"]


async def test_bank_whose_process_stands_still_is_given_up_on_and_taken_back(
    tmp_path: Path,
) -> None:
    script = (
        "import asyncio\nfrom tests.support.peer import Bank\n"
        "async def main():\n    print(await Bank().start(), flush=True)\n"
        "    await asyncio.Event().wait()\nasyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        at = (await process.stdout.readline()).decode().strip()
        async with rig(tmp_path, [at], bank=QUICK, deadline=SLOW_DEADLINE) as node:
            acquirer = await up(node)
            process.send_signal(signal.SIGSTOP)
            for _ in range(4):
                acquirer.send("0200", purchase())
            await until(lambda: not node.member("BANK01").ready, what="taken out")
            began = time.monotonic()
            second = await Acquirer.connect(node.acquirer)
            assert await answered(second) == "91"
            assert time.monotonic() - began < 3, "declined at once, not at the deadline"
            process.send_signal(signal.SIGCONT)
            await until(lambda: bool(node.member("BANK01").ready), what="taken back")
            assert await answered(second) == "00"
    finally:
        process.kill()
        await process.wait()


async def test_bank_that_echoes_and_answers_no_request_is_taken_out_and_tried_with_few(
    tmp_path: Path, bank: Bank
) -> None:
    bank.silent = True
    more = QUICK + "health_pause_max_ms = 1000\n" + LINES_ALONE
    async with rig(tmp_path, [await bank.start()], bank=more, deadline="deadline_ms = 300") as node:
        acquirer = await up(node)

        asked = 0

        async def ask_on() -> None:
            nonlocal asked
            while True:
                acquirer.send("0200", purchase())
                asked += 1
                await asyncio.sleep(0.005)

        asking = asyncio.ensure_future(ask_on())
        await until(lambda: not node.member("BANK01").ready, what="taken out")
        assert {link.health.why for link in node.member("BANK01").connections.values()} == {
            "unanswered"
        }
        assert len(bank.links) == 2, "its connections stay"
        reached, before = len(bank.requests), asked
        await until(lambda: node.driver.counts["link_put_back"] >= 2, what="on trial")
        await until(lambda: node.driver.counts["link_taken_out"] >= 4, what="taken out again")
        tried = len(bank.requests) - reached
        assert tried < (asked - before) / 3, "a trial is not the whole load"
        bank.silent = False
        await until(lambda: health(node) == ["good", "good"], what="good again")
        asking.cancel()


async def test_slow_bank_is_never_taken_out(tmp_path: Path, bank: Bank) -> None:
    """It takes five times as long as a line may be silent, and answers everything in time."""

    def slowly(link: BankLink, message: Message) -> None:
        asyncio.get_running_loop().call_later(1.5, bank.reply, link, message)

    bank.on_request = slowly
    async with rig(tmp_path, [await bank.start()], bank=QUICK, deadline=SLOW_DEADLINE) as node:
        acquirer = await up(node)
        began = time.monotonic()
        codes = [await answered(acquirer) for _ in range(4)]
        took_s = time.monotonic() - began
        assert codes == ["00"] * 4
        assert node.driver.counts["link_taken_out"] == 0
        echoes = [m for m in bank.network if m.get("network_code") == "301"]
        assert 2 <= len(echoes) <= 2 * took_s + 2, "one a second on each of two lines"


async def test_flapping_line_makes_no_storm(tmp_path: Path, relay: Relay, bank: Bank) -> None:
    """Deaf for a while, alive for a while, again and again, under load."""
    at = await relay.start()
    async with rig(tmp_path, [at], bank=QUICK) as node:
        acquirer = await up(node)

        async def ask_on() -> None:
            while True:
                acquirer.send("0200", purchase())
                await asyncio.sleep(0.01)

        asking = asyncio.ensure_future(ask_on())
        bank.network.clear()
        made = relay.made
        began = time.monotonic()
        for _ in range(6):
            relay.deaf_all = not relay.deaf_all
            await asyncio.sleep(1.2)
        asking.cancel()
        relay.deaf_all = False
        seconds = time.monotonic() - began
        asked: dict[str, int] = {}
        for message in bank.network:
            code: Any = message.get("network_code")
            asked[code] = asked.get(code, 0) + 1
        assert node.driver.counts["link_taken_out"] >= 2
        assert relay.made - made <= 1.2 * seconds
        assert asked.get("001", 0) <= 1.2 * seconds
        assert asked.get("301", 0) <= 2 * 2 * seconds * 1.5, "two lines, two echoes a second each"
