"""`tapswitch keys card-master`: keys come in by descriptor or file, and go out as check values."""

import json
import os
import pty
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.cli import run
from tests.support.config import SWITCH, write_config
from tests.support.emv import pipe

KEY = "0123456789ABCDEFFEDCBA9876543210"
CHECK = "08D7B4"
TOKENS = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'
AT = ["--scheme", "visa", "--prefix", "629977", "--index", "1"]
NEW = [*AT, "--institution", "BANK01", "--option", "A", "--check-value", CHECK]


@pytest.fixture
def config(tmp_path: Path) -> str:
    directory = str(write_config(tmp_path, SWITCH + TOKENS))
    assert run(["keys", "create", "--config", directory]) == 0
    return directory


def order(config: str, *words: str) -> int:
    name, *rest = words
    return run(["keys", "card-master", name, "--config", config, *rest])


def test_a_key_is_added_listed_and_retired(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "master.txt"
    secret.write_text(KEY)
    secret.chmod(0o600)
    assert order(config, "add", *NEW, "--key", str(secret)) == 0
    with pipe(KEY.encode()) as descriptor:
        assert order(config, "add", *NEW, "--usage", "script-mac", "--key", f"fd:{descriptor}") == 0
    capsys.readouterr()
    assert order(config, "list", "-o", "json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(row["usage"], row["check_value"]) for row in listed] == [
        ("cryptogram", CHECK),
        ("script-mac", CHECK),
    ]
    assert order(config, "retire", *AT, "--version", "1") == 3
    assert "--last" in capsys.readouterr().err
    assert order(config, "retire", *AT, "--version", "1", "--last") == 0
    assert order(config, "list") == 0
    captured = capsys.readouterr()
    assert "retired 20" in captured.out
    assert "in use" in captured.out
    assert KEY not in captured.out + captured.err


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--check-value", "08D7B"], 2, "six hexadecimal digits"),
        (["--check-value", "08D7B5"], 3, "it is 08D7B4"),
        (["--prefix", "62997x"], 3, "a card range 1 to 12 digits"),
        (["--institution", "a bank"], 3, "an institution is 1 to 16"),
    ],
)
def test_what_is_wrong_is_named(
    config: str, capsys: pytest.CaptureFixture[str], words: list[str], code: int, problem: str
) -> None:
    with pipe(KEY.encode()) as descriptor:
        assert order(config, "add", *NEW, "--key", f"fd:{descriptor}", *words) == code
    assert problem in " ".join(capsys.readouterr().err.split())


def test_a_key_file_that_others_may_read_is_refused(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "master.txt"
    secret.write_text(KEY)
    secret.chmod(0o640)
    assert order(config, "add", *NEW, "--key", str(secret)) == 3
    assert "the card master key has mode 0640" in capsys.readouterr().err


def test_a_key_is_no_argument_and_needs_a_source(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert order(config, "add", *NEW) == 2
    assert "no terminal to ask" in capsys.readouterr().err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A pseudo terminal that stands where /dev/tty is; its two ends."""
    ours, theirs = pty.openpty()
    name, real = os.ttyname(theirs), os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest: real(name if path == "/dev/tty" else path, *rest)
    )
    with os.fdopen(os.dup(theirs)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_typed_key_is_not_shown(
    config: str, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = terminal
    # What is typed before the echo is off is thrown away, so it is typed when that has happened.
    real = termios.tcsetattr
    silenced: list[bool] = []

    def set_and_type(descriptor: int, when: int, mode: list[object]) -> None:
        real(descriptor, when, mode)  # type: ignore[arg-type]
        if not silenced:
            silenced.append(True)
            os.write(ours, f"{KEY}\n".encode())

    monkeypatch.setattr(termios, "tcsetattr", set_and_type)
    assert order(config, "add", *NEW) == 0
    os.write(theirs, b"end\n")
    assert KEY.encode() not in os.read(ours, 1_000)
    assert termios.tcgetattr(theirs)[3] & termios.ECHO


def test_settings_without_tokens_have_no_card_masters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(write_config(tmp_path))
    assert run(["keys", "card-master", "list", "--config", directory]) == 3
    assert "no table [tokens]" in capsys.readouterr().err


def test_no_file_holds_a_key_that_was_entered(config: str, tmp_path: Path) -> None:
    with pipe(f"{KEY}\n".encode()) as descriptor:
        assert order(config, "add", *NEW, "--key", f"fd:{descriptor}") == 0
    raw = bytes.fromhex(KEY)
    forms = (raw, raw[:8], raw[8:], KEY.encode(), KEY.lower().encode())
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "card-masters.keys" for file in files)
    assert [f for f in files if any(form in f.read_bytes() for form in forms)] == []
