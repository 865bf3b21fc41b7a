"""Many seeds in processes of their own; one seed twice; what comes of each."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, Final, Self

import msgspec

from switch.simulation.case import Case, plan_of
from switch.simulation.oracles import Broken
from switch.simulation.plan import Plan
from switch.simulation.trace import Event, Trace
from switch.simulation.world import Outcome

__all__ = ["SEED_S", "Case", "Pool", "Result"]

SEED_S: Final = 60.0
"""Real seconds for one seed: a hang is a failure."""
HASH_SEED: Final = "0"
QUEUE_AHEAD: Final = 4


class Result(msgspec.Struct, frozen=True):
    """A case and what came of it."""

    case: Case
    outcome: Outcome
    history: list[str] = []
    """Of the transactions that rules name, from all three ledgers."""
    plan: Plan | None = None
    """Where a rule was broken, or the events were asked for: its world, with everything told that
    was drawn."""
    suspects: tuple[int, ...] = ()
    """Numbers of the transactions that rules name."""
    events: list[Event] = []
    """All that happened, when it was asked for."""


class Pool:
    """Processes that run cases; each is made anew with a fixed hash seed and quiet logs."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        before = os.environ.get("PYTHONHASHSEED")
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        try:
            self._pool = ProcessPoolExecutor(
                jobs, multiprocessing.get_context("spawn"), initializer=_prepare
            )
            # The processes are started by what is submitted first, under this environment.
            for one in [self._pool.submit(os.getpid) for _ in range(jobs)]:
                one.result()
        finally:
            if before is None:
                del os.environ["PYTHONHASHSEED"]
            else:
                os.environ["PYTHONHASHSEED"] = before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def each(self, cases: Iterable[Case]) -> Iterator[Result]:
        """Results as they come, of as many cases as there are."""
        waiting: set[Future[Result]] = set()
        todo = iter(cases)
        more = True
        while more or waiting:
            while more and len(waiting) < self._jobs * QUEUE_AHEAD:
                case = next(todo, None)
                if case is None:
                    more = False
                    break
                waiting.add(self._pool.submit(_run, case, False, SEED_S))
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for one in sorted(done, key=lambda future: future.result().case.seed):
                yield one.result()

    def one(self, case: Case, *, trace: bool = False) -> Result:
        """One case; with `trace` all its events come with it."""
        return self._pool.submit(_run, case, trace, SEED_S).result()

    def many(self, cases: Iterable[Case], seconds: float) -> list[Result]:
        """As many cases as there are processes, side by side; none may take longer than that."""
        running = [self._pool.submit(_run, case, False, seconds) for case in cases]
        return [one.result() for one in running]

    @property
    def jobs(self) -> int:
        """How many processes there are."""
        return self._jobs


# -- in the process of a pool ---------------------------------------------------------------------


def _prepare() -> None:
    import logging

    import structlog

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=True,
    )


class _HungError(BaseException):
    pass


def _hung(_number: int, _frame: Any) -> None:
    raise _HungError


def _run(case: Case, trace: bool, seconds: float) -> Result:
    from switch.simulation.history import history, suspects
    from switch.simulation.world import World, run

    worlds: list[World] = []
    told = Trace() if trace else None
    signal.signal(signal.SIGALRM, _hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        outcome = run(plan_of(case), told, worlds.append)
    except _HungError:
        broken = [Broken("hang", f"no end within {seconds:g} s")]
        outcome = Outcome(case.seed, "", 0, case.transactions, 0, 0, 0, broken, {})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    events = told.events if told is not None else []
    if not outcome.broken or not worlds:
        plan = worlds[0].explicit() if trace and worlds else None
        return Result(case, outcome, plan=plan, events=events)
    world = worlds[0]
    lines: list[str] = []
    numbers: tuple[int, ...] = ()
    with contextlib.suppress(_HungError):
        lines, numbers = history(world, outcome.broken), suspects(world, outcome.broken)
    return Result(case, outcome, lines, world.explicit(), numbers, events)
