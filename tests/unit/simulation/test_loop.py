"""Virtual time: it jumps, keeps its order, and forgets the dead."""

import asyncio
import contextvars
from typing import Any

import pytest

from switch.simulation.loop import LIFE, DeadlockError, EndlessError, Life, VirtualLoop

START_NS = 1_000_000_000_000


def made(
    raised: list[dict[str, Any]] | None = None, moments: list[int] | None = None
) -> VirtualLoop:
    told = raised if raised is not None else []
    return VirtualLoop(START_NS, (moments if moments is not None else []).append, told.append)


def test_time_jumps_to_the_next_timer() -> None:
    moments: list[int] = []
    loop = made(moments=moments)

    async def wait() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert loop.run_until_complete(wait()) == START_NS / 1e9 + 3600
    assert moments == [START_NS + 3600 * 10**9]
    loop.close()


def test_timers_of_one_instant_run_in_the_order_in_which_they_were_made() -> None:
    loop = made()
    ran: list[int] = []
    for number in range(200):
        loop.call_at(2000.0, ran.append, number)
    loop.call_at(2000.5, loop.stop)
    loop.run_forever()
    assert ran == list(range(200))
    loop.close()


def test_a_loop_with_nothing_to_wait_for_is_a_deadlock() -> None:
    loop = made()

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(wait_for_ever())
    with pytest.raises(DeadlockError):
        loop.run_forever()
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()


def test_what_a_callback_raises_is_told() -> None:
    raised: list[dict[str, Any]] = []
    loop = made(raised)

    def bad() -> None:
        raise ValueError

    loop.call_soon(bad)
    loop.call_later(1, loop.stop)
    loop.run_forever()
    assert [type(context["exception"]) for context in raised] == [ValueError]
    loop.close()


def test_nothing_that_a_dead_process_scheduled_runs() -> None:
    loop = made()
    ran: list[str] = []
    life = Life("w0")

    def born() -> None:
        LIFE.set(life)
        loop.call_later(1, ran.append, "timer")
        loop.create_task(step())

    async def step() -> None:
        ran.append("step")
        await asyncio.sleep(1)
        ran.append("after")

    loop.call_soon(born, context=contextvars.copy_context())
    loop.call_later(0.5, setattr, life, "ended", True)
    loop.call_later(2, loop.stop)
    loop.run_forever()
    assert ran == ["step"]
    assert loop.dropped == 2
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()


def test_a_run_without_end_is_ended() -> None:
    loop = made()
    loop.turns_max = 100

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(EndlessError):
        loop.run_forever()
    loop.close()
