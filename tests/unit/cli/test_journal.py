"""`tapswitch journal`: what it prints and how it exits."""

import json
from pathlib import Path

import pytest

from switch.cli import run
from switch.model.ids import TxnId
from tests.support.config import SWITCH, write_config
from tests.support.journal import make_keys, open_journal
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")
TXN = TxnId(1, 0, 42).pack()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration directory whose data directory has a journal of two requests."""
    (tmp_path / "keys").mkdir()
    keys = make_keys(tmp_path / "keys")
    journal = open_journal(tmp_path / "data" / "journal" / "w0", keys)
    journal.append({"kind": "STARTED", "at_ms": 1_795_420_000_000, "node": 1, "boot": 1})
    for number in range(2):
        declined = {
            "kind": "DECLINED",
            "txn": TXN + number,
            "at_ms": 1_795_420_800_000 + number * 3_600_000,
            "key": bytes([number] * 16),
            "message_kind": 2,
            "amount": 12_345,
            "currency": "156",
            "rrn": f"{number:012d}",
            "stan": f"{number:06d}",
            "terminal_id": "T0000001",
            "code": "92",
            "outcome": 3,
            "end": "SR",
            "config_hash": bytes.fromhex(f"0{number}" * 8),
        }
        journal.append(declined)
    journal.close()
    return write_config(tmp_path, SWITCH, dialect=DIALECT)


def test_sound_journal_verifies(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journal", "verify", str(config)]) == 0
    output = capsys.readouterr().out
    assert f"{config}/data/journal/w0: 4 records written, 1 segments" in output
    assert output.endswith("0 findings\n")


def test_damage_is_a_finding_with_place_and_remedy(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = config / "data" / "journal" / "w0" / "0000000001.seg"
    damaged = bytearray(segment.read_bytes())
    damaged[30] ^= 1
    segment.write_bytes(damaged)
    assert run(["journal", "verify", str(config)]) == 1
    output = capsys.readouterr().out
    assert "finding[structure]: the head block is damaged" in output
    assert f"--> {segment} at offset 0" in output
    assert "remedy: " in output
    assert run(["journal", "verify", str(config), "-o", "json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["findings"][0]["file"]) == (False, str(segment))


def test_broken_rule_names_record_and_transaction(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from switch.crypto.keyfile import open_keys

    keys = open_keys(str(config / "keys" / "switch.keys"), str(config / "keys" / "sealing.key"))
    journal = open_journal(config / "data" / "journal" / "w0", keys)
    journal.append({"kind": "SETTLED", "txn": TXN, "result": "00"})
    journal.close()
    assert run(["journal", "verify", str(config)]) == 1
    output = capsys.readouterr().out
    assert "finding[walk.3]: a reversal settled that was never owed" in output
    assert "--> record 5, transaction 1-0-42" in output


def test_query_lists_what_became_of_transactions(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["journal", "query", str(config), "--stan", "1"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["id", "time", "kind", "acquirer"]
    assert row.startswith("1-0-43  2026-11-23 09:00:00.000Z  purchase")
    assert "12345 156" in row
    assert run(["journal", "query", str(config), "-o", "json", "--since", "2026-11-23"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == ["1-0-42", "1-0-43"]
    assert run(["journal", "query", str(config), "--since", "2026-11-23T08:30", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert run(["journal", "query", str(config), "--rrn", "nowhere"]) == 1


def test_transactions_are_found_by_the_configuration_they_were_decided_under(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["journal", "query", str(config), "--config-hash", "0101", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["config"]) == ("1-0-43", "01" * 8)
    assert run(["journal", "query", str(config)]) == 0
    assert f"  {'00' * 8}" in capsys.readouterr().out
    assert run(["journal", "show", str(config), "1-0-43"]) == 0
    assert f"config_hash        {'01' * 8}\n" in capsys.readouterr().out
    assert run(["journal", "query", str(config), "--config-hash", "ff"]) == 1


def test_show_prints_every_record_of_one(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journal", "show", str(config), "1-0-42"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("record 2  DECLINED  2026-11-23 08:00:00.000Z\n")
    assert "code               92\n" in output
    assert run(["journal", "show", str(config), str(TXN), "-o", "json"]) == 0
    assert [r["lsn"] for r in json.loads(capsys.readouterr().out)] == [2]
    assert run(["journal", "show", str(config), "1-0-1"]) == 1
    assert run(["journal", "show", str(config), "nonsense"]) == 2


def test_journal_by_itself_needs_its_keys(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(config / "data" / "journal" / "w0")
    assert run(["journal", "verify", directory]) == 2
    assert "--config DIR names its keys" in capsys.readouterr().err
    assert run(["journal", "verify", directory, "--config", str(config)]) == 0
    keys, sealing = str(config / "keys" / "switch.keys"), str(config / "keys" / "sealing.key")
    assert run(["journal", "verify", directory, "--keys", keys, "--sealing-key-file", sealing]) == 0
    (config / "keys" / "sealing.key").chmod(0o640)
    assert run(["journal", "verify", str(config)]) == 3
    assert "chmod 600" in capsys.readouterr().err
    assert run(["journal", "query", str(config), "--since", "yesterday"]) == 2
