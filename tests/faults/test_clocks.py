"""The wall clock of a real node is set forward and back, and carried over the turns of the
calendar: no deadline moves, no duplicate is lost, nothing happens twice, no number comes again
(rows 42 to 45).

libfaketime stands between the node and the kernel's wall clock; the monotonic one is left alone, as
an operator or a time server would leave it.
"""

import asyncio
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from switch.constants import STAN_MAX
from tests.support.debian import debian_tool
from tests.support.node import Node
from tests.support.peer import Acquirer, Bank, Peer, purchase, until
from tests.support.tree import ROOT

DEADLINE_S = 2.0
"""So long that a busy machine answers within it, and so short beside an hour that a deadline which
went along with the clock would be seen."""
LATE_S = 10.0
"""A busy machine may notice a deadline so much later."""
HOUR_S = 3_600
GAUGES_S = 2.0
"""Longer than counters may be behind."""
COUNTED = re.compile(r"tapswitch_(terminations|shed|notes)_total\{.*\} (?!0(\.0)?$)")
"""Those that say why something was refused, and are not zero."""
TURNS = [
    "2027-02-28T23:59:58",
    "2027-10-31T00:59:58",  # Berlin's hour comes twice.
    "2027-12-31T23:59:58",
    "2028-02-29T23:59:58",
    "2028-03-26T00:59:58",  # Berlin's hour is left out.
]


class Clock:
    """The node's wall clock, by how much it differs from ours."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.offset_s = 0.0
        self.set(0)

    def set(self, offset_s: float) -> None:
        self.offset_s = offset_s
        # Replaced as a whole: it is read at any moment.
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{offset_s:+.3f}\n", encoding="ascii")
        fresh.replace(self.file)

    def at(self, text: str) -> None:
        """It is now that instant, UTC."""
        wanted = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        self.set(wanted - time.time())

    def stamp(self) -> str:
        """Field 7 as the node would write it."""
        return time.strftime("%m%d%H%M%S", time.gmtime(time.time() + self.offset_s))


class Shifted(Node):
    """A node that takes its wall clock from a `Clock`."""

    clock: Clock
    library: str

    def command(self) -> list[str]:
        told = {
            "LD_PRELOAD": self.library,
            "FAKETIME_TIMESTAMP_FILE": str(self.clock.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        return ["env", *(f"{key}={value}" for key, value in told.items()), *super().command()]


def faketime() -> str:
    """The library beside the tool."""
    tool = Path(debian_tool("faketime", "faketime", "libfaketime"))
    return str(next((tool.parents[1] / "lib").rglob("libfaketime.so.1")))


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    yield bank
    await bank.stop()


@pytest.fixture
async def node(tmp_path: Path, bank: Bank) -> AsyncIterator[Shifted]:
    directory = tmp_path / "node"
    directory.mkdir()
    made = Shifted(
        directory, [await bank.start()], deadline=f"deadline_ms = {DEADLINE_S * 1000:.0f}"
    )
    settings = directory / "switch.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('"UTC"', '"Europe/Berlin"'), encoding="utf-8")
    made.clock, made.library = Clock(tmp_path / "clock"), faketime()
    try:
        await made.start()
        await lines_stand(made, 2)
        yield made
        assert await made.stop() == 0
        verified = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "switch", "journal", "verify", str(directory)],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
    finally:
        for peer in list(Peer.open_peers):
            peer.abort()
        await made.end()
        print(made.text()[-6_000:])  # noqa: T201 - shown when the test fails


async def lines_stand(node: Node, opened: int) -> None:
    """A worker is ready before its bank is: who sells at once may be told 91."""
    await until(lambda: node.opened("BANK01") >= opened, what="the bank's links")


async def sells(node: Node, acquirer: Acquirer) -> None:
    """Also right after a start, on a busy machine: whatever holds the worker up, a quiet acquirer's
    request waits for it and is not refused. Where it is, the worker's counters say by what."""
    code = (await acquirer.ask(purchase())).get("response_code")
    if code != "00":
        address = await node.metrics()
        await asyncio.sleep(GAUGES_S)
        text = await asyncio.to_thread(scraped, address)
        counted = [line for line in text.splitlines() if COUNTED.match(line)]
        raise AssertionError((code, counted))


def scraped(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        return str(answer.read().decode())


def numbers(bank: Bank) -> Iterator[tuple[str, str]]:
    """(STAN, transmission time) of everything that reached the bank, a repeat counted once."""
    reversals = {(m.get("stan"), m.get("transmission_time")) for m in bank.reversals}
    for message in (*bank.requests, *bank.network):
        yield str(message.get("stan")), str(message.get("transmission_time"))
    for stan, stamp in reversals:
        yield str(stan), str(stamp)


def no_number_twice(bank: Bank) -> None:
    found = list(numbers(bank))
    assert len(found) == len(set(found))
    assert all(1 <= int(stan) <= STAN_MAX for stan, _ in found)


async def test_steps_of_an_hour_move_no_deadline_and_lose_no_duplicate(
    node: Shifted, bank: Bank
) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    first = purchase()
    assert (await acquirer.ask(first)).get("response_code") == "00"

    async def unanswered(step_s: float) -> None:
        """A bank that says nothing; the clock is set while everybody waits."""
        bank.silent = True
        began = time.monotonic()
        acquirer.send("0200", purchase(transmission_time=node.clock.stamp()))
        await asyncio.sleep(DEADLINE_S / 3)
        node.clock.set(step_s)
        answer = await acquirer.next()
        took_s = time.monotonic() - began
        bank.silent = False
        assert answer.get("response_code") == "91"
        assert DEADLINE_S - 0.05 < took_s < DEADLINE_S + LATE_S

    async def stored() -> None:
        before = len(bank.requests)
        assert (await acquirer.ask(first)).get("auth_code") == "A00001"
        assert len(bank.requests) == before, "the bank sees it once"

    furthest_s = 0
    for number, step_s in enumerate((HOUR_S, -HOUR_S, 0, 2 * HOUR_S), 1):
        await unanswered(step_s)
        await reversed_so_far(bank, number)
        await stored()
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        # The step was taken: field 7 goes along where it is forward, and stands where it is back.
        furthest_s = max(furthest_s, step_s)
        shown = str(bank.requests[-1].get("transmission_time"))
        ahead_s = _after(shown, time.strftime("%m%d%H%M%S", time.gmtime()))
        assert abs(ahead_s - furthest_s) < HOUR_S / 2, (step_s, shown)
    # Set back, and then killed: the next worker's clock is two hours behind its journal.
    node.clock.set(0)
    opened = node.opened("BANK01")
    await node.kill_worker()
    await lines_stand(node, opened + 2)
    acquirer = await Acquirer.connect(node.acquirer)
    await stored()
    for _ in range(5):
        await sells(node, acquirer)
    await asyncio.sleep(0.5)
    assert len(keys(bank)) == 4, "what was settled is not reversed again"
    no_number_twice(bank)


def _after(later: str, earlier: str) -> float:
    """Seconds between two field 7s of about the same day of the same year, or of its turn."""
    there, here = (
        datetime.strptime(f"2028{text}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        for text in (later, earlier)
    )
    apart_s = (there - here).total_seconds()
    return apart_s if apart_s > -180 * 86_400 else apart_s + 366 * 86_400


async def reversed_so_far(bank: Bank, count: int) -> None:
    await until(lambda: len(keys(bank)) == count, what="one reversal each")


def keys(bank: Bank) -> set[tuple[str, str]]:
    return {(str(m.get("stan")), str(m.get("transmission_time"))) for m in bank.reversals}


async def test_turns_of_the_calendar_lose_no_duplicate_and_no_tombstone(
    node: Shifted, bank: Bank
) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    kept = []
    for turn in TURNS:
        node.clock.at(turn)
        before = purchase(transmission_time=node.clock.stamp())
        undone = purchase(transmission_time=node.clock.stamp())
        late = purchase(transmission_time=node.clock.stamp())
        assert (await acquirer.ask(before)).get("response_code") == "00", turn
        assert (await acquirer.ask(undone)).get("response_code") == "00"
        assert (await acquirer.ask(acquirer.reversal_of(late), "0420")).mti == "0430"
        kept.append((before, late))
        came = node.clock.stamp()
        await asyncio.sleep(2.2)
        assert node.clock.stamp()[:6] != came[:6], "it has turned"
        asked = len(bank.requests)
        assert (await acquirer.ask(before)).get("auth_code") == "A00001", turn
        assert (await acquirer.ask(acquirer.reversal_of(undone), "0420")).mti == "0430"
        assert (await acquirer.ask(late)).get("response_code") != "00", "its reversal came first"
        assert len(bank.requests) == asked
    await until(lambda: len(keys(bank)) == len(TURNS), what="a reversal a turn")
    await node.kill_worker()
    acquirer = await Acquirer.connect(node.acquirer)
    asked = len(bank.requests)
    for before, late in kept[-3:]:
        # Less than half a year old: still the same year to whoever reads it.
        assert (await acquirer.ask(before)).get("auth_code") == "A00001"
        assert (await acquirer.ask(late)).get("response_code") != "00"
    assert len(bank.requests) == asked
    assert len(keys(bank)) == len(TURNS)
    no_number_twice(bank)


async def test_the_node_does_live_by_the_clock_that_is_set(node: Shifted, bank: Bank) -> None:
    """Else the tests above would show nothing: field 7 towards the bank is the set clock's."""
    acquirer = await Acquirer.connect(node.acquirer)
    node.clock.at("2031-07-01T12:00:30")
    assert (await acquirer.ask(purchase())).get("response_code") == "00"
    assert str(bank.requests[-1].get("transmission_time")).startswith("07011200")
