"""Runs the shell blocks of a tutorial as a reader would, in one shell and a directory of its own.

A page is Markdown. Every fenced block marked ``sh`` is given to bash as it stands; a block marked
``text`` right after it is the output that the page promises, standard error included. In it ``…``
stands for anything within a line, and a line of ``…`` alone for any number of lines, also none. No
command of a block may fail. Whatever the page starts is ended with it.
"""

import contextlib
import fcntl
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.tree import ROOT

__all__ = ["Block", "Shell", "blocks", "play", "promised"]

BLOCK_S = 60.0
"""A block that takes longer is stuck; readers are not more patient."""
LOCK = Path("/tmp/tapswitch-tutorials.lock")
"""Tutorials use fixed ports, as a reader does: one at a time on a machine."""


class Block(NamedTuple):
    """One shell block, the line of the page on which it begins, and what it promises to print."""

    line: int
    commands: str
    output: str | None


def blocks(text: str) -> list[Block]:
    """The shell blocks of a page, in order."""
    found: list[Block] = []
    kind, began, body = "", 0, list[str]()
    beside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not kind:
            if line.startswith("```"):
                kind, began, body = line[3:].strip() or "none", number + 1, []
            elif line.strip():
                beside = False
            continue
        if line != "```":
            body.append(line)
            continue
        if kind == "sh":
            found.append(Block(began, "\n".join(body) + "\n", None))
        elif kind == "text" and beside:
            found[-1] = found[-1]._replace(output="\n".join(body) + "\n")
        beside = kind == "sh"
        kind = ""
    assert not kind, f"the block of line {began} has no end"
    return found


def promised(output: str) -> re.Pattern[str]:
    """What the real output must match."""
    lines = []
    for line in output.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:[^\n]*\n)*?")
        else:
            lines.append(r"[^\n]*?".join(map(re.escape, line.split("…"))) + r"[ ]*\n")
    return re.compile("".join(lines) + r"\Z")


class Shell:
    """A bash that lives through a page."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "TAPSWITCH": str(ROOT),
                "PYTHONPATH": str(ROOT),
                "LANG": "C.UTF-8",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._seen = b""

    def run(self, commands: str) -> tuple[int, str]:
        """Exit code and output of one block."""
        process, mark = self._process, f"end of block {secrets.token_hex(8)}"
        assert process.stdin is not None
        script = (
            f"tutorial_failed=0; trap 'tutorial_failed=$?' ERR\n{commands}\ntrap - ERR\n"
            f"printf '\\n%s %s\\n' {mark!r} $tutorial_failed\n"
        )
        process.stdin.write(script.encode())
        process.stdin.flush()
        found = self._until(re.compile(rb"\n" + mark.encode() + rb" (\d+)\n"), commands)
        output = self._seen[: found.start()].decode()
        self._seen = self._seen[found.end() :]
        return int(found[1]), output

    def _until(self, wanted: re.Pattern[bytes], commands: str) -> re.Match[bytes]:
        stdout = self._process.stdout
        assert stdout is not None
        give_up = time.monotonic() + BLOCK_S
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while True:
                if found := wanted.search(self._seen):
                    return found
                left = give_up - time.monotonic()
                assert left > 0, f"not over within {BLOCK_S:g} s:\n{commands}{self._seen.decode()}"
                if selector.select(left):
                    data = os.read(stdout.fileno(), 65_536)
                    assert data, f"the shell ended in\n{commands}{self._seen.decode()}"
                    self._seen += data

    def end(self) -> None:
        """Nothing is left running: all that the page started is in the shell's session."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            give_up = time.monotonic() + 10
            while _lives(self._process) and time.monotonic() < give_up:
                time.sleep(0.02)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether anything of the shell's group is left; the shell itself is collected."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with LOCK.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def play(page: Path, directory: Path) -> None:
    """Runs a page from its first block to its last; the first that fails says where and how."""
    assert shutil.which("bash"), "the pages are written for bash"
    with _alone():
        shell = Shell(directory)
        try:
            for block in blocks(page.read_text(encoding="utf-8")):
                code, output = shell.run(block.commands)
                where = f"{page.name}:{block.line}\n{block.commands}"
                assert code == 0, f"{where}ended with code {code}:\n{output}{_logs(directory)}"
                if block.output is not None:
                    assert promised(block.output).match(output), (
                        f"{where}was promised:\n{block.output}\nbut printed:\n{output}"
                        f"{_logs(directory)}"
                    )
        finally:
            shell.end()


def _logs(directory: Path) -> str:
    """What the page's processes wrote into files, for the eyes of whoever mends it."""
    found = sorted(directory.rglob("*.log"))
    return "".join(f"\n--- {log.name}\n{log.read_text('utf-8')[-3_000:]}" for log in found)
