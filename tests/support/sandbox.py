"""A process under what the systemd unit lays on it, where no systemd runs: the unit's own lines,
read and applied with namespaces, limits and the same system call filter.

As a module it is the last step before the node: it loads the filter into itself and becomes it.
"""

import ctypes
import ctypes.util
import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.support.tree import ROOT

__all__ = ["UNIT", "allowed_calls", "command", "unit"]

UNIT: Final = ROOT / "config" / "systemd" / "tapswitch.service"

ALLOW: Final = 0x7FFF0000
ERRNO: Final = 0x00050000
EPERM: Final = 1
MASKED_EQ: Final = 7
NE: Final = 1
GT: Final = 6
PROT_WRITE: Final = 2
PROT_EXEC: Final = 4
SHM_EXEC: Final = 0o100000
CLONE_NEW: Final = (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
SUID_SGID: Final = (0o4000, 0o2000)
SIZES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def unit(key: str) -> list[str]:
    """The values of a key of the unit, in order."""
    found = re.findall(rf"^{re.escape(key)}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    return [str(one) for one in found]


def number(text: str) -> int:
    """A limit of the unit."""
    return int(text[:-1]) * SIZES[text[-1]] if text[-1] in SIZES else int(text)


def _set(analyze: str, environment: dict[str, str], name: str) -> set[str]:
    """The calls of a set, as systemd has it."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(
        [analyze, "syscall-filter", "--no-pager", name],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout
    words = [line.strip() for line in told.splitlines()[1:]]
    calls: set[str] = set()
    for word in words:
        if word and not word.startswith("#"):
            calls |= _set(analyze, environment, word)
    return calls


def allowed_calls(analyze: str, environment: dict[str, str]) -> set[str]:
    """What SystemCallFilter= of the unit leaves. Every process needs @default besides."""
    calls = _set(analyze, environment, "@default")
    for line in unit("SystemCallFilter"):
        taken = line.startswith("~")
        for name in line.removeprefix("~").split():
            one = _set(analyze, environment, name)
            calls = calls - one if taken else calls | one
    return calls


def _within(wanted: int, kind: int) -> int:
    """What we may set: a limit that this machine has already is not raised."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def command(calls: Iterable[str], writable: Path, program: list[str]) -> list[str]:
    """`program` with the unit's user namespace, read-only system, own /proc and limits; only
    `writable` may be written to."""
    limits = {
        name: _within(number(unit(f"Limit{name.upper()}")[0]), kind)
        for name, kind in (
            ("core", resource.RLIMIT_CORE),
            ("nofile", resource.RLIMIT_NOFILE),
            ("memlock", resource.RLIMIT_MEMLOCK),
        )
    }
    prlimit = ["prlimit", *(f"--{name}={value}:{value}" for name, value in limits.items()), "--"]
    filtered = [sys.executable, "-m", "tests.support.sandbox", ",".join(sorted(calls)), *program]
    given_up = [
        "setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all",
        "--ambient-caps=-all",
    ]  # fmt: skip
    place = shlex.quote(str(writable))
    # ProtectProc=, ProcSubset=, ProtectSystem=strict, PrivateTmp=: in this order, since the last
    # would hide what is to be written to.
    script = (
        "set -e; mount -t proc -o subset=pid,hidepid=invisible proc /proc; "
        f"mount --bind {place} {place}; mount -o remount,bind,ro /; umask "
        f"{unit('UMask')[0]}; exec {shlex.join([*prlimit, *given_up, *filtered])}"
    )
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--ipc", "--fork"]
    return [*unshare, "sh", "-c", script]


class Filter:
    """One filter of libseccomp."""

    def __init__(self, default: int) -> None:
        name = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
        self._lib = ctypes.CDLL(os.environ.get("TAPSWITCH_TEST_SECCOMP", name))
        self._lib.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._lib.seccomp_init(ctypes.c_uint32(default)))
        assert self._context.value, "seccomp_init"

    def rule(self, action: int, call: str, *compared: "Compared") -> bool:
        """False for a call that this processor does not have."""
        found = self._lib.seccomp_syscall_resolve_name(call.encode())
        if found < 0:
            return False
        array = (Compared * max(1, len(compared)))(*compared)
        got = self._lib.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), found, len(compared), array
        )
        return bool(got == 0)

    def load(self) -> None:
        assert self._lib.seccomp_load(self._context) == 0, "seccomp_load"


class Compared(ctypes.Structure):
    """scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def _masked(argument: int, mask: int) -> Compared:
    return Compared(argument, MASKED_EQ, mask, mask)


def confine(calls: Iterable[str]) -> None:
    """The unit's filters, into this very process. They stay for good."""
    no = ERRNO | EPERM
    denied = Filter(ALLOW)
    # MemoryDenyWriteExecute=
    both = PROT_WRITE | PROT_EXEC
    denied.rule(no, "mmap", _masked(2, both))
    for call in ("mprotect", "pkey_mprotect"):
        denied.rule(no, call, _masked(2, PROT_EXEC))
    denied.rule(no, "shmat", _masked(2, SHM_EXEC))
    # RestrictNamespaces=
    for flag in CLONE_NEW:
        denied.rule(no, "unshare", _masked(0, flag))
        denied.rule(no, "clone", _masked(0, flag))
    denied.rule(no, "setns")
    # RestrictSUIDSGID=
    for bit in SUID_SGID:
        for call, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mkdir", 1)):
            denied.rule(no, call, _masked(place, bit))
    # RestrictRealtime=
    denied.rule(no, "sched_setscheduler", Compared(1, GT, 0, 0))
    # LockPersonality=
    denied.rule(no, "personality", Compared(0, NE, 0, 0))
    # RestrictAddressFamilies=
    families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
    left = {families[name] for name in unit("RestrictAddressFamilies")[0].split()}
    for family in set(range(46)) - left:
        denied.rule(no, "socket", Compared(0, 4, family, 0))
    denied.load()
    allowed = Filter(no)
    assert sum(allowed.rule(ALLOW, call) for call in calls) > 100
    allowed.load()


def main(words: list[str]) -> None:
    """Becomes the program behind the list of calls."""
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    confine(words[0].split(","))
    os.execv(words[1], words[1:])  # noqa: S606


def library_path(root: Path) -> dict[str, str]:
    """Environment for tools that scripts/debian-tool has unpacked: their libraries lie beside."""
    environment: dict[str, Any] = dict(os.environ)
    places = {str(one.parent) for one in root.rglob("lib*.so*")} if root.is_dir() else set()
    if places:
        before = environment.get("LD_LIBRARY_PATH", "")
        environment["LD_LIBRARY_PATH"] = ":".join([*sorted(places), *filter(None, [before])])
    return environment


if __name__ == "__main__":
    main(sys.argv[1:])
