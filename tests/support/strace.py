"""System calls of a process that fail or linger on purpose: strace's injection.

An injected error means that the call did not run. The counter of ``when=`` is one of each thread.
Only calls on the named files count, so that nothing else in the process is touched.
"""

from pathlib import Path

from tests.support.debian import debian_tool

__all__ = ["Injection"]

SEGMENTS = 12
"""Segment files that are looked at; more than any test fills."""


class Injection:
    """Into calls on the segments of one journal."""

    def __init__(self, directory: Path, call: str, what: str, *, part: bool = False) -> None:
        """`what` is strace's: ``error=EIO:when=3``. `part`: segments while they are prepared."""
        self.strace = debian_tool("strace")
        self.call = call
        self.what = what
        self.output = directory / "strace.txt"
        suffix = ".seg.part" if part else ".seg"
        journal = directory / "node" / "data" / "journal" / "w0"
        self._paths = [str(journal / f"{n:010}{suffix}") for n in range(1, SEGMENTS + 1)]

    @property
    def command(self) -> tuple[str, ...]:
        """What the process's command line is put behind."""
        paths = [word for path in self._paths for word in ("-P", path)]
        return (
            self.strace, "-f", "--seccomp-bpf", "-qq", "-o", str(self.output),
            "-e", f"trace={self.call}", *paths, "-e", f"inject={self.call}:{self.what}",
        )  # fmt: skip

    def onto(self, pid: int) -> tuple[str, ...]:
        """A command that does it to a process that runs already, and all its threads."""
        injected = self.command[self.command.index("-qq") :]
        return (self.strace, "-f", "-p", str(pid), *injected)

    @property
    def fired(self) -> int:
        """How many calls were touched."""
        if not self.output.exists():
            return 0
        text = self.output.read_text(encoding="utf-8", errors="replace")
        return text.count("(INJECTED)") + text.count("(DELAYED)")
