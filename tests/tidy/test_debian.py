"""Tools that only tests need: skipped and listed where they cannot be had, a failure in CI."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import debian
from tests.support.tree import ROOT

pytestmark = pytest.mark.tidy

BASICS = ("bash", "dirname", "env", "find", "head")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the scripts on a machine without apt."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for name in BASICS:
        found = shutil.which(name)
        assert found, name
        (bin_dir / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(bin_dir))
    monkeypatch.setattr(debian, "ROOT", tmp_path)
    return tmp_path


def test_tool_on_the_path_is_taken(bare: Path) -> None:
    assert debian.debian_tool("bash") == str(bare / "bin" / "bash")


def test_unpacked_tool_is_taken(bare: Path) -> None:
    tool = bare / ".cache" / "debian" / "root" / "usr" / "bin" / "promtool"
    tool.parent.mkdir(parents=True)
    tool.touch()
    assert debian.debian_tool("promtool", "prometheus") == str(tool)


def test_without_apt_the_script_names_the_tool_and_exits_3(bare: Path) -> None:
    done = subprocess.run(
        ["scripts/debian-tool", "promtool", "prometheus"],
        cwd=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "promtool (and apt, to fetch it with) is missing" in done.stderr


def test_without_apt_a_test_is_skipped(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(BaseException, match="promtool is not to be had here") as caught:
        debian.debian_tool("promtool", "prometheus")
    assert type(caught.value).__name__ == "Skipped"


def test_without_apt_ci_fails(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(BaseException, match="promtool is not to be had here") as caught:
        debian.debian_tool("promtool", "prometheus")
    assert type(caught.value).__name__ == "Failed"
