"""One timer for everything: its periods, its survival, its end."""

import asyncio
import time
from typing import Any

from switch.runtime.timers import GAUGES_EVERY, LINKS_EVERY, TICK_S, Timers


def _nothing() -> None:
    """A function that the timer calls for nothing."""


async def test_calls_deadlines_every_tick_and_the_rest_less_often() -> None:
    lags: list[int] = []
    counts = {"tick": 0, "links": 0, "gauges": 0}

    def count(what: str) -> None:
        counts[what] += 1

    timers = Timers(
        asyncio.get_running_loop(),
        lambda: count("tick"),
        lambda: count("links"),
        lambda: count("gauges"),
        lags.append,
    )
    timers.start()
    await asyncio.sleep(TICK_S * (2 * LINKS_EVERY + 1.5))
    timers.stop()
    assert len(lags) == counts["tick"]
    assert all(lag >= 0 for lag in lags)
    assert 2 * LINKS_EVERY <= counts["tick"] <= 2 * LINKS_EVERY + 1
    assert counts["links"] == counts["tick"] // LINKS_EVERY
    assert counts["gauges"] == counts["tick"] // GAUGES_EVERY


async def test_stop_is_final() -> None:
    ticks: list[int] = []
    timers = Timers(
        asyncio.get_running_loop(), lambda: ticks.append(1), _nothing, _nothing, lambda _lag: None
    )
    timers.start()
    timers.stop()
    await asyncio.sleep(3 * TICK_S)
    assert ticks == []


async def test_tells_how_late_it_ran() -> None:
    lags: list[int] = []
    timers = Timers(asyncio.get_running_loop(), _nothing, _nothing, _nothing, lags.append)
    timers.start()
    time.sleep(4 * TICK_S)  # noqa: ASYNC251  # the loop is meant to stand still
    await asyncio.sleep(0.01)
    timers.stop()
    assert len(lags) == 1
    assert lags[0] >= 2.5 * TICK_S * 1e6


async def test_lives_on_when_a_function_raises() -> None:
    loop = asyncio.get_running_loop()
    seen: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: seen.append(context))

    def raises() -> None:
        raise RuntimeError("a tick went wrong")

    timers = Timers(loop, raises, _nothing, _nothing, lambda _lag: None)
    timers.start()
    await asyncio.sleep(TICK_S * 3.5)
    timers.stop()
    assert len(seen) >= 2
    assert {type(context["exception"]) for context in seen} == {RuntimeError}
