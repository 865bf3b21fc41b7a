"""Whatever is secret is closed to others, or the node does not start; the finding says how."""

import os
import shutil
from pathlib import Path

import pytest

from switch.apps.start import checked
from switch.cli import run
from switch.control.audit import Audit, audit_file
from switch.control.check_secrets import check_secrets
from switch.control.order import Caller
from switch.crypto.keyfile import create_keys
from switch.errors import SettingsError
from switch.settings.load import load
from tests.support.config import SWITCH, write_config
from tests.support.tree import ROOT

TOKENS = '\n[tokens]\nranges = [{ prefix = "629950", length = 16 }]\n[terminals]\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A node with one of everything secret, all of it closed."""
    write_config(tmp_path, SWITCH + TOKENS)
    settings = load(tmp_path)
    create_keys(settings.keys.file, settings.keys.sealing_key_file, demo=True)
    assert settings.tokens is not None
    assert settings.terminals is not None
    made = [
        settings.keys.link_keys_file, settings.terminals.file, settings.tokens.card_masters_file,
        settings.tokens.vault_file,
    ]  # fmt: skip
    for name in made:
        file = Path(name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
    for name in (settings.tokens.index_dir, f"{settings.node.data_dir}/journal/w0"):
        Path(name).mkdir(mode=0o700, parents=True)
    audit = Audit(audit_file(settings.node.data_dir), "")
    audit.attach(1)
    audit.command(1, {"order": "keys-create"}, Caller(1, 1, ""))
    audit.detach()
    return tmp_path


SECRETS = [
    "keys/switch.keys", "keys/link.keys", "keys/terminals.keys", "keys/card-masters.keys",
    "data/vault/vault.sqlite", "data/index", "data/journal/w0", "data/audit",
    "data/audit/orders.jsonl",
]  # fmt: skip


def test_closed_files_are_no_finding(directory: Path) -> None:
    assert list(check_secrets(load(directory))) == []


@pytest.mark.parametrize("mode", [0o040, 0o004, 0o020, 0o001])
@pytest.mark.parametrize("name", SECRETS)
def test_what_others_may_open_is_named_with_its_mode_and_the_chmod(
    directory: Path, name: str, mode: int
) -> None:
    file = directory / name
    private = 0o700 if file.is_dir() else 0o600
    file.chmod(private | mode)
    (finding,) = check_secrets(load(directory))
    assert (finding.severity, finding.rule) == ("error", "secrets")
    assert f"{file} has mode {private | mode:04o}" in finding.problem
    assert finding.help == f"chmod {private:o} {file}"


def test_start_and_check_refuse_it(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("link", "terminals", "card-masters"):
        (directory / "keys" / f"{name}.keys").unlink()
    dialect = ROOT / "config" / "dialects" / "iso87-ascii.toml"
    shutil.copy(dialect, directory / "dialects" / dialect.name)
    (directory / "data" / "vault" / "vault.sqlite").chmod(0o644)
    assert run(["check", str(directory)]) == 1
    told = capsys.readouterr().out
    assert "error[secrets]" in told
    assert f"chmod 600 {directory}/data/vault/vault.sqlite" in told
    with pytest.raises(SettingsError, match="has mode 0644: others may read or change it"):
        checked(str(directory))


def test_somebody_elses_file_is_refused_but_for_the_owner_of_the_data(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        # Only root gives files away; to anybody else all files here are a stranger's to user 4712.
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: 4712)
        found = list(check_secrets(load(directory)))
        assert found
        assert all(f"belongs to user {owner}" in one.problem for one in found)
        return
    (directory / "keys" / "link.keys").chmod(0o600)
    os.chown(directory / "keys" / "link.keys", 4711, -1)
    (finding,) = check_secrets(load(directory))
    assert "belongs to user 4711" in finding.problem
    os.chown(directory / "data", 4711, -1)
    assert list(check_secrets(load(directory))) == []
