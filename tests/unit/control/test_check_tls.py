"""What `tapswitch check` says of certificates, at the key of the settings that names them."""

from datetime import timedelta
from pathlib import Path

import pytest

from switch.control.check import check_node
from switch.control.check_tls import EXPIRES_SOON_S, day
from switch.crypto.keyfile import create_keys
from tests.support.ca import Authority, Pair, tls_table
from tests.support.config import ROUTES, SWITCH, write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def found(tmp_path: Path, ours: Pair, side: str = "acquirers") -> list[tuple[str, str, str, str]]:
    """(severity, rule, key, problem) for a node whose first member of `side` has these files."""
    first = {"acquirers": "[[issuers]]", "issuers": '[[issuers]]\nid = "BANK02"'}[side]
    switch = SWITCH.replace(first, tls_table(side, ours, "peer.test") + first, 1)
    directory = tmp_path / "node"
    directory.mkdir(exist_ok=True)
    write_config(directory, switch, ROUTES, DIALECT)
    keys = directory / "keys"
    if not keys.exists():
        create_keys(str(keys / "switch.keys"), str(keys / "sealing.key"))
    placed = check_node(directory)
    lines = (directory / "switch.toml").read_text(encoding="utf-8").splitlines()
    for one in placed:
        key = one.finding.key.rpartition(".")[2]
        assert lines[one.line - 1].startswith(f"{key} = "), "the place is that of the key"
    return [(f.severity, f.rule, f.key, f.problem) for f in (one.finding for one in placed)]


def test_good_files_are_not_spoken_of(tmp_path: Path, ca: Authority) -> None:
    assert found(tmp_path, ca.issue("switch.test")) == []
    assert found(tmp_path, ca.issue("switch.test"), "issuers") == []


def test_every_file_that_is_missing_is_named(tmp_path: Path, ca: Authority) -> None:
    pair = ca.issue("switch.test")
    Path(pair.certificate).unlink()
    Path(pair.ca).unlink()
    assert [(severity, rule, key) for severity, rule, key, _ in found(tmp_path, pair)] == [
        ("error", "certificates", "acquirers.0.tls.certificate"),
        ("error", "certificates", "acquirers.0.tls.ca"),
    ]


def test_key_that_others_may_read_or_of_another_certificate(tmp_path: Path, ca: Authority) -> None:
    pair = ca.issue("switch.test")
    Path(pair.key).chmod(0o604)
    ((_, rule, key, problem),) = found(tmp_path, pair)
    assert (rule, key) == ("certificates", "acquirers.0.tls.key")
    assert problem == f"{pair.key}: the private key has mode 0604: others may read it"
    ((_, _, key, problem),) = found(tmp_path, pair._replace(key=ca.issue("other").key))
    assert key == "acquirers.0.tls.key"
    assert "does not belong to" in problem


def test_ca_file_without_certificates(tmp_path: Path, ca: Authority) -> None:
    pair = ca.issue("switch.test")
    ((_, _, key, problem),) = found(tmp_path, pair._replace(ca=pair.key))
    assert (key, problem) == (
        "acquirers.0.tls.ca",
        f"{pair.key}: there is no certificate in the CA file",
    )


@pytest.mark.parametrize(
    ("begins", "ends", "severity", "words"),
    [
        (timedelta(days=-9), timedelta(days=-1), "error", " ended on "),
        (timedelta(days=2), timedelta(days=90), "error", " is not valid before "),
        (timedelta(days=-9), timedelta(days=7, hours=1), "warning", " ends in 7 days, on "),
    ],
)
def test_certificate_that_is_not_valid_or_ends_soon(
    tmp_path: Path, ca: Authority, begins: timedelta, ends: timedelta, severity: str, words: str
) -> None:
    pair = ca.issue("switch.test", begins=begins, ends=ends)
    ((said, rule, key, problem),) = found(tmp_path, pair)
    assert (said, rule, key) == (severity, "certificate_expiry", "acquirers.0.tls.certificate")
    assert f"CN=switch.test{words}" in problem


def test_certificate_is_for_the_side_that_we_are_on(tmp_path: Path, ca: Authority) -> None:
    client = ca.issue("c", purposes=["client"])
    server = ca.issue("s", purposes=["server"])
    assert found(tmp_path, server) == []
    assert found(tmp_path, client, "issuers") == []
    for pair, side, usage in ((client, "acquirers", "connected"), (server, "issuers", "connects")):
        ((severity, rule, key, problem),) = found(tmp_path, pair, side)
        assert (severity, rule, key) == ("error", "certificates", f"{side}.0.tls.certificate")
        assert usage in problem


def test_ca_that_has_ended_lets_nobody_in(tmp_path: Path, ca: Authority) -> None:
    old = ca.issue("old ca", begins=timedelta(days=-9), ends=timedelta(days=-1))
    pair = ca.issue("switch.test")
    ((severity, rule, key, _),) = found(tmp_path, pair._replace(ca=old.certificate))
    assert (severity, rule, key) == ("error", "certificate_expiry", "acquirers.0.tls.ca")
    both = tmp_path / "both.pem"
    both.write_bytes(Path(old.certificate).read_bytes() + Path(ca.file).read_bytes())
    ((severity, _, _, _),) = found(tmp_path, pair._replace(ca=str(both)))
    assert severity == "warning"


def test_a_month_is_soon() -> None:
    assert EXPIRES_SOON_S == 30 * 86_400
    assert day(1_764_288_000) == "2025-11-28"
