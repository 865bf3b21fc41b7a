"""promtool plays each alert's fault and its absence (config/monitoring/tests)."""

import subprocess
from pathlib import Path

import pytest

from tests.support.debian import debian_tool
from tests.support.monitoring import MONITORING

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TESTS = sorted((MONITORING / "tests").glob("*_test.yml"))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_each_alert_fires_on_its_fault_and_is_silent_without(file: Path) -> None:
    promtool = debian_tool("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_tests() -> None:
    assert len(TESTS) >= 9
