"""The README's shell blocks run as they stand, from the root of the clone, in their order."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.tree import ROOT, text_of

pytestmark = [pytest.mark.tidy, pytest.mark.slow, pytest.mark.timeout(300)]

BLOCKS: Final = re.findall(
    r"^```sh\n(.*?)^```", text_of(Path("README.md")), flags=re.MULTILINE | re.DOTALL
)
ITSELF: Final = "make test\n"
SECONDS: Final = 5
"""How long what runs until Ctrl-C is left running."""


@pytest.fixture(autouse=True)
def _clean_node() -> None:
    shutil.rmtree(ROOT / "var" / "node", ignore_errors=True)


def run(block: str) -> subprocess.CompletedProcess[str]:
    """One block in one shell; DEMO bounds the demo, SIGINT to the group is the user's Ctrl-C."""
    until_stopped = "tapswitch run" in block
    with subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=ROOT,
        env=os.environ | {"DEMO": f"--for {SECONDS} -o json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS if until_stopped else 200)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            output, _ = process.communicate(timeout=30)
    return subprocess.CompletedProcess(block, process.returncode, output)


def test_readme_shows_demo_and_test() -> None:
    assert "make demo\n" in BLOCKS
    assert ITSELF in BLOCKS


def test_shell_blocks_run() -> None:
    """In one test: later blocks stand on what earlier ones made."""
    for block in BLOCKS:
        if block == ITSELF:
            continue
        done = run(block)
        assert done.returncode in ((0, 130) if "tapswitch run" in block else (0,)), (
            f"{block}\n{done.stdout}"
        )
