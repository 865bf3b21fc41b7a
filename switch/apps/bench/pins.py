"""Which process runs where, and what memory one holds, while a bench is under way."""

import os
import threading
import time
from pathlib import Path
from typing import Final

__all__ = ["Memory", "at_once", "pin", "tree"]

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
SAMPLE_S: Final = 0.1


def tree(root: int) -> list[int]:
    """A process and all its descendants, itself first."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += map(int, children.read_text(encoding="utf-8").split())
            except OSError:
                continue
    return found


def pin(root: int, cores: set[int]) -> int:
    """Puts every thread of a process and its descendants on these cores; how many there were."""
    count = 0
    for pid in tree(root):
        for task in Path(f"/proc/{pid}/task").glob("*"):
            try:
                os.sched_setaffinity(int(task.name), cores)
            except OSError:
                continue
            count += 1
    return count


def at_once(name: str) -> bool:
    """Lets a thread of this process run whenever it can, before those that only compute: a bank in
    software beside a generator on one core is otherwise as slow as the generator is busy, and its
    slowness is counted as the switch's. False where that is not allowed (CAP_SYS_NICE), or there is
    no such thread."""
    for task in Path("/proc/self/task").glob("*"):
        try:
            if (task / "comm").read_text(encoding="utf-8").strip() == name:
                os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(1))
                return True
        except OSError:
            continue
    return False


class Memory:
    """Resident memory of a process over time, read on a thread of its own."""

    def __init__(self, pid: int) -> None:
        self._file = Path(f"/proc/{pid}/statm")
        self._over = threading.Event()
        self._began = time.monotonic()
        self.samples: list[tuple[float, int]] = []
        """(seconds after the start, bytes)."""
        self._thread = threading.Thread(target=self._look, name="memory", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_S):
            try:
                pages = int(self._file.read_text(encoding="utf-8").split()[1])
            except (OSError, IndexError, ValueError):
                return
            self.samples.append((time.monotonic() - self._began, pages * PAGE))

    def stop(self) -> None:
        """No further samples."""
        self._over.set()
        self._thread.join()

    def most(self, first_s: float, last_s: float) -> int:
        """The most between two times; 0 when nothing was read."""
        return max((size for at, size in self.samples if first_s <= at <= last_s), default=0)
