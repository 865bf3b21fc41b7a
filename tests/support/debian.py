"""Tools that only tests need, from PATH or from Debian's packages (scripts/debian-tool)."""

import os
import subprocess
from typing import NoReturn

import pytest

from tests.support.tree import ROOT

__all__ = ["debian_tool", "lacking"]


def lacking(reason: str) -> NoReturn:
    """This machine lacks what the test needs: skipped, and with CI=true failed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def debian_tool(command: str, *packages: str) -> str:
    """The path of `command`.

    Where it is not to be had the test is skipped and listed at the end of the run; with CI=true it
    fails instead.
    """
    done = subprocess.run(
        [str(ROOT / "scripts" / "debian-tool"), command, *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout.strip()
    lacking(f"{command} is not to be had here: {done.stderr.strip()}")
