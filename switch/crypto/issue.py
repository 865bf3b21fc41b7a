"""Making what a link's TLS needs: a private key and a request for a certificate, and a CA to
practise with.

A key is written once, in mode 0600, and never over another one. The practice CA is for links on one
machine and for trying things out with a partner's test host; its own key lies beside it.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from switch.crypto.keyfile import secret
from switch.errors import CertificateError

__all__ = ["PRACTICE_DAYS", "practice", "request"]

PRACTICE_DAYS: Final = 90
CA_FILE: Final = "ca.pem"
CA_KEY_FILE: Final = "ca.key"
COMMON_NAME_MAX: Final = 64
"""RFC 5280, ub-common-name."""

Key = ec.EllipticCurvePrivateKey
NAME = NameOID.COMMON_NAME


def request(key_file: str, names: Sequence[str]) -> bytes:
    """A request (PKCS #10, PEM) for a certificate of these names, the first its common name; made
    with the key of the file, which is made when there is none.

    Raises: CertificateError, KeyFileError.
    """
    if not Path(key_file).exists():
        key = _new_key(key_file)
    else:
        with secret(key_file, "private key", again=True) as descriptor:
            key = _loaded(key_file, Path(f"/proc/self/fd/{descriptor}").read_bytes())
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(names[0]))
    return (
        builder.add_extension(_alternative(names), critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def practice(directory: Path, names: Sequence[str], now_s: int) -> list[Path]:
    """Certificates of these names, fit for both sides, under the practice CA of the directory,
    which is made when there is none. Returns what was written.

    Raises: CertificateError, also when a certificate of a name is there already.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_file, ca_key_file = directory / CA_FILE, directory / CA_KEY_FILE
    now = datetime.fromtimestamp(now_s, UTC)
    written = []
    if ca_key_file.exists():
        ca_key = _loaded(str(ca_key_file), ca_key_file.read_bytes())
    else:
        ca_key = _new_key(str(ca_key_file))
        authority = (
            _builder(_subject("tapswitch practice CA"), _subject("tapswitch practice CA"), now, 10)
            .public_key(ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_others=True), critical=True)
            .add_extension(_identifier(ca_key), critical=False)
            .sign(ca_key, SHA256())
        )
        _write(ca_file, authority.public_bytes(Encoding.PEM), 0o644)
        written.append(ca_file)
    issuer = x509.load_pem_x509_certificate(ca_file.read_bytes()).subject
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    for name in names:
        file = directory / f"{name}.pem"
        key = _new_key(str(directory / f"{name}.key"))
        certificate = (
            _builder(_subject(name), issuer, now, 1)
            .public_key(key.public_key())
            .add_extension(_alternative([name]), critical=False)
            .add_extension(both, critical=False)
            .add_extension(_usage(signs_others=False), critical=True)
            .add_extension(_identifier(key), critical=False)
            .add_extension(authority_key, critical=False)
            .sign(ca_key, SHA256())
        )
        _write(file, certificate.public_bytes(Encoding.PEM), 0o644)
        written.append(file)
    return written


def _builder(
    subject: x509.Name, issuer: x509.Name, now: datetime, times: int
) -> x509.CertificateBuilder:
    # An hour back: clocks of two machines differ.
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=PRACTICE_DAYS * times))
    )


def _usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _identifier(key: Key) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NAME, name[:COMMON_NAME_MAX])])


def _alternative(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general(name) for name in names])


def _general(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise CertificateError(
            f"{name!r} is no DNS name, IP address or URI", help="for example switch.example"
        ) from None


def _loaded(file: str, data: bytes) -> Key:
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise CertificateError(
            "there is no private key in it that can be used", file=file
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(
            "the private key is there already, of a kind that is not made here",
            file=file,
            help=f"openssl req -new -key {file}",
        )
    return key


def _new_key(file: str) -> Key:
    key = ec.generate_private_key(ec.SECP256R1())
    Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(Path(file), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return key


def _write(file: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        raise CertificateError(
            f"cannot be made: {error.strerror}",
            file=str(file),
            help="nothing is ever written over; move it away first" if file.exists() else "",
        ) from None
    with os.fdopen(descriptor, "wb") as made:
        made.write(data)
