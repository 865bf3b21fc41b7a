"""The two runs: the floors alone, and the switch beside them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from switch.apps.bench import report as reporting
from switch.apps.bench import systems
from switch.apps.bench.costs import NEEDED_S, Cost, costs
from switch.apps.bench.measure import Bench, Row, rows
from switch.apps.bench.memory import TokenCost, token_cost
from switch.apps.bench.plan import PLAIN, PLAIN_SHAPE, REQUIRED, REQUIRED_TAPS, Plan
from switch.apps.bench.report import Report
from switch.apps.bench.restart import Restart, measure_restart
from switch.apps.bench.wallet import prepare
from switch.apps.load import environment as env
from switch.errors import OperatorError
from switch.native import load

__all__ = ["Say", "run_floor", "run_restart", "run_switch", "run_tokens", "scratch"]

IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
"""File systems without a disk: a journal there would measure nothing."""

Say = Callable[[str], None]


def run_floor(plan: Plan, data_dir: Path | None, say: Say) -> Report:
    """The relay and the durable relay. Raises: OperatorError, UnreachableError."""
    return _run("floor", plan, data_dir, say, with_switch=False)


def run_switch(plan: Plan, data_dir: Path | None, say: Say) -> Report:
    """The switch beside both floors. Raises: OperatorError, UnreachableError."""
    return _run("run", plan, data_dir, say, with_switch=True)


def run_tokens(plan: Plan, data_dir: Path | None, say: Say) -> TokenCost:
    """What so many tokens cost a node. Raises: OperatorError, UnreachableError."""
    wallet = prepare(plan.tokens, say)
    with scratch(data_dir) as directory:
        return token_cost(plan, wallet, directory, say)


def run_restart(records: int, starts: int, data_dir: Path | None, say: Say) -> Restart:
    """How long a killed node is away. Raises: OperatorError, UnreachableError."""
    with scratch(data_dir) as directory:
        return measure_restart(records, starts, directory, say)


def _run(name: str, plan: Plan, data_dir: Path | None, say: Say, *, with_switch: bool) -> Report:
    with ExitStack() as stack:
        wallet = prepare(plan.tokens, say) if plan.tokens else None
        directory = stack.enter_context(scratch(data_dir))
        bank = load.Bank()
        stack.callback(bank.close)
        starting: list[AbstractContextManager[systems.System]] = [
            systems.relay(bank, plan),
            systems.durable_relay(bank, plan, directory / "floor"),
        ]
        if with_switch:
            (directory / "switch").mkdir()
            starting.append(systems.node(bank, plan, directory / "switch", wallet))
        started = [stack.enter_context(one) for one in starting]
        node = started[-1]
        if with_switch and plan.tls:
            started.append(stack.enter_context(systems.secured(bank, plan, directory)))
        if wallet is not None:
            # Each has devices of its own: their counters go up apart.
            started = [replace(one, taps=wallet.taps()) for one in started]
            if with_switch:
                started.append(replace(node, name=PLAIN))
        for one in started:
            say(f"{one.name}: pid {one.pid}, {one.address}")
        steal = env.steal()
        extra = NEEDED_S if with_switch and plan.costs else 0.0
        bench = Bench(started, replace(plan, budget_s=plan.budget_s - extra), say)
        stack.callback(bench.close)
        bench.rounds()
        measured = _all(rows(bench.taken), plan, started)
        found: list[Cost] = costs(bench, node, bank) if extra else []
        required = REQUIRED_TAPS if wallet is not None else REQUIRED
        environment = env.environment(directory, env.stolen(steal, env.steal()))
        return Report(
            bench=name,
            at=env.now(),
            seconds=round(bench.seconds, 1),
            valid=all(row.valid for row in measured) and all(cost.valid for cost in found),
            interpreter=environment["interpreter"],
            machine=environment["machine"],
            journal=environment["journal"],
            build=environment["build"],
            plan=plan,
            shapes=measured,
            costs=found,
            required=reporting.met(measured, required) if with_switch else [],
        )


def _all(measured: list[Row], plan: Plan, started: list[systems.System]) -> list[Row]:
    """A row for everything that was asked, in the order of the plan."""
    found = {(row.shape, row.system): row for row in measured}
    return [
        found.get((shape.name, one.name))
        or Row(shape=shape.name, system=one.name, valid=False, fault="no time left")
        for shape in plan.shapes
        for one in started
        if one.name != PLAIN or shape.name == PLAIN_SHAPE
    ]


@contextmanager
def scratch(wanted: Path | None) -> Iterator[Path]:
    """A new directory on a real disk; removed at the end unless it was asked for by name."""
    # The second is kept on a disk by convention; mkdtemp makes names that nobody can guess.
    usual = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()]  # noqa: S108
    parents = [wanted] if wanted else usual
    for parent in parents:
        if wanted:
            parent.mkdir(parents=True, exist_ok=True)
        if env.filesystem(parent) in IN_MEMORY:
            continue
        made = Path(tempfile.mkdtemp(prefix="tapswitch-bench-", dir=parent))
        try:
            yield made
        finally:
            if not wanted:
                shutil.rmtree(made, ignore_errors=True)
        return
    raise OperatorError(
        f"{parents[0]} is in memory, where nothing is durable",
        help="--data-dir with a directory on a disk",
    )
