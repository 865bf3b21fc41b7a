"""The simulators' command line: its help holds the table, its mistakes have their codes."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from switch.cli import run
from switch.cli.sim import command
from switch.sim.magic import TABLE
from tests.support.config import SWITCH, write_config

ISSUER = ["sim", "issuer", "--name", "BANK01", "--institution-code", "2", "--prefix", "629901"]


@pytest.mark.parametrize("which", ["issuer", "terminal"])
def test_help_holds_the_magic_table(which: str) -> None:
    result = CliRunner().invoke(command, [which, "--help"])
    assert result.exit_code == 0
    for digits, row in TABLE.items():
        assert f"{digits}  {row.code or '--'}  {row.meaning}" in result.output


@pytest.mark.parametrize(
    "where", [[], ["--listen", "127.0.0.1:0", "--dial", "127.0.0.1:1"]], ids=["none", "both"]
)
def test_a_bank_listens_or_dials(tmp_path: Path, where: list[str]) -> None:
    assert run([*ISSUER, "--ledger", str(tmp_path / "l"), *where]) == 2


def test_an_address_without_a_port_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*ISSUER, "--ledger", str(tmp_path / "l"), "--listen", "localhost"]) == 3
    assert "'localhost' is not host:port" in capsys.readouterr().err


def test_a_dialect_that_is_absent_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dialect = ["--dialect", str(tmp_path / "none.toml")]
    ledger = ["--ledger", str(tmp_path / "l"), "--listen", "127.0.0.1:0"]
    assert run([*ISSUER, *ledger, *dialect]) == 3
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize("lane", ["", "AB", "-"])
def test_a_lane_is_one_letter_or_digit(tmp_path: Path, lane: str) -> None:
    terminal = ["sim", "terminal", "--name", "A", "--institution-code", "1", "--prefix", "629901"]
    where = ["--connect", "127.0.0.1:1", "--ledger", str(tmp_path / "l"), "--lane", lane]
    assert run([*terminal, *where]) == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--tokens", "t"], "go together"),
        (["--tokens", "t", "--node", "n", "--part", "2/2"], "N/M with N below M"),
        (["--tokens", "t", "--node", "n", "--part", "half"], "N/M with N below M"),
    ],
)
def test_devices_need_tokens_and_a_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    terminal = ["sim", "terminal", "--name", "A", "--institution-code", "1", "--prefix", "629901"]
    where = ["--connect", "127.0.0.1:1", "--ledger", str(tmp_path / "l")]
    assert run([*terminal, *where, *words]) == 2
    assert problem in capsys.readouterr().err


def test_devices_are_made_of_demo_keys_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'
    node = str(write_config(tmp_path, SWITCH + tokens))
    assert run(["keys", "create", "--config", node]) == 0
    terminal = ["sim", "terminal", "--name", "A", "--institution-code", "1", "--prefix", "629901"]
    where = ["--connect", "127.0.0.1:1", "--ledger", str(tmp_path / "l")]
    assert run([*terminal, *where, "--tokens", str(tmp_path / "t"), "--node", node]) == 3
    assert "demo keys only" in capsys.readouterr().err
