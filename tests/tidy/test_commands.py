"""Every command of the contract is there, and its help works without a running system."""

import json
import subprocess
import sys

import pytest

from switch.cli import COMMANDS
from tests.support.tree import ROOT

pytestmark = pytest.mark.tidy

CONTRACT = {"demo", "run", "check", "journal", "bench", "sim", "version"}


def tapswitch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "switch", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_contract_is_offered() -> None:
    assert set(COMMANDS) >= CONTRACT


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_command(name: str) -> None:
    done = tapswitch(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: tapswitch {name}" in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_unknown_option_is_a_usage_error(name: str) -> None:
    assert tapswitch(name, "--no-such-option").returncode == 2


def test_version_is_one_json_object() -> None:
    assert json.loads(tapswitch("version", "--json").stdout)["version"]
