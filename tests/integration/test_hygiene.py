"""What the processes of a real node have given up, as the kernel sees it from outside.

That a process is not dumpable shows only to one that may not trace everything: the whole node runs
without the capability to, and so does the one who looks.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.node import READY_S, Node
from tests.support.peer import Acquirer, Bank, purchase, until

TOKENS = """
[tokens]
ranges = [{ prefix = "629950", length = 16 }]
"""

CAP_SYS_PTRACE = 19
PR_CAPBSET_DROP = 24
WITHOUT_PTRACE = (
    "import ctypes, os, sys; "
    f"ctypes.CDLL(None).prctl({PR_CAPBSET_DROP}, {CAP_SYS_PTRACE}, 0, 0, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
LOOK = """
import sys
for pid in sys.argv[1:]:
    try:
        open(f"/proc/{pid}/mem", "rb").close()
        print("open")
    except PermissionError:
        print("shut")
"""


def without_ptrace(*command: str) -> list[str]:
    """As `command`; whoever is root here is so without the right to trace."""
    return [sys.executable, "-c", WITHOUT_PTRACE, *command]


class Plain(Node):
    """A node whose processes have no right to trace each other."""

    def command(self) -> list[str]:
        return without_ptrace(*super().command())


def memory_of(pids: Iterable[int]) -> list[str]:
    """Whether one of the same user may open the memory of each process."""
    looked = subprocess.run(
        without_ptrace(sys.executable, "-c", LOOK, *map(str, pids)),
        capture_output=True,
        text=True,
        check=True,
    )
    return looked.stdout.split()


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def core_limit(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    return next(line.split()[4:6] for line in lines if line.startswith("Max core file size"))


def module(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[words.index(b"-m") + 1].decode()


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


async def test_no_process_of_a_node_dumps_core_or_can_be_looked_into(
    tmp_path: Path, bank: Bank
) -> None:
    node = Plain(tmp_path, [await bank.start()], tokens=TOKENS)
    try:
        await node.start()
        for name in ("gateway", "exporter"):
            file = node.data / "run" / f"{name}.json"
            await until(file.exists, READY_S, name)
        acquirer = await Acquirer.connect(node.acquirer)
        assert (await acquirer.ask(purchase())).get("response_code") == "00"
        assert node.process is not None
        found = {module(pid): pid for pid in (node.process.pid, *children(node.process.pid))}
        apps = {f"switch.apps.{name}" for name in ("worker", "gateway", "exporter")}
        assert set(found) == {"switch"} | apps
        for name, pid in found.items():
            told = status(pid)
            assert core_limit(pid) == ["0", "0"], name
            assert told["NoNewPrivs"] == "1", name
            assert told["Umask"] == "0077", name
        assert memory_of(found.values()) == ["shut"] * len(found)
        assert await node.stop() == 0
    finally:
        await node.end()


async def test_the_look_sees_a_process_that_has_given_up_nothing() -> None:
    """Else the test above could not fail."""
    process = await asyncio.create_subprocess_exec(*without_ptrace("/usr/bin/sleep", "30"))
    try:
        await asyncio.sleep(0.3)
        assert memory_of([process.pid]) == ["open"]
    finally:
        process.kill()
        await process.wait()
