"""A slower machine: a neighbour that never rests on the core of the system under test.

Ten times what a switch can serve must come from somewhere. Where generator and bank have one core
and the switch another, that is more than the generator can send, unless the switch has a smaller
part of its core, in all phases alike. A process that only counts is put beside it; the scheduler
shares the core by weight, and the weight of the switch is lowered (nice), which needs no privilege.

A journal waits for kernel threads that complete its writes: a group of processes whose weight is
far above theirs starves them on that core, and the disk then seems to stand still. So the weight of
the switch is lowered, and nobody's is raised.

Both get short slices, so that the switch is not away for milliseconds at a time: with the
scheduler's own slices the neighbour would be what its p99 shows. Kernels before 6.12 know no slices
of one's own; there the share holds and p99 does not.
"""

import contextlib
import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from switch.apps.bench.pins import tree
from switch.errors import OperatorError
from switch.runtime.harden import end_with_parent

__all__ = ["beside", "nice_of"]

WEIGHTS: Final = (1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36)
"""Of nice 0 to 15, as the scheduler has them (kernel/sched/core.c)."""
SLICE_NS: Final = 100_000
SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}
COUNT: Final = "while True: pass"


class _Attributes(ctypes.Structure):
    """struct sched_attr, its first form."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def nice_of(share: float) -> int:
    """The nice value that leaves about this share of a core beside a neighbour of nice 0. Raises:
    OperatorError for one that no nice value gives."""
    shares = [weight / (weight + WEIGHTS[0]) for weight in WEIGHTS]
    if not shares[-1] <= share <= shares[0]:
        raise OperatorError(
            f"a share of {share:g} cannot be had beside a neighbour",
            help=f"between {shares[-1]:.2f} and {shares[0]:g}, or 1: the whole core",
        )
    return min(range(len(shares)), key=lambda nice: abs(shares[nice] - share))


@contextlib.contextmanager
def beside(root: int, core: int, share: float) -> Iterator[str]:
    """The neighbour of a process and its descendants, which are on `core` already; in words what
    they have of it. Raises: OperatorError."""
    nice = nice_of(share)
    parent = os.getpid()
    neighbour = subprocess.Popen(
        [sys.executable, "-S", "-c", COUNT],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: end_with_parent(parent),  # noqa: PLW1509 - a clone of one thread
    )
    try:
        os.sched_setaffinity(neighbour.pid, {core})
        short = _shaped(neighbour.pid, 0)
        for pid in tree(root):
            short = _shaped(pid, nice) and short
        slices = f"slices of {SLICE_NS / 1e6:g} ms" if short else "the scheduler's own slices"
        given = WEIGHTS[nice] / (WEIGHTS[nice] + WEIGHTS[0])
        yield f"{100 * given:.0f} % of it beside a neighbour that never rests, {slices}"
    finally:
        neighbour.kill()
        neighbour.wait()


def _shaped(pid: int, nice: int) -> bool:
    """Every thread of a process gets a weight and short slices; whether the kernel knows those."""
    with contextlib.suppress(OSError):
        # Where sessions are scheduled as groups, it is the group's weight that counts.
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")
    short = True
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, int(task.name), nice)
            short = _sliced(int(task.name), nice) and short
    return short


def _sliced(thread: int, nice: int) -> bool:
    number = SCHED_SETATTR.get(platform.machine())
    if number is None or tuple(map(int, platform.release().split(".")[:2])) < (6, 12):
        return False
    wanted = _Attributes(size=ctypes.sizeof(_Attributes), nice=nice, runtime=SLICE_NS)
    done: int = ctypes.CDLL(None, use_errno=True).syscall(number, thread, ctypes.byref(wanted), 0)
    return done == 0
