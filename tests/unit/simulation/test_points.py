"""Crash points: documented, reached by the code that they name, told when they are none."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from switch.apps.drill import CRASH_AT, Lives, arm
from switch.errors import OperatorError, UsageError
from switch.native import hook
from tests.support.tree import ROOT

ROW: Final = re.compile(r"^\| `([a-z.]+)` \| (.+) \|$", re.MULTILINE)
REACHED: Final = re.compile(r"\breach\(\s*\"([a-z.]+)\"")


def test_the_table_names_every_point_and_no_other() -> None:
    page = (ROOT / "docs/reference/crash-points.md").read_text()
    assert ROW.findall(page) == hook.points()


def test_python_reaches_only_points_that_there_are_and_all_that_are_its_own() -> None:
    reached = set()
    for path in sorted((ROOT / "switch").rglob("*.py")):
        reached |= set(REACHED.findall(path.read_text()))
    names = {name for name, _ in hook.points()}
    assert reached <= names
    own = ("worker.", "vault.", "index.", "release.between")
    assert {name for name in names if name.startswith(own)} == reached


def test_a_real_process_kills_itself_at_the_nth_arrival() -> None:
    program = """from switch.native import hook
hook.arm("worker.started:2")
for n in range(3):
    print(n, flush=True)
    hook.reach("worker.started")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"0\n1\n")


def test_points_that_are_none_are_told() -> None:
    with pytest.raises(UsageError, match="no crash point"):
        hook.arm("nowhere:1")
    with pytest.raises(UsageError, match=r"is not NAME:N"):
        hook.arm("worker.started")
    assert not hook.armed()
    hook.reach("not even looked at")
    hook.given()


def test_the_environment_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CRASH_AT, "worker.started:9")
    arm()
    assert hook.armed()
    monkeypatch.delenv(CRASH_AT)
    arm()
    assert not hook.armed()
    monkeypatch.setenv(CRASH_AT, "worker:started")
    with pytest.raises(OperatorError, match=r"TAPSWITCH_CRASH_AT: .*is not NAME:N"):
        arm()


def test_each_life_of_a_node_has_a_death_of_its_own_and_the_last_has_none() -> None:
    asked = "journal.appended:3, vault.commit.after:1,worker.resumed:1"
    lives = Lives({"PATH": "/bin", CRASH_AT: asked})
    assert lives.beside(keyed=False) == {"PATH": "/bin"}
    assert lives.worker() == {"PATH": "/bin", CRASH_AT: "journal.appended:3"}
    assert lives.beside(keyed=True) == {"PATH": "/bin", CRASH_AT: "vault.commit.after:1"}
    assert lives.worker() == {"PATH": "/bin", CRASH_AT: "worker.resumed:1"}
    for left in (lives.worker(), lives.beside(keyed=True), Lives({"PATH": "/bin"}).worker()):
        assert left == {"PATH": "/bin"}


def test_a_release_is_handed_over_by_turns_only_for_points_behind_the_hand_over() -> None:
    try:
        for name, _ in hook.points():
            hook.arm(f"{name}:999")
            assert hook.handing() == (
                name == "release.between"
                or name.endswith(("request.after", "answer.after", "reversal.after"))
            )
    finally:
        hook.arm("")
    assert not hook.handing()


@pytest.mark.parametrize("app", ["worker", "gateway"])
def test_a_process_refuses_a_point_that_is_none(app: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"switch.apps.{app}", "--config", str(tmp_path)],
        env=os.environ | {CRASH_AT: "nowhere:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == OperatorError.exit_code
    assert "there is no crash point" in done.stdout + done.stderr
