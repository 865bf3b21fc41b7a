"""The front door: help, exit codes, lazy imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from switch.cli import COMMANDS, run


def test_version_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == "0.1.0"
    assert facts["native"] in ("release", "debug")


def test_unknown_command_is_a_usage_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chekc"]) == 2
    assert "Did you mean 'check'?" in capsys.readouterr().err


def test_help_names_every_command_and_imports_none() -> None:
    program = (
        "import sys; sys.argv = ['tapswitch', '--help']\n"
        "from switch.cli import run\n"
        "code = run(['--help'])\n"
        "heavy = [m for m in ('uvloop', 'asyncio', 'msgspec', 'rich') if m in sys.modules]\n"
        "own = [m for m in sys.modules if m.startswith('switch.') and not m.startswith("
        "('switch.cli', 'switch.errors'))]\n"
        "sys.exit(code or (f'{heavy} {own}' if heavy or own else 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, line in COMMANDS.items():
        assert name in done.stdout
        assert line in done.stdout


LOOK = """
import atexit, ctypes, resource, sys
def look():
    print(resource.getrlimit(resource.RLIMIT_CORE)[1] == 0, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
atexit.register(look)
from switch.cli import main
main(sys.argv[1:])
"""


def hardened(*words: str) -> bool:
    """Whether the process of that command dumps no core, under any limit, and is not dumpable."""
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, *words], capture_output=True, text=True, check=False
    )
    return ran.stdout.splitlines()[-1] == "True 0"


@pytest.mark.parametrize("name", ["run", "demo", "keys", "decode", "sim"])
def test_every_command_is_hardened_before_it_begins(name: str) -> None:
    assert hardened(name, "--help")


def test_interrupted_while_modules_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "switch", "demo"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert (ran.returncode, ran.stderr) == (130, "")


def test_module_is_runnable() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "switch", "version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("tapswitch 0.1.0")
