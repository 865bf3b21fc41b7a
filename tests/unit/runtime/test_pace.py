"""Hand-shakes begin in turns, and as often as what they cost allows. In virtual time."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from switch.runtime import pace
from switch.runtime.pace import AROUND, DEBT_NS_MAX, GAP_NS, STEP_NS_MAX, Pace
from switch.simulation.loop import VirtualLoop

MS = 1_000_000
SECOND = 1_000_000_000


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualLoop]:
    raised: list[Any] = []
    made = VirtualLoop(SECOND, lambda _: None, raised.append)
    monkeypatch.setattr(pace, "monotonic_ns", lambda: made.now_ns)
    yield made
    made.close()
    assert raised == []


class Fleet:
    """A member whose queue is never empty; each hand-shake costs `cost_ns`."""

    def __init__(self, paced: Pace, cost_ns: int = 0, links: int = 1 << 30) -> None:
        self.paced, self.cost_ns, self.left = paced, cost_ns, links
        self.begun = 0
        paced.ask(self.begin)

    def begin(self) -> bool:
        if not self.left:
            return False
        self.left -= 1
        self.begun += 1
        self.paced.ask(self.begin)
        if self.cost_ns:
            self.paced.spent(self.cost_ns)
        return True


def run(loop: VirtualLoop, story: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(story)


@pytest.mark.parametrize("share", [1, 10, 20, 80])
@pytest.mark.parametrize("cost_ns", [MS // 2, MS, 5 * MS])
def test_share_of_time_is_kept_whatever_one_costs(
    loop: VirtualLoop, share: int, cost_ns: int
) -> None:
    async def story() -> None:
        fleet = Fleet(Pace(share), cost_ns)
        await asyncio.sleep(20)
        wanted = min(20 * SECOND * share / 100 / (cost_ns * AROUND), 20 * SECOND / GAP_NS)
        assert wanted * 0.9 - 1 <= fleet.begun <= wanted * 1.02 + 5

    run(loop, story())


def test_what_costs_nothing_yet_begins_one_by_one(loop: VirtualLoop) -> None:
    """Peers that are far away, or say nothing."""

    async def story() -> None:
        fleet = Fleet(Pace(20))
        await asyncio.sleep(1)
        assert fleet.begun <= SECOND // GAP_NS + 6

    run(loop, story())


def test_members_take_turns(loop: VirtualLoop) -> None:
    """A thousand links of one keep the single link of another waiting for one hand-shake."""

    async def story() -> None:
        paced = Pace(20)
        storm = [Fleet(paced, MS), Fleet(paced, MS)]
        await asyncio.sleep(5)
        before = sum(fleet.begun for fleet in storm)
        await paced.turn()
        assert sum(fleet.begun for fleet in storm) - before <= 3
        assert abs(storm[0].begun - storm[1].begun) <= 1

    run(loop, story())


def test_turn_that_nobody_waits_for_any_more_is_nobodys(loop: VirtualLoop) -> None:
    async def story() -> None:
        paced = Pace(20)
        paced.spent(MS)
        turns = [asyncio.ensure_future(paced.turn()) for _ in range(100)]
        await asyncio.sleep(0)
        for turn in turns:
            turn.cancel()
        began_ns = loop.now_ns
        await paced.turn()
        assert loop.now_ns - began_ns <= MS * AROUND * 5

    run(loop, story())


def test_debt_is_bounded(loop: VirtualLoop) -> None:
    """A standstill, or hundreds of peers that answer in the same moment."""

    async def story() -> None:
        paced = Pace(1)
        for _ in range(10_000):
            paced.spent(60 * SECOND)
        began_ns = loop.now_ns
        await paced.turn()
        assert loop.now_ns - began_ns <= DEBT_NS_MAX + MS
        # One step of a process that stood still costs the next no more than this.
        paced = Pace(20)
        paced.spent(60 * SECOND)
        began_ns = loop.now_ns
        await paced.turn()
        assert loop.now_ns - began_ns <= STEP_NS_MAX * AROUND * 5

    run(loop, story())


def test_quiet_time_is_no_credit_for_a_burst(loop: VirtualLoop) -> None:
    async def story() -> None:
        paced = Pace(20)
        await asyncio.sleep(3_600)
        fleet = Fleet(paced, MS)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        assert fleet.begun <= 3

    run(loop, story())


def test_share_may_change_at_any_time(loop: VirtualLoop) -> None:
    async def story() -> None:
        paced = Pace(10)
        fleet, counted = Fleet(paced, MS), Counter[int]()
        for share in (10, 40):
            paced.share_max = share
            before = fleet.begun
            await asyncio.sleep(10)
            counted[share] = fleet.begun - before
        assert 3.6 <= counted[40] / counted[10] <= 4.4

    run(loop, story())
