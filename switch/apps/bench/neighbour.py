"""A slower machine: a neighbour that takes part of the core of the system under test.

Ten times what a switch can serve must come from somewhere. Where generator and bank have one core
and the switch another, that is more than the generator can send, unless the switch has a smaller
part of its core, in all phases alike. A process is put beside it that computes for the first part
of every millisecond, by its own clock, and sleeps for the rest.

It runs at the lowest real-time priority, so that it has its part whoever else wants the core, and
no more: the switch is never away for longer than that part, and whatever its threads and the
kernel's do between them in what is left is their own affair. Shares by weight (nice) do not do: a
thread that yields, or wakes for a moment as a journal's does, then waits for whole slices of the
neighbour, and a machine comes out that is not slower but stands still.

Who may not use real-time priorities (CAP_SYS_NICE) cannot have it.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from switch.errors import OperatorError
from switch.runtime.harden import end_with_parent

__all__ = ["PERIOD_NS", "beside"]

PERIOD_NS: Final = 1_000_000
SHARE_MIN: Final = 0.1
"""The kernel leaves 5 % to those without real-time priority whatever we do."""
COMPUTE: Final = """
import sys
from time import clock_gettime_ns as now, sleep
busy_ns, period_ns = int(sys.argv[1]), int(sys.argv[2])
clock = 1
begin = now(clock)
while True:
    end = begin + busy_ns
    while now(clock) < end:
        pass
    begin += period_ns
    left = begin - now(clock)
    if left > 0:
        sleep(left / 1e9)
    else:
        begin = now(clock)
"""


@contextlib.contextmanager
def beside(core: int, share: float) -> Iterator[str]:
    """The neighbour of whoever is on `core` already; in words what they have of it. Raises:
    OperatorError for a share that cannot be had."""
    if not SHARE_MIN <= share < 1:
        raise OperatorError(
            f"a share of {share:g} cannot be had beside a neighbour",
            help=f"at least {SHARE_MIN:g}, or 1: the whole core",
        )
    parent = os.getpid()
    busy_ns = round(PERIOD_NS * (1 - share))
    neighbour = subprocess.Popen(
        [sys.executable, "-S", "-c", COMPUTE, str(busy_ns), str(PERIOD_NS)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: end_with_parent(parent),  # noqa: PLW1509 - a clone of one thread
    )
    try:
        os.sched_setaffinity(neighbour.pid, {core})
        try:
            os.sched_setscheduler(neighbour.pid, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError as error:
            raise OperatorError(
                "the neighbour that has the rest of the core needs a real-time priority",
                help="run it with CAP_SYS_NICE, or measure with the whole core",
            ) from error
        yield (
            f"{100 * share:.0f} % of it beside a neighbour that has {busy_ns / 1e6:g} ms of every "
            f"{PERIOD_NS / 1e6:g} ms"
        )
    finally:
        neighbour.kill()
        neighbour.wait()
