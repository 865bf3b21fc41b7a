"""`tapswitch check` finds what needs dialects, keys and the file system."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from switch.control.check import Placed, check_node
from switch.crypto.keyfile import create_keys, open_keys
from switch.crypto.masters import create_demo_masters
from switch.settings.load import load
from tests.support.config import ROUTES, SWITCH, write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")
OUTSIDE = SWITCH.replace("127.0.0.1:4001", "0.0.0.0:4001")


def config(directory: Path, switch: str = SWITCH, dialect: str = DIALECT) -> Path:
    return write_config(directory, switch, ROUTES, dialect)


def with_keys(directory: Path, *, demo: bool) -> Path:
    keys = directory / "keys"
    create_keys(str(keys / "switch.keys"), str(keys / "sealing.key"), demo=demo)
    return directory


def rules(found: list[Placed]) -> list[tuple[str, str, str]]:
    """Without what the rules "tls" and "mac" say of links beyond this machine: they have tests of
    their own."""
    said = [(p.finding.severity, p.finding.rule, p.finding.key) for p in found]
    return [one for one in said if one[1] not in {"tls", "mac"}]


def test_sound_node_has_no_findings(tmp_path: Path) -> None:
    assert check_node(with_keys(config(tmp_path), demo=False)) == []


def test_absent_keys_on_loopback_are_a_warning(tmp_path: Path) -> None:
    found = check_node(config(tmp_path))
    assert rules(found) == [("warning", "keys", "keys.file")]
    assert "DEMO keys will be made" in found[0].finding.problem


def test_absent_keys_elsewhere_are_an_error(tmp_path: Path) -> None:
    found = check_node(config(tmp_path, OUTSIDE))
    assert rules(found) == [("error", "keys", "keys.file")]
    assert "tapswitch keys create" in found[-1].finding.help


def test_demo_keys_on_loopback_are_allowed(tmp_path: Path) -> None:
    assert check_node(with_keys(config(tmp_path), demo=True)) == []


@pytest.mark.parametrize(
    "switch",
    [
        OUTSIDE,
        SWITCH.replace("127.0.0.1:5001", "10.0.0.9:5001"),
        SWITCH.replace("127.0.0.1:4102", "[::]:4102"),
        SWITCH + '[metrics]\nlisten = "0.0.0.0:9464"\n',
    ],
)
def test_demo_keys_are_refused_on_any_other_address(tmp_path: Path, switch: str) -> None:
    found = check_node(with_keys(config(tmp_path, switch), demo=True))
    assert rules(found) == [("error", "keys", "keys.file")]
    assert "DEMO keys" in found[-1].finding.problem


TOKENS = SWITCH + '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\n'


def test_absent_card_masters_are_made_of_demo_keys_only(tmp_path: Path) -> None:
    key = "tokens.card_masters_file"
    for demo, severity in ((True, "warning"), (False, "error")):
        directory = tmp_path / severity
        directory.mkdir()
        found = check_node(with_keys(config(directory, TOKENS), demo=demo))
        assert rules(found) == [(severity, "card_masters", key)]


def test_range_of_tokens_without_a_key_that_proves_its_taps(tmp_path: Path) -> None:
    with_keys(config(tmp_path, TOKENS), demo=True)
    tokens = load(tmp_path).tokens
    assert tokens is not None
    keys = open_keys(str(tmp_path / "keys" / "switch.keys"), str(tmp_path / "keys" / "sealing.key"))
    create_demo_masters(tokens.card_masters_file, keys, ["62990"], 1)
    assert rules(check_node(tmp_path)) == [("warning", "card_masters", "tokens.ranges.0.prefix")]
    Path(tokens.card_masters_file).unlink()
    create_demo_masters(tokens.card_masters_file, keys, ["6299"], 1)
    assert check_node(tmp_path) == []


def test_a_bank_of_a_node_with_tokens_needs_the_leg_of_taps(tmp_path: Path) -> None:
    head, tail = DIALECT.split("[legs.tap]\n")
    without = head + tail[tail.index("[legs.") :]
    found = check_node(with_keys(config(tmp_path, TOKENS, without), demo=True))
    legs = [p.finding for p in found if p.finding.rule == "dialects"]
    assert [f.key for f in legs] == ["issuers.0.dialect", "issuers.1.dialect"]
    assert all("[legs.tap]" in f.help for f in legs)
    plain = tmp_path / "plain"
    plain.mkdir()
    assert check_node(with_keys(config(plain, dialect=without), demo=True)) == []


def test_sealing_key_that_others_may_read(tmp_path: Path) -> None:
    with_keys(config(tmp_path), demo=False)
    (tmp_path / "keys" / "sealing.key").chmod(0o644)
    found = check_node(tmp_path)
    assert rules(found) == [("error", "keys", "keys.sealing_key_file")]


def test_key_file_without_its_sealing_key(tmp_path: Path) -> None:
    with_keys(config(tmp_path), demo=False)
    (tmp_path / "keys" / "sealing.key").unlink()
    assert rules(check_node(tmp_path)) == [("error", "keys", "keys.sealing_key_file")]


def test_dialect_that_does_not_compile_names_its_line(tmp_path: Path) -> None:
    broken = DIALECT.replace("[fields", "[feilds", 1)
    found = check_node(with_keys(config(tmp_path, dialect=broken), demo=False))
    assert {p.finding.rule for p in found} == {"dialects"}
    assert found[0].file == str(tmp_path / "dialects" / "iso87-ascii.toml")
    assert found[0].line > 0


def test_data_directory_that_is_a_file(tmp_path: Path) -> None:
    with_keys(config(tmp_path), demo=False)
    (tmp_path / "data").touch()
    assert rules(check_node(tmp_path)) == [("error", "storage", "node.data_dir")]


def test_too_little_room_for_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_keys(config(tmp_path), demo=False)
    full = SimpleNamespace(f_bavail=100 << 8, f_frsize=4096)
    monkeypatch.setattr("switch.control.check.os.statvfs", lambda path: full)
    found = check_node(tmp_path)
    assert rules(found) == [("error", "storage", "node.data_dir")]
    assert "100 MiB are free, the journal needs 192 MiB" in found[0].finding.problem


def test_finding_stands_at_its_key(tmp_path: Path) -> None:
    config(tmp_path, SWITCH.replace('mode = "accept"\n', 'mode = "accept"\ndeadline_ms = 30000\n'))
    found = [p for p in check_node(tmp_path) if p.finding.severity == "error"]
    assert rules(found) == [("error", "deadlines", "acquirers.0.timeout_ms")]
    assert (found[0].line, found[0].column) == (4, 1), "absent key: its table"
