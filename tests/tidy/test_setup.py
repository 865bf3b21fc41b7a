"""`make setup` names what is missing and how to install it, and exits 3; `make` is a list."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.tree import ROOT

pytestmark = pytest.mark.tidy

BASICS = (
    "bash", "cat", "cut", "dirname", "env", "find", "flock", "mkdir", "sed", "sha256sum", "sort",
    "uname",
)  # fmt: skip
TARGETS = {
    "help", "setup", "demo", "test", "check", "bench", "load", "faults", "fuzz",
    "exhaustive", "fmt", "clean", "mutants", "simulate",
}  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A copy of the scripts and a PATH of our own: everything that setup asks for, as stand-ins."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name in BASICS:
        found = shutil.which(name)
        assert found, name
        (bin_dir / name).symlink_to(found)
    stand_ins = {
        "python3.11": "exit 0",
        "cargo": "echo 'cargo 1.85.1 (of a test)'",
        "cc": "exit 0",
        "c++": "exit 0",
        "uv": "exit 9",
    }
    for name, body in stand_ins.items():
        (bin_dir / name).write_text(f"#!/usr/bin/env bash\n{body}\n", encoding="utf-8")
        (bin_dir / name).chmod(0o755)
    return tmp_path


def setup(machine: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/setup"],
        cwd=machine,
        env={"PATH": str(machine / "bin"), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_complete_machine_gets_as_far_as_uv(machine: Path) -> None:
    assert setup(machine).returncode == 9


@pytest.mark.parametrize(
    ("tool", "named", "line"),
    [
        ("python3.11", "python3.11 is missing", "apt-get install python3.11"),
        ("cargo", "cargo >= 1.85 is missing", "rustup update stable"),
        ("cc", "a C compiler is missing", "apt-get install gcc"),
        ("c++", "a C++ compiler is missing", "apt-get install g++"),
    ],
)
def test_missing_tool_is_named(machine: Path, tool: str, named: str, line: str) -> None:
    (machine / "bin" / tool).unlink()
    done = setup(machine)
    assert done.returncode == 3, done.stderr
    assert named in done.stderr
    assert line in done.stderr


def test_old_cargo_is_named_with_its_version(machine: Path) -> None:
    (machine / "bin" / "cargo").write_text("#!/usr/bin/env bash\necho 'cargo 1.63.0'\n")
    done = setup(machine)
    assert done.returncode == 3
    assert "found: cargo 1.63.0" in done.stderr


def test_python_without_venv_is_named(machine: Path) -> None:
    body = '#!/usr/bin/env bash\ncase "$*" in *ensurepip*) exit 1 ;; esac\n'
    (machine / "bin" / "python3.11").write_text(body)
    done = setup(machine)
    assert done.returncode == 3
    assert "apt-get install python3.11-venv" in done.stderr


def test_plain_make_lists_every_target_with_one_line() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert {row[1] for row in rows} == TARGETS
    assert all(row[0] == "make" and row[2] for row in rows)
    assert len(rows) == len(TARGETS)
