"""No key in a core, even of a worker that was made dumpable on purpose.

A real worker, except that it keeps the right to be dumped and holds on to the store of card
masters: with card masters, link keys and terminals' master keys of known values, after messages
that used them. Its memory is searched twice: as a debugger's core has it (gcore leaves out what is
marked so), and whole, where the same search must find the store in locked pages, or it would show
nothing.
"""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyemv import tools

from switch.crypto.links import Components
from switch.crypto.masters import Place, Usage, add_master
from switch.crypto.profiles import Option, Scheme
from switch.crypto.terminals import Given, add_terminal
from tests.support.debian import debian_tool
from tests.support.emv import pipe
from tests.support.mac import guard, link_key, node_keys
from tests.support.node import Node
from tests.support.peer import Acquirer, Bank, purchase
from tests.support.sandbox import library_path
from tests.support.terminals import CODES, MERCHANT, TERMINALS, file_of
from tests.support.tree import ROOT

DUMPABLE = """
import sys
from switch.runtime import harden
harden.harden = lambda: None
from switch.apps import worker
kept, opening = [], worker.open_masters
worker.open_masters = lambda *given: kept.append(opening(*given)) or kept[-1]
sys.exit(worker.main(sys.argv[1:]))
"""
MASTER = bytes.fromhex("C1A5F30E7B9D26488FD0493A6E1BC752")
LINK = bytes.fromhex("D3E6529B0D7F1A4C94B8610E2F5BA7C1")
TERMINAL = bytes.fromhex("E90B4D7A2C86F15137D5A8620F9EB3C4")
MAC = '[acquirers.mac]\nalgorithm = "x9.19"\nkey = "acq"'
POS = f"""
[[acquirers]]
id = "POS01"
institution_code = "10002"
listen = "127.0.0.1:0"
timeout_ms = 5000
terminal_timeout_ms = 6000
dialect = "pos-cn"
[acquirers.mac]
algorithm = "{CODES.algorithm}"
keys = "terminal"
"""
TOKENS = '\n[tokens]\nranges = [{ prefix = "629950", length = 16 }]\n'


class Dumpable(Node):
    """A worker alone, which can be dumped."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", DUMPABLE, "--config", str(self.directory)]


def mappings(pid: int) -> list[tuple[int, int, str]]:
    """Start, end and VmFlags of what may be read."""
    found, here = [], None
    for line in Path(f"/proc/{pid}/smaps").read_text("utf-8").splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
        if head:
            here = (int(head[1], 16), int(head[2], 16))
        elif re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            here = None
        elif line.startswith("VmFlags:") and here is not None:
            found.append((*here, line.removeprefix("VmFlags:")))
    return found


def holds(pid: int, needle: bytes) -> list[str]:
    """VmFlags of the mappings in which those bytes stand."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, flags in mappings(pid):
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, OverflowError):
                continue
            if needle in data:
                found.append(flags)
    return found


def forms(key: bytes) -> dict[str, bytes]:
    """A key as a core might show it: as it is, as text, either half."""
    return {
        "bytes": key,
        "hex": key.hex().encode(),
        "HEX": key.hex().upper().encode(),
        "first half": key[:8],
        "second half": key[8:16],
        "words": b"".join(key[at : at + 8][::-1] for at in range(0, len(key), 8)),
    }


@pytest.fixture(scope="module")
def gdb() -> str:
    return debian_tool("gdb", "gdb")


async def test_core_of_a_worker_has_no_key(tmp_path: Path, bank: Bank, gdb: str) -> None:
    directory = tmp_path / "node"
    directory.mkdir()
    node = Dumpable(directory, [await bank.start()], acquirer=MAC, tokens=POS + TOKENS + TERMINALS)
    keys = node_keys(directory)
    link_key(directory, keys, "acq", LINK)
    place = Place(Scheme.UNIONPAY, "629950", 1, Usage.CRYPTOGRAM)
    with pipe(MASTER) as descriptor:
        digits = tools.key_check_digits(MASTER, 3).hex()
        masters = str(directory / "keys" / "card-masters.keys")
        add_master(masters, keys, place, "B1", Option.A, 1, (descriptor, digits), 0)
    components = Components("3des")
    with pipe(TERMINAL) as descriptor:
        components.enter(descriptor)
    add_terminal(file_of(directory), keys, Given("POS01", "52010001", MERCHANT), components, 1)
    del components, keys
    try:
        await node.start()
        acquirer = await Acquirer.connect(node.acquirer, guard=guard(LINK))
        for _ in range(20):
            assert (await acquirer.ask(purchase())).get("response_code") == "00"
        await asyncio.to_thread(search, node, gdb, tmp_path)
        assert await node.stop() == 0
    finally:
        await node.end()


def search(node: Node, gdb: str, tmp_path: Path) -> None:
    pid = node.worker_pid
    root = ROOT / ".cache" / "debian" / "root"
    subprocess.run(
        [
            *(gdb, "-nx", "--batch", "--readnever", "-iex", "set auto-solib-add off"),
            *("-p", str(pid), "-ex", f"gcore {tmp_path / 'core'}"),
        ],
        check=True,
        capture_output=True,
        env=library_path(root) if Path(gdb).is_relative_to(root) else None,
    )
    core = (tmp_path / "core").read_bytes()
    assert b"tapswitch" in core, "it is a core of ours"
    secrets: dict[str, bytes] = {
        "sealing key": (node.directory / "keys" / "sealing.key").read_bytes(),
        "card master": MASTER,
        "link key": LINK,
        "terminal's master key": TERMINAL,
    }
    found = [
        f"{name} ({form})"
        for name, key in secrets.items()
        for form, needle in forms(key).items()
        if needle in core
    ]
    assert found == []
    # The whole memory has the store of card masters; where it lies is locked and marked.
    flags = [one.split() for one in holds(pid, MASTER)]
    assert flags
    assert all({"lo", "dd"} <= set(one) for one in flags)
    assert all(" dd" in one[2] for one in mappings(pid) if " lo" in one[2])
