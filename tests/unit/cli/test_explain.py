"""`tapswitch explain` as it is called."""

import json

import pytest

from switch.cli import run


def test_text_says_cause_money_and_who_acts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "TW", "--lang", "en"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("TW  bank timed out\n")
    assert "\nmoney:\n" in said
    assert "\nwho acts:\n" in said


def test_chinese_follows_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert run(["explain", "O0104"]) == 0
    assert "密钥不可用" in capsys.readouterr().out


def test_an_error_says_what_acquirers_and_scripts_see(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "TSW-P0101", "--lang", "en"]) == 0
    assert "answered to an acquirer with 30; exit code of a command 1" in capsys.readouterr().out


def test_json_has_a_schema_and_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "KC", "-o", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "tapswitch.explain/1"
    (code,) = said["codes"]
    assert (code["code"], code["kind"]) == ("KC", "end")
    assert code["title"]
    assert code["title_zh"]


def test_unknown_code_is_a_finding_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "O01022"]) == 1
    assert "did you mean TSW-O0102?" in capsys.readouterr().err


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 100
    assert any(line.startswith("--  ") for line in lines)
