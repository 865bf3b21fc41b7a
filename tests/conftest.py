"""Settings of all tests.

Property tests run with a fixed seed in `make test` and CI, so that a red run means a change; set
HYPOTHESIS_PROFILE=search to look for new examples. No deadline per example: two shared cores are no
stopwatch.
"""

import faulthandler
import gc
import os
import sys
from collections.abc import Generator

import pytest
from hypothesis import settings

from switch.observe import place

settings.register_profile("fixed", deadline=None, derandomize=True, print_blob=True, database=None)
settings.register_profile("search", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


STDERR = os.dup(2)
"""Where a process of the suite can say something that pytest does not capture."""

IDLE_S = 600
"""No process of the suite is idle so long: the longest test takes less than a minute."""

TEARDOWN_S = 240

WAITING = ("tests/faults/", "tests/integration/")
COMPUTING = ("tests/property/", "tests/simulation/")
WAITING_EACH = 3
"""So many files that wait for one that computes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that compute stand between those that wait for processes, disks and deadlines: several
    at a time, they keep the cores busy with each other. Else all would wait first and all compute
    in the end. Each file stays whole and keeps its order."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    waiting = [name for name in files if name.startswith(WAITING)]
    computing = [name for name in files if name.startswith(COMPUTING)]
    rest = [name for name in files if not name.startswith((*WAITING, *COMPUTING))]
    order: list[str] = []
    for number, name in enumerate(waiting):
        order.append(name)
        if number % WAITING_EACH == 0:
            order += computing[:1]
            del computing[:1]
    items[:] = [item for name in (*order, *computing, *rest) for item in files[name]]


def pytest_collection_finish() -> None:
    """Cyclic garbage is collected between tests, by the thread that runs them, and at no other
    time. Native objects must be dropped on the thread that made them, and what is dropped may close
    files and join threads: the collector would do so on whatever thread happens to allocate (one of
    a later test, or the one that takes the suite's own orders). What stands now is never walked
    again, which makes a collection after each test cheap."""
    gc.collect()
    gc.freeze()
    gc.disable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, bool | None, bool | None]:
    """A process of the suite that stands still between two tests says where, and ends."""
    took = yield
    gc.collect()
    faulthandler.dump_traceback_later(IDLE_S, exit=True, file=STDERR)
    return took


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """So does one that stands still in the clearing up after a failure: a failure ends both of the
    watches that a test has (for the sake of debuggers)."""
    faulthandler.dump_traceback_later(TEARDOWN_S, exit=True, file=STDERR)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is told when it happens, not only at the end that a run may not reach."""
    if report.failed and not os.environ.get("PYTEST_XDIST_WORKER"):
        sys.stdout.write(f"\n{report.when} of {report.nodeid} failed:\n{report.longreprtext}\n")
        sys.stdout.flush()


def pytest_sessionfinish() -> None:
    """Nodes that tests have killed left their meters in memory, and no later node may start."""
    place.sweep()
