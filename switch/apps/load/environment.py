"""What figures depend on beside the code: machine, interpreter, build, disk."""

import hashlib
import os
import platform
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import switch
from switch import native

__all__ = ["commit", "comparable", "environment", "filesystem", "now", "steal", "stolen"]

JOURNAL_MODE: Final = (
    "small groups on the loop, others on the journal's thread; preallocated segments, "
    "one fdatasync a group, window 0"
)
ROOT: Final = Path(switch.__file__).resolve().parent.parent
VARYING: Final = frozenset({"stolen_percent", "commit", "executable"})
"""Facts that two runs on one machine may differ in and still be compared."""


def environment(directory: Path, stolen_percent: float) -> dict[str, dict[str, str]]:
    """By subject. `directory`: where the journal is."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    wanted = ("--enable-optimizations", "--with-lto")
    return {
        "interpreter": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "compiler": platform.python_compiler(),
            "flags": " ".join(flag for flag in wanted if flag in arguments) or "none of note",
            "executable": sys.executable,
        },
        "machine": {
            "cpu": _cpu_model(),
            "cores": str(len(os.sched_getaffinity(0))),
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "stolen_percent": f"{stolen_percent:.1f}",
        },
        "journal": {"mode": JOURNAL_MODE, "filesystem": filesystem(directory)},
        "build": {
            "version": native.__version__,
            "profile": native.BUILD_PROFILE,
            "uvloop": version("uvloop"),
            "msgspec": version("msgspec"),
        },
    }


def of_load(directory: Path, stolen_percent: float, settings: str) -> dict[str, dict[str, str]]:
    """The same with what a report of load adds. `settings`: those of the node, as text."""
    found = environment(directory, stolen_percent)
    found["machine"]["governor"] = _line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    found["build"]["commit"] = commit()
    digest = hashlib.sha256(settings.encode()).hexdigest()[:16] if settings else "not ours"
    found["switch"] = {
        "settings": digest,
        "placement": "generator, switch and banks on one machine, loopback",
    }
    return found


def comparable(facts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What must be the same when two runs are compared."""
    return {
        f"{subject}.{name}": value
        for subject, several in facts.items()
        for name, value in several.items()
        if name not in VARYING
    }


def filesystem(directory: Path) -> str:
    """Type of the file system that holds a directory, "unknown" where nothing tells."""
    best, found = "", "unknown"
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return found
    place = str(directory.resolve())
    for line in lines:
        left, _, right = line.partition(" - ")
        mount = left.split()[4]
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, found = mount, right.split()[0]
    return found


def commit() -> str:
    """Of the clone that runs, with a plus when it has changes; "unknown" outside a clone."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return told.stdout.strip() or "unknown"


def steal() -> tuple[int, int]:
    """(stolen, all) ticks of all processors since boot."""
    ticks = [int(number) for number in (_line("/proc/stat") or "cpu").split()[1:9]]
    return (ticks[7], sum(ticks)) if len(ticks) == 8 else (0, 0)


def stolen(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Percent of the time between that a hypervisor gave to others."""
    total = after[1] - before[1]
    return 100 * (after[0] - before[0]) / total if total else 0.0


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
