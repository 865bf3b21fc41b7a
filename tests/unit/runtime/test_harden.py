"""What the process gives up, looked at from outside, in processes of its own."""

import os
import signal
import subprocess
import sys
import time

LOOK = """
import ctypes, os, resource
from switch.runtime.harden import harden
harden()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")])
print(oct(os.umask(0)))
"""

PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "import os, sys, time; from switch.runtime.harden import end_with_parent;"
    "end_with_parent(int(sys.argv[1])); print('up', flush=True); time.sleep(60)", str(os.getpid())])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_no_core_no_dump_no_privileges_and_private_files() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout.splitlines() == ["(0, 0) 0", "['1']", "0o77"]


def test_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "up\n"
        parent.kill()
    for _ in range(200):
        try:
            with open(f"/proc/{child}/stat", encoding="ascii") as status:
                if status.read().rpartition(")")[2].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child outlived its parent")


def test_child_of_a_parent_that_has_gone_already_ends_at_once() -> None:
    code = "from switch.runtime.harden import end_with_parent; end_with_parent(1 << 22); print(1)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert (ran.returncode, ran.stdout) == (0, "")
