"""What `tapswitch check` prints and how it exits."""

import json
from pathlib import Path

import pytest

from switch.cli import run
from tests.support.config import ROUTES, SWITCH, write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")


def config(directory: Path, switch: str = SWITCH, routes: str = ROUTES) -> str:
    return str(write_config(directory, switch, routes, DIALECT))


def test_warnings_alone_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", config(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("warning[keys]: there are no keys yet")
    assert output.endswith("0 errors, 1 warnings\n")


def test_warnings_are_findings_when_strict(tmp_path: Path) -> None:
    assert run(["check", "--strict", config(tmp_path)]) == 1


def test_unknown_member_is_a_finding_with_place_and_suggestion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = config(tmp_path, routes=ROUTES.replace('"BANK02"', '"BANK20"'))
    assert run(["check", directory]) == 1
    output = capsys.readouterr().out
    assert 'error[routes]: no issuer "BANK20"' in output
    assert f"{tmp_path}/routes/cards.toml:7:1" in output
    assert '7 | issuer = "BANK20"\n' in output
    assert 'help: did you mean "BANK' in output


def test_unknown_key_is_refused_with_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", config(tmp_path, SWITCH + "[limit]\n")]) == 3
    assert "error[TSW-O0102]" in capsys.readouterr().err


def test_nothing_there_is_exit_code_3(tmp_path: Path) -> None:
    assert run(["check", str(tmp_path / "nowhere")]) == 3


def test_findings_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = config(tmp_path, SWITCH.replace("127.0.0.1:4102", "127.0.0.1:4001"))
    assert run(["check", "-o", "json", directory]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    found = next(row for row in report["findings"] if row["severity"] == "error")
    assert (found["rule"], found["key"]) == ("addresses", "issuers.1.listen")
    assert found["line"] == 18


@pytest.mark.parametrize("name", ["demo.toml", "switch.example.toml"])
def test_committed_settings_have_no_errors(name: str) -> None:
    assert run(["check", str(ROOT / "config" / name)]) == 0
