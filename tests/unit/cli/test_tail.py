"""`tapswitch tail` as it is called."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.cli import run
from tests.support.config import SWITCH, write_config
from tests.support.tree import ROOT
from tests.support.walk import PAN, World, open_world

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "node" / "data").mkdir(parents=True)
    with open_world(tmp_path / "node" / "data") as world:
        yield world


@pytest.fixture
def directory(world: World, tmp_path: Path) -> str:
    made = write_config(tmp_path / "node", SWITCH, dialect=DIALECT)
    (made / "keys").mkdir(exist_ok=True)
    for name, there in (("keys", "switch.keys"), ("sealing", "sealing.key")):
        (made / "keys" / there).write_bytes((made / "data" / name).read_bytes())
        (made / "keys" / there).chmod(0o600)
    world.approved(1)
    request, txn = world.purchase(2), world.next_txn()
    world.claim(request, txn)
    world.gate.decline(request, world.terminal, txn, world.acquirer, "92", "SR", world.wall_ms)
    world.sync()
    return str(made)


def tail(directory: str, *options: str) -> int:
    return run(["tail", "--config", directory, "--from-start", "--for", "0s", *options])


def test_text_shows_outcomes_masked(directory: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tail(directory) == 0
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert "ACQ01→BANK01" in first
    assert "629900******7891" in first
    assert "92 SR  declined" in second
    assert PAN not in said.out
    assert "2 of 2 outcomes shown" in said.err


def test_json_is_one_object_a_line_and_where_filters(
    directory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tail(directory, "--where", "issuer == BANK01 and code == 00", "-o", "json") == 0
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    row = json.loads(line)
    assert (row["schema"], row["stan"]) == ("tapswitch.tail/1", "000001")
    assert "1 filtered out" in said.err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--where", "isuer == X", 'did you mean "issuer"?'),
        ("--sample", "2/1", "is no share"),
        ("--rate-max", "fast", "is no rate"),
        ("--for", "long", "is no length of time"),
    ],
)
def test_what_is_not_understood_is_a_usage_error(
    directory: str, capsys: pytest.CaptureFixture[str], option: str, value: str, said: str
) -> None:
    assert run(["tail", "--config", directory, option, value]) == 2
    assert said in capsys.readouterr().err
