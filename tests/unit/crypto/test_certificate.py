"""What a certificate says of itself: names, validity, purpose; and files that hold none."""

import stat
from pathlib import Path

import pytest

from switch.crypto.certificate import FILE_BYTES_MAX, carried, normal, read_pem
from switch.errors import CertificateError
from tests.support.ca import Authority


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def test_names_are_those_of_the_alternative_name_in_one_form(ca: Authority) -> None:
    pair = ca.issue("n", names=["Bank01.Test", "10.0.0.7", "2001:DB8::1", "bank://one/Two"])
    _, (found,) = read_pem(pair.certificate, "certificate")
    assert found.names == ("bank01.test", "bank://one/two", "10.0.0.7", "2001:db8::1")
    assert carried(found, ["nobody", "BANK01.test."]) == "BANK01.test."
    assert carried(found, ["2001:0db8:0::1"]) == "2001:0db8:0::1"
    assert carried(found, ["[2001:db8::1]"]) == "[2001:db8::1]"
    assert carried(found, ["n", "01.test", ""]) == ""


def test_common_name_is_the_name_of_a_certificate_without_others(ca: Authority) -> None:
    pair = ca.issue("n", names=[], common_name="Bank of Test, POS host 1")
    _, (found,) = read_pem(pair.certificate, "certificate")
    assert found.names == ("bank of test, pos host 1",)


def test_wildcard_stands_for_nothing_but_itself(ca: Authority) -> None:
    pair = ca.issue("*.bank.test")
    _, (found,) = read_pem(pair.certificate, "certificate")
    assert carried(found, ["pos.bank.test"]) == ""
    assert carried(found, ["*.bank.test"]) == "*.bank.test"


def test_purposes_and_authority(ca: Authority) -> None:
    pair = ca.issue("n", purposes=["client"])
    _, (found,) = read_pem(pair.certificate, "certificate")
    assert (found.for_client, found.for_server, found.is_ca) == (True, False, False)
    _, (authority,) = read_pem(ca.file, "CA file")
    assert (authority.for_client, authority.for_server, authority.is_ca) == (True, True, True)
    assert found.issuer == authority.subject == "CN=Test ca"
    assert found.not_before_s < found.not_after_s
    assert len(found.fingerprint) == 64


def test_chain_is_read_in_its_order(ca: Authority, tmp_path: Path) -> None:
    pair = ca.issue("n")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(Path(pair.certificate).read_bytes() + Path(ca.file).read_bytes())
    _, found = read_pem(str(chain), "certificate")
    assert [one.subject for one in found] == ["CN=n", "CN=Test ca"]


def test_what_is_no_certificate_file_is_named(ca: Authority, tmp_path: Path) -> None:
    pair = ca.issue("n")
    file = tmp_path / "bad.pem"
    with pytest.raises(CertificateError, match=r"bad.pem: the CA file cannot be read: No such"):
        read_pem(str(file), "CA file")
    file.write_bytes(b"\x30\x82\x01\x0a")
    with pytest.raises(CertificateError, match=r"there is no certificate in the CA file.*PEM is"):
        read_pem(str(file), "CA file")
    with pytest.raises(CertificateError, match="it holds a private key"):
        read_pem(pair.key, "certificate")
    text = Path(pair.certificate).read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*text[:2], "AAAA", *text[3:]]), encoding="utf-8")
    with pytest.raises(CertificateError, match="a certificate in the certificate is damaged"):
        read_pem(str(file), "certificate")
    file.write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    with pytest.raises(CertificateError, match="is larger than"):
        read_pem(str(file), "certificate")


def test_normal_form_of_names() -> None:
    assert normal("Host.Example.") == "host.example"
    assert normal("[::1]") == "::1"
    assert normal("127.0.0.1") == "127.0.0.1"


def test_authority_of_the_tests_makes_private_keys(ca: Authority) -> None:
    assert stat.S_IMODE(Path(ca.issue("n").key).stat().st_mode) == 0o600
