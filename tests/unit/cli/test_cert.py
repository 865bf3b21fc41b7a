"""`tapswitch cert`: what it shows of files and of a node, makes, and never overwrites."""

import json
import re
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from switch.cli import run
from switch.crypto.certificate import read_pem
from switch.crypto.tls import peer_context
from tests.support.ca import Authority, tls_table
from tests.support.config import SWITCH, write_config


def node(directory: Path, table: str) -> Path:
    directory.mkdir()
    return write_config(directory, SWITCH.replace("[[issuers]]", table + "[[issuers]]", 1))


def test_names_of_a_file_are_shown_as_the_settings_list_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Authority(tmp_path).issue("POS.Bank.Test", purposes=["client"])
    assert run(["cert", "show", pair.certificate]) == 0
    out = capsys.readouterr().out
    assert "names     pos.bank.test\n" in out
    assert "for       client\n" in out
    assert re.search(r"valid     20\d\d-\d\d-\d\d to 20\d\d-\d\d-\d\d, (89|90) days left\n", out)


def test_certificates_of_a_node_by_member(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Authority(tmp_path / "ca").issue("switch.test")
    directory = node(tmp_path / "node", tls_table("acquirers", pair, "pos.test"))
    assert run(["cert", "show", str(directory), "-o", "json"]) == 0
    ours, ca = json.loads(capsys.readouterr().out)["certificates"]
    assert (ours["member"], ours["what"], ours["names"]) == ("ACQ01", "ours", ["switch.test"])
    assert (ca["what"], ca["ca"], ca["expected"]) == ("ca", True, ["pos.test"])


def test_ended_certificate_and_missing_file_are_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca = Authority(tmp_path / "ca")
    pair = ca.issue("switch.test", begins=timedelta(days=-9), ends=timedelta(days=-1))
    directory = node(tmp_path / "node", tls_table("acquirers", pair, "pos.test"))
    assert run(["cert", "show", str(directory)]) == 1
    assert "NOT VALID NOW" in capsys.readouterr().out
    Path(pair.certificate).unlink()
    assert run(["cert", "show", str(directory)]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().out


def test_request_makes_the_key_once_and_asks_for_the_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Authority(tmp_path / "ca").issue("switch.test")
    key = tmp_path / "new" / "switch.key"
    table = tls_table("acquirers", pair._replace(key=str(key)), "pos.test")
    directory = node(tmp_path / "node", table)
    words = ["cert", "request", "--config", str(directory), "--member", "ACQ01"]
    names = ["--name", "switch.example", "--name", "10.0.0.1", "--name", "bank://switch"]
    assert run([*words, *names]) == 0
    asked = x509.load_pem_x509_csr(capsys.readouterr().out.encode())
    assert asked.is_signature_valid
    assert asked.subject.rfc4514_string() == "CN=switch.example"
    alternative = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [one.value for one in alternative] == [
        "switch.example",
        alternative.get_values_for_type(x509.IPAddress)[0],
        "bank://switch",
    ]
    made = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert load_pem_private_key(made, None).public_key() == asked.public_key()
    assert run([*words, *names]) == 0
    assert key.read_bytes() == made
    assert run(["cert", "request", "--config", str(directory), "--member", "ACQ1", *names]) == 3
    assert 'did you mean "ACQ01"' in capsys.readouterr().err


def test_practice_certificates_shake_hands_and_are_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "tls"
    assert run(["cert", "practice", str(directory), "switch.test", "127.0.0.1"]) == 0
    assert run(["cert", "practice", str(directory), "bank.test"]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.split()]
    assert names == ["ca.pem", "switch.test.pem", "127.0.0.1.pem", "bank.test.pem"]
    ca = str(directory / "ca.pem")
    for name in ("switch.test", "127.0.0.1", "bank.test"):
        pair = str(directory / f"{name}.pem"), str(directory / f"{name}.key")
        for server in (True, False):
            peer_context(*pair, ca, server=server)
        (found,) = read_pem(pair[0], "certificate")[1]
        assert (found.names, found.issuer) == ((name,), read_pem(ca, "ca")[1][0].subject)
        assert stat.S_IMODE(Path(pair[1]).stat().st_mode) == 0o600
    assert run(["cert", "practice", str(directory), "bank.test"]) == 3
    assert "nothing is ever written over" in capsys.readouterr().err
    assert run(["cert", "practice", str(directory), "bänk"]) == 3
