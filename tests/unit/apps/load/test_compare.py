"""Two runs are compared under the same conditions only, unless that is forced."""

import json
from pathlib import Path
from typing import Any

import pytest

from switch.apps.load import report
from switch.cli import run as tapswitch
from tests.support.load import made_run


def written(directory: Path, **changes: Any) -> str:
    directory.mkdir()
    report.save(directory, *made_run(**changes))
    return str(directory)


def machine(**facts: str) -> dict[str, dict[str, str]]:
    return {"machine": {"cpu": "a machine", "cores": "2", "stolen_percent": "0.1"} | facts}


def test_the_same_conditions_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = written(tmp_path / "a", tool="ladder", sustained=1_000.0)
    second = written(
        tmp_path / "b", tool="ladder", sustained=1_200.0, environment=machine(stolen_percent="3.0")
    )
    assert tapswitch(["bench", "compare", first, second, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["different"] == []
    assert told["lines"][0] == {
        "name": "rate that holds", "before": 1_000.0, "after": 1_200.0, "unit": "/s",
    }  # fmt: skip
    assert tapswitch(["bench", "compare", first, second]) == 0
    text = capsys.readouterr().out
    assert "+20.0 %" in text
    assert "p99 0200 due" in text


def test_another_machine_is_refused_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = written(tmp_path / "a")
    second = written(tmp_path / "b", environment=machine(cores="64"), plan={"rate": 900})
    assert tapswitch(["bench", "compare", first, second]) == 3
    said = capsys.readouterr().err
    assert "machine.cores '2' and '64'" in said
    assert "rate 500 and 900" in said
    assert "--force" in said
    assert tapswitch(["bench", "compare", first, second, "--force"]) == 0
    assert "not under the same conditions" in capsys.readouterr().out


def test_a_run_that_is_not_valid_is_no_yardstick(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = written(tmp_path / "a", valid=False, faults=["the generator sent late"])
    second = written(tmp_path / "b")
    assert tapswitch(["bench", "compare", first, second]) == 3
    assert "the first is not valid (the generator sent late)" in capsys.readouterr().err
