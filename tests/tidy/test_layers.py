"""The layer contract holds, and what breaks it is caught by the real tool on a planted import."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT

pytestmark = pytest.mark.tidy


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(tool), "--no-cache", "--config", "pyproject.toml"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python sources and the contract, free to be broken."""
    directory = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", directory)
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.pyi")
    shutil.copytree(ROOT / "switch", directory / "switch", ignore=ignored)
    return directory


def test_contract_holds() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    assert "4 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("link/planted.py", "import time", "Pure rooms"),
        ("engine/planted.py", "import logging", "Pure rooms"),
        ("model/planted.py", "import os.path", "Pure rooms"),
        ("wire/planted.py", "from switch.settings import schema", "Pure rooms"),
        ("native.py", "import threading", "Pure rooms"),
        ("model/planted.py", "from switch import runtime", "The rooms"),
        ("engine/planted.py", "from switch import link", "The rooms"),
        ("sim/planted.py", "from switch import services", "The rooms"),
        ("cellar.py", "from switch import errors", "The rooms"),
        ("engine/planted.py", "from switch import native", "The door to the extension"),
        ("services/second.py", "from switch.services import first", "Services never know"),
    ],
)
def test_planted_violation_is_caught(copy: Path, file: str, line: str, broken: str) -> None:
    planted = copy / "switch" / file
    before = planted.read_text(encoding="utf-8") if planted.exists() else None
    first = copy / "switch" / "services" / "first.py"
    first.touch()
    planted.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        done = lint_imports(copy)
    finally:
        first.unlink()
        if before is None:
            planted.unlink()
        else:
            planted.write_text(before, encoding="utf-8")
    assert done.returncode == 1, done.stdout
    verdicts = [row for row in done.stdout.splitlines() if row.endswith("BROKEN")]
    assert len(verdicts) == 1, done.stdout
    assert verdicts[0].startswith(broken)


def test_copy_itself_is_clean(copy: Path) -> None:
    assert lint_imports(copy).returncode == 0
