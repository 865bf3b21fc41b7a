"""`tapswitch keys`: made once, shown by check values only."""

import json
from pathlib import Path

import pytest

from switch.cli import run
from tests.support.config import write_config


def test_keys_are_made_shown_and_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(write_config(tmp_path))
    assert run(["keys", "create", "--config", directory]) == 0
    assert str(tmp_path / "keys" / "sealing.key") in capsys.readouterr().out

    assert run(["keys", "show", "--config", directory, "-o", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["demo"] is False
    assert shown["check_values"]
    assert all(len(value) == 6 for value in shown["check_values"].values())

    assert run(["keys", "create", "--config", directory]) == 3
    assert "there are keys already" in capsys.readouterr().err


def test_no_key_byte_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(write_config(tmp_path))
    run(["keys", "create", "--config", directory])
    run(["keys", "show", "--config", directory])
    captured = capsys.readouterr()
    sealing = (tmp_path / "keys" / "sealing.key").read_bytes()
    assert sealing.hex() not in captured.out + captured.err


def test_keys_that_are_absent_cannot_be_shown(tmp_path: Path) -> None:
    assert run(["keys", "show", "--config", str(write_config(tmp_path))]) == 3
