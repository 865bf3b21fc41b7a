"""Many seeds in processes of their own; one seed twice; failing ones made small."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, Final, Self

import msgspec

from switch.simulation.oracles import Broken
from switch.simulation.plan import Aim, Plan, draw
from switch.simulation.world import Outcome

__all__ = ["Case", "Pool", "Result", "plan_of"]

SEED_S: Final = 60
"""Real seconds for one seed: a hang is a failure."""
HASH_SEED: Final = "0"
QUEUE_AHEAD: Final = 4


class Case(msgspec.Struct, frozen=True):
    """What names a run: the seed, and what was taken away from its world."""

    seed: int
    transactions: int = 340
    without: tuple[str, ...] = ()
    """Faults that do not happen; ``aim:0`` is the first aimed cut."""
    mutant: str = ""

    def words(self) -> str:
        """The options of `tapswitch simulate` that replay it."""
        words = [f"--seed {self.seed}"]
        if self.transactions != Case(0).transactions:
            words.append(f"--transactions {self.transactions}")
        words += [f"--without {name}" for name in self.without]
        if self.mutant:
            words.append(f"--mutant {self.mutant}")
        return " ".join(words)


class Result(msgspec.Struct, frozen=True):
    """A case and what came of it."""

    case: Case
    outcome: Outcome
    history: list[str] = []


def plan_of(case: Case) -> Plan:
    """The plan that a case names."""
    from switch.native import hook

    plan = draw(case.seed, case.transactions, tuple(point for point, _ in hook.points()))
    faults = {name: share for name, share in plan.faults.items() if name not in case.without}
    aims: tuple[Aim, ...] = tuple(
        aim for place, aim in enumerate(plan.aims) if f"aim:{place}" not in case.without
    )
    return plan.without(faults=faults, aims=aims, mutant=case.mutant)


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
                waiting.add(self._pool.submit(_run, case, False))
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for one in sorted(done, key=lambda future: future.result().case.seed):
                yield one.result()

    def one(self, case: Case, *, trace: bool = False) -> Result:
        """One case; with `trace` its process prints what happens."""
        return self._pool.submit(_run, case, trace).result()

    def shrink(self, result: Result, runs: int = 60) -> Result:
        """The smallest case found in so many runs that breaks the same rule: fewer transactions,
        then fault kinds and aims off one by one."""
        rule = result.outcome.broken[0].rule
        best = result

        def breaks(case: Case) -> Result | None:
            nonlocal runs
            runs -= 1
            found = self.one(case)
            same = any(one.rule == rule for one in found.outcome.broken)
            return found if same else None

        while runs > 0:
            smaller = next(
                (
                    found
                    for share in (0.5, 0.75, 0.9)
                    if runs > 0
                    and (wanted := int(best.case.transactions * share)) > 0
                    and (found := breaks(replaced(best.case, transactions=wanted)))
                ),
                None,
            )
            if smaller is None:
                break
            best = smaller
        plan = plan_of(best.case)
        names = [*plan.faults, *(f"aim:{place}" for place in range(len(plan.aims)))]
        for name in names:
            if runs <= 0 or name in best.case.without:
                continue
            found = breaks(replaced(best.case, without=(*best.case.without, name)))
            best = found or best
        return best


def replaced(case: Case, **changes: Any) -> Case:
    """A case with changes."""
    return msgspec.structs.replace(case, **changes)


def added(totals: Counter[str], outcomes: Sequence[Outcome]) -> Counter[str]:
    """Counts of runs, together."""
    for outcome in outcomes:
        totals.update(outcome.counts)
    return totals


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


def _run(case: Case, trace: bool) -> Result:
    from switch.simulation.history import history
    from switch.simulation.world import World, run

    worlds: list[World] = []
    say: Callable[[str], None] | None = _say if trace else None
    signal.signal(signal.SIGALRM, _hung)
    signal.alarm(SEED_S)
    try:
        outcome = run(plan_of(case), say, worlds.append)
    except _HungError:
        broken = [Broken("hang", f"no end within {SEED_S} s")]
        outcome = Outcome(case.seed, "", 0, case.transactions, 0, 0, 0, broken, {})
    finally:
        signal.alarm(0)
    lines = history(worlds[0], outcome.broken) if worlds and outcome.broken else []
    return Result(case, outcome, lines)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what --trace is for
