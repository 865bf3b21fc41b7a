"""`tapswitch token`, on the vault itself: no gateway runs here."""

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from switch.cli import run
from tests.support.config import SWITCH, write_config
from tests.support.vault import REQUESTOR, card

TOKENS = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'


class Shell:
    """Runs commands of one configuration, a card number on standard input where one is needed."""

    def __init__(
        self, directory: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.config = str(write_config(directory, SWITCH + TOKENS))
        self._capsys = capsys
        self._patch = patch
        assert run(["keys", "create", "--config", self.config]) == 0
        capsys.readouterr()

    def __call__(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """What it printed on stdout, and on stderr when `code` is not 0."""
        self._patch.setattr("sys.stdin", io.StringIO(stdin))
        command, *rest = words
        assert run(["token", command, "--config", self.config, *rest]) == code
        captured = self._capsys.readouterr()
        return captured.err if code else captured.out

    def json(self, *words: str, stdin: str = "") -> Any:
        return json.loads(self(*words, "-o", "json", stdin=stdin))

    def issue(self, *words: str, number: int = 1) -> str:
        """A token."""
        shown = self.json(
            "issue", "--requestor", REQUESTOR, "--card-expiry", "3106", "--reason", "new", *words,
            stdin=card(number).pan + "\n",
        )  # fmt: skip
        return str(shown["token"])


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    return Shell(tmp_path, capsys, monkeypatch)


def test_life_of_a_token(shell: Shell) -> None:
    token = shell.issue("--channel", "contactless", "--mcc", "4111", "--actor", "anna")
    assert "state      active" in shell("show", token)
    assert "by contactless; merchants 4111" in shell("show", token)
    assert "state      suspended" in shell("suspend", token, "--reason", "lost")
    assert "(as before)" in shell("suspend", token, "--reason", "lost")
    assert "state      active" in shell("resume", token, "--reason", "found")
    replaced = shell(
        "replace-pan", token, "--card-expiry", "3312", "--reason", "stolen",
        stdin=card(2).pan,
    )  # fmt: skip
    assert "629900******0023" in replaced
    assert "before     version 1  629900******0015" in shell("show", token)
    assert "state      deleted" in shell("delete", token, "--reason", "end")
    assert "deleted for good" in shell("resume", token, "--reason", "no", code=5)
    assert token in shell("list", "--state", "deleted")
    assert shell("list", "--state", "active") == ""
    assert "the chain holds" in shell("audit", "--verify")
    rows = shell.json("audit")["rows"]
    assert [row["action"] for row in rows if row["actor"] == "anna"] == ["issue"]
    assert [row["outcome"] for row in rows if row["action"] == "resume"] == ["done", "refused"]
    assert "in step" in shell("status")
    assert "in step" in shell("reindex", "--reason", "to see")


def test_card_number_comes_by_a_descriptor_too(shell: Shell) -> None:
    reader, writer = os.pipe()
    os.write(writer, card(3).pan.encode() + b"\nrest")
    os.close(writer)
    token = shell.issue("--pan-fd", str(reader))
    os.close(reader)
    assert shell.json("show", token)["pan"][-4:] == card(3).pan[-4:]
    assert token in shell("list", "--by-pan", stdin=card(3).pan)
    assert shell("list", "--by-pan", stdin=card(4).pan) == ""


def test_descriptor_that_is_not_open_is_a_usage_error(shell: Shell) -> None:
    shell(
        "issue", "--requestor", REQUESTOR, "--card-expiry", "3106", "--reason", "x", "--pan-fd",
        "999999", code=2,
    )  # fmt: skip


def test_no_option_takes_a_card_number(shell: Shell) -> None:
    pan = card(1).pan
    said = shell("show", pan, code=5)
    assert "a card number never goes onto a command line" in said
    assert pan not in said
    shell("issue", "--pan", pan, code=2)


def test_reason_is_needed_where_something_changes(shell: Shell) -> None:
    token = shell.issue()
    for command in ("suspend", "resume", "delete"):
        assert "--reason" in shell(command, token, code=2)


def test_no_card_number_is_printed(shell: Shell) -> None:
    token = shell.issue()
    printed = (
        shell("show", token)
        + shell("list")
        + shell("audit")
        + json.dumps([shell.json("show", token), shell.json("list"), shell.json("audit")])
    )
    assert card(1).pan not in printed
    assert set(re.findall(r"(?<!\d)6299\d{12}(?!\d)", printed)) == {token}


def test_import_prints_lines_with_their_tokens(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "cards.csv"
    rows = [f"{card(number).pan},3106" for number in range(30)]
    file.write_text("pan,card_expiry\n" + "\n".join(rows) + "\n", encoding="utf-8")
    out = tmp_path / "tokens.csv"
    shell("import", str(file), "--requestor", REQUESTOR, "--reason", "load", "--out", str(out))
    lines = out.read_text().splitlines()
    assert lines[0] == "line,token"
    assert len(lines) == 31
    line, token = lines[8].split(",")
    assert line == "9"
    assert shell.json("show", token)["pan"][-4:] == card(7).pan[-4:]


def test_import_reads_json_lines_from_standard_input(shell: Shell) -> None:
    text = "".join(
        json.dumps({"pan": card(n).pan, "card_expiry": "3106", "requestor": REQUESTOR}) + "\n"
        for n in range(3)
    )
    printed = shell(
        "import", "-", "--format", "jsonl", "--reason", "load", "-o", "json", stdin=text
    )
    assert [json.loads(line)["line"] for line in printed.splitlines()] == [1, 2, 3]


def test_import_that_stops_says_where_to_go_on(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "cards.csv"
    bad = f"{card(1).pan[:-1]}0,3106" if card(1).pan[-1] != "0" else f"{card(1).pan[:-1]}1,3106"
    file.write_text(f"pan,card_expiry\n{card(0).pan},3106\n{bad}\n", encoding="utf-8")
    said = shell("import", str(file), "--requestor", REQUESTOR, "--reason", "load", code=5)
    assert "line 3: the card number's check digit is wrong" in said
    assert "go on with --skip-to 2" in said
    file.write_text(f"pan,card_expiry\n{bad}\n{card(0).pan},3106\n", encoding="utf-8")
    shell("import", str(file), "--requestor", REQUESTOR, "--reason", "load", "--skip-to", "3")
    assert len(shell.json("list")["tokens"]) == 1


def test_file_that_is_not_there_is_a_usage_error(shell: Shell, tmp_path: Path) -> None:
    shell("import", str(tmp_path / "none.csv"), "--reason", "load", code=2)


def test_node_without_tokens_says_so(shell: Shell, tmp_path: Path) -> None:
    write_config(tmp_path, SWITCH)
    assert "there is no [tokens]" in shell("list", code=3)


def test_vault_that_somebody_holds_is_told(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from switch.control import tokens
    from switch.tokens.lock import VaultLock

    monkeypatch.setattr(tokens, "WAIT_S", 0.2)
    shell.issue()
    lock = VaultLock(str(tmp_path / "data" / "vault" / "vault.sqlite"))
    assert lock.take()
    assert f"process {os.getpid()} holds the vault" in shell("list", code=3)
    lock.release()
    assert shell("list")
