"""Contexts from files: what they accept, and what each fault of a file is called."""

import ssl
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from switch.crypto.tls import load_material, stamp
from switch.errors import CertificateError
from switch.settings.schema import Tls
from tests.support.ca import Authority, Pair


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def table(pair: Pair, *, certificate: str = "", key: str = "", ca: str = "") -> Tls:
    return Tls(certificate=certificate or pair.certificate, key=key or pair.key, ca=ca or pair.ca)


def fault(made: Tls, *, server: bool = True) -> tuple[str, str, str]:
    """(key, problem, file's name) of what is wrong with a table."""
    with pytest.raises(CertificateError) as raised:
        load_material(made, server=server)
    return raised.value.key, raised.value.problem, Path(raised.value.file).name


@pytest.mark.parametrize("server", [True, False])
def test_context_takes_good_ciphers_and_wants_a_certificate(ca: Authority, server: bool) -> None:
    material = load_material(table(ca.issue("n")), server=server)
    context = material.context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    names = [one["name"] for one in context.get_ciphers()]
    assert [n for n in names if not n.startswith(("TLS_", "ECDHE-"))] == []
    assert [n for n in names if "CBC" in n or "SHA1" in n or n.endswith("-SHA")] == []
    assert context.options & ssl.OP_NO_TICKET
    assert len(context.get_ca_certs()) == len(material.trusted) == 1
    if server:
        assert context.num_tickets == 0


def test_chain_ends_with_its_first_certificate_to_end(ca: Authority) -> None:
    pair = ca.issue("n", ends=timedelta(days=7))
    material = load_material(table(pair), server=True)
    assert material.not_after_s == material.chain[0].not_after_s < material.trusted[0].not_after_s


def test_key_of_another_certificate_is_named(ca: Authority) -> None:
    found = fault(table(ca.issue("n"), key=ca.issue("m").key))
    assert found[0] == "key"
    assert found[1].startswith("the private key does not belong to ")
    assert found[2] == "m.key"


def test_key_that_others_may_read_is_refused(ca: Authority) -> None:
    pair = ca.issue("n")
    Path(pair.key).chmod(0o640)
    key, problem, _ = fault(table(pair))
    assert (key, problem) == ("key", "the private key has mode 0640: others may read it")


def test_key_that_is_missing_or_none_is_named(ca: Authority, tmp_path: Path) -> None:
    pair = ca.issue("n")
    key, problem, _ = fault(table(pair, key=str(tmp_path / "absent")))
    assert (key, problem) == ("key", "the private key cannot be opened: No such file or directory")
    other = tmp_path / "other"
    other.write_text("no key\n", encoding="utf-8")
    other.chmod(0o600)
    key, problem, _ = fault(table(pair, key=str(other)))
    assert key == "key"
    assert problem.startswith("there is no private key in it: ")


def test_encrypted_key_is_refused_without_asking(ca: Authority) -> None:
    pair = ca.issue("n")
    locked = Path(pair.key).with_suffix(".locked")
    subprocess.run(
        ["openssl", "pkey", "-in", pair.key, "-aes256", "-passout", "pass:secret", "-out", locked],
        check=True,
    )
    locked.chmod(0o600)
    key, problem, _ = fault(table(pair, key=str(locked)))
    assert key == "key"
    assert problem.startswith("the private key is encrypted")


def test_key_by_descriptor(ca: Authority) -> None:
    pair = ca.issue("n")
    with Path(pair.key).open("rb") as file:
        material = load_material(table(pair, key=f"fd:{file.fileno()}"), server=True)
        assert load_material(table(pair, key=f"fd:{file.fileno()}"), server=True) != material


def test_weak_certificate_is_refused(ca: Authority) -> None:
    key, problem, _ = fault(table(ca.issue("n", weak=True)))
    assert key == "certificate"
    assert problem.startswith("the certificate is too weak")


def test_certificate_and_ca_without_certificates_are_named(ca: Authority, tmp_path: Path) -> None:
    pair = ca.issue("n")
    empty = tmp_path / "empty.pem"
    empty.touch()
    problem = "there is no certificate in the %s"
    assert fault(table(pair, ca=str(empty))) == ("ca", problem % "CA file", "empty.pem")
    assert fault(table(pair, certificate=str(empty))) == (
        "certificate",
        problem % "certificate",
        "empty.pem",
    )


def test_stamp_changes_with_each_file(ca: Authority) -> None:
    made = table(ca.issue("n"))
    seen = {stamp(made)}
    ca.issue("n", ends=timedelta(days=300))
    seen.add(stamp(made))
    Path(made.ca).unlink()
    seen.add(stamp(made))
    assert len(seen) == 3
    assert stamp(made) in seen
