"""`tapswitch trace` and the tap columns of `journal query`, over a real journal."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.cli import run
from switch.model.state import Cause
from tests.support.config import SWITCH, write_config
from tests.support.tree import ROOT
from tests.support.walk import OUT_TIME, PAN, World, open_world

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Its journal and keys lie where the configuration of `directory` says."""
    (tmp_path / "node" / "data").mkdir(parents=True)
    with open_world(tmp_path / "node" / "data") as world:
        yield world


@pytest.fixture
def directory(world: World, tmp_path: Path) -> Path:
    made = write_config(tmp_path / "node", SWITCH, dialect=DIALECT)
    keys = made / "keys"
    keys.mkdir(exist_ok=True)
    for name, there in (("keys", "switch.keys"), ("sealing", "sealing.key")):
        (keys / there).write_bytes((made / "data" / name).read_bytes())
        (keys / there).chmod(0o600)
    return made


def test_a_transaction_is_told_by_each_of_its_names(
    world: World, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, txn = world.approved(7)
    for wanted in ("7", f"{7:012}", f"1-0-{txn & 0xFFFF}"):
        assert run(["trace", wanted, "--config", str(directory)]) == 0
        said = capsys.readouterr()
        assert said.out.startswith(f"transaction 1-0-{txn & 0xFFFF}  purchase  12.34 156"), wanted
        assert "ACQ01  > 0200 STAN 000007" in said.out
        assert "BANK01 > 0210 code 00" in said.out
        assert "end --  answered" in said.out
        assert PAN not in said.out
        assert "records in" in said.err


def test_several_are_listed_and_all_can_be_told(
    world: World, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stan in (1, 2):
        world.approved(stan)
    # The second acquirer's number is the bank's number of the first.
    assert run(["trace", "2", "--config", str(directory)]) == 0
    assert capsys.readouterr().out.startswith("transaction 1-0-2")
    world.approved(3)
    request, txn, _ = world.purchase_to_bank(4)
    world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 3, OUT_TIME
    )
    world.sync()
    assert run(["trace", "3", "--config", str(directory)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split()[:3] == ["id", "time", "acquirer"]
    assert "2 transactions match" in said.err
    assert run(["trace", "3", "--config", str(directory), "--all"]) == 0
    assert capsys.readouterr().out.count("transaction 1-0-") == 2


def test_json_has_a_schema(
    world: World, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.approved(7)
    assert run(["trace", "7", "--config", str(directory), "-o", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "tapswitch.trace/1"
    (life,) = said["transactions"]
    assert [event["what"] for event in life["events"]][-1] == "told"


def test_nothing_found_is_a_finding(
    world: World, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.approved(7)
    assert run(["trace", "999", "--config", str(directory)]) == 1
    assert run(["trace", "7", "--config", str(directory), "--date", "2020-01-01"]) == 1
    assert run(["trace", "7", "--config", str(directory), "--acquirer", "ACQ99"]) == 1
    assert "no transaction '7' is in the journal" in capsys.readouterr().err


def test_a_card_number_has_no_place_on_the_command_line(
    world: World, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["trace", PAN, "--config", str(directory)]) == 2
    assert PAN not in capsys.readouterr().err


def test_query_finds_a_card_that_is_typed(
    world: World,
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world.approved(7)
    for typed, found in ((f"{PAN}\n", 0), ("6299000000000015\n", 1)):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        assert run(["journal", "query", str(directory), "--card"]) == found
        assert PAN not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("12x\n"))
    assert run(["journal", "query", str(directory), "--card"]) == 2


def test_query_tells_taps_and_ends(
    world: World, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.approved(1)
    request, txn = world.purchase(2), world.next_txn()
    world.claim(request, txn)
    world.gate.decline(
        request, world.terminal, txn, world.acquirer, "05", "DC", world.wall_ms, "atc_seen"
    )
    world.sync()
    for option in (["--taps"], ["--reason", "atc_seen"], ["--end", "dc"]):
        assert run(["journal", "query", str(directory), *option, "-o", "json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["stan"], row["reason"], row["tap"]) == ("000002", "atc_seen", True)
    assert run(["journal", "query", str(directory), "--no-taps", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["stan"] == "000001"
