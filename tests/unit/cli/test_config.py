"""`tapswitch config`: what it prints and how it exits."""

import json
from pathlib import Path

import pytest

from switch.cli import run
from switch.crypto.keyfile import create_keys
from switch.native import codec
from switch.settings.sources import in_force_file, read_sources
from tests.support.config import ROUTES, SWITCH, write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A configuration directory whose node has run: what it says is in force."""
    keys = tmp_path / "keys"
    create_keys(str(keys / "switch.keys"), str(keys / "sealing.key"), demo=False)
    write_config(tmp_path, SWITCH, ROUTES, DIALECT)
    read_sources(tmp_path).keep(in_force_file(tmp_path / "data"))
    return tmp_path


def edit(node: Path, find: str, put: str) -> None:
    file = node / "switch.toml"
    text = file.read_text(encoding="utf-8")
    assert find in text
    file.write_text(text.replace(find, put), encoding="utf-8")


def test_what_is_shown_is_a_settings_file_of_the_same_meaning(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ([], ["--effective"], ["--effective", "--origin"]):
        assert run(["config", "show", str(node), *options]) == 0
        shown = codec.parse_toml(capsys.readouterr().out)[0]
        routes = shown.pop("routes")
        assert [route["prefix"] for route in routes] == ["629900", "629901"]
        assert [bank["id"] for bank in shown["issuers"]] == ["BANK01", "BANK02"]
        assert shown["acquirers"][0]["listen"] == "127.0.0.1:4001"
        assert ("deadline_ms" in shown["issuers"][0]) is ("--effective" in options)


def test_origin_is_file_and_line_or_default(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", str(node), "--effective", "--origin"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f'listen = "127.0.0.1:4001"  # {node}/switch.toml:7' in lines
    assert f'prefix = "629901"  # {node}/routes/cards.toml:6' in lines
    assert "deadline_ms = 20000  # default" in lines


def test_secrets_are_paths_and_fingerprints(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show", str(node), "--effective", "-o", "json"]) == 0
    output = capsys.readouterr().out
    keys = {row["key"]: row for row in json.loads(output)["keys"]}
    assert keys["keys.file"]["value"] == str(node / "keys" / "switch.keys")
    assert keys["keys.file"]["fingerprint"].startswith("sha256:")
    assert "fingerprint" not in keys["keys.sealing_key_file"]
    assert (node / "keys" / "sealing.key").read_bytes().hex() not in output
    (node / "keys" / "switch.keys").unlink()
    assert run(["config", "show", str(node), "--effective"]) == 0
    assert "# cannot be read: No such file" in capsys.readouterr().out


def test_what_is_in_force_is_not_what_stands_in_the_files(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(node, "127.0.0.1:4001", "127.0.0.1:4009")
    assert run(["config", "show", str(node), "--in-force"]) == 0
    assert "127.0.0.1:4001" in capsys.readouterr().out


def test_nothing_differs(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "diff", str(node)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing differs"


def test_differences_stand_under_their_effect(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(node, "127.0.0.1:4001", "127.0.0.1:4009")
    edit(node, 'mode = "accept"', 'mode = "accept"\ndeadline_ms = 9000')
    assert run(["config", "diff", str(node)]) == 1
    _, bounce, listen, where, live, deadline, _, verdict = capsys.readouterr().out.splitlines()
    assert (bounce, live) == ("bounces a link:", "live:")
    assert listen == '  ~ acquirers.ACQ01.listen  "127.0.0.1:4001" -> "127.0.0.1:4009"'
    assert where == f"      {node}/switch.toml:7; bounces ACQ01"
    assert deadline == "  ~ issuers.BANK02.deadline_ms  20000 -> 9000"
    assert verdict == "2 changes, bounces ACQ01"
    assert run(["config", "diff", str(node), "-o", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["bounces"], told["restart"], told["errors"]) == (["ACQ01"], False, 0)
    assert [row["effect"] for row in told["changes"]] == ["bounce", "live"]


def test_what_needs_a_restart_is_said_beforehand(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(node, "[node]", "[node]\nid = 2")
    assert run(["config", "diff", str(node)]) == 1
    output = capsys.readouterr().out
    assert "needs a restart:\n  ~ node.id  1 -> 2\n" in output
    assert "1 of 1 need a restart: a reload would change nothing" in output


def test_files_that_a_reload_would_refuse_are_exit_code_3(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(node, 'id = "BANK02"', 'id = "BANK09"')
    assert run(["config", "diff", str(node)]) == 3
    assert "1 errors: a reload would change nothing" in capsys.readouterr().out
    edit(node, "[node]", "[node")
    assert run(["config", "diff", str(node)]) == 3


def test_staged_files_are_compared_as_if_they_lay_in_place(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    staged = node / "staged"
    staged.mkdir()
    write_config(staged, SWITCH.replace("4001", "4009"), ROUTES, DIALECT)
    assert run(["config", "diff", str(staged)]) == 4, "its own node has not run"
    capsys.readouterr()
    assert run(["config", "diff", str(staged), "--against", str(node)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 changes, bounces ACQ01"
