"""A small certificate authority for tests: keys and certificates made when they are needed, with
any fault that a test wants."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Pair", "tls_table"]

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Pair(NamedTuple):
    """Paths of a certificate and its key, as strings; `ca` is who signed it."""

    certificate: str
    key: str
    ca: str

    def client(self, ca: str = "") -> ssl.SSLContext:
        """A peer that connects: checks chain and name as Python does by default."""
        context = ssl.create_default_context(cafile=ca or self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def server(self, ca: str = "") -> ssl.SSLContext:
        """A peer that is connected to; wants a certificate of us."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca or self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """Signs what it is asked to."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test {name}")])
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(self.name, self._key, timedelta(days=-1), timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = str(directory / f"{name}.pem")
        Path(self.file).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        names: Sequence[str] | None = None,
        common_name: str = "",
        begins: timedelta = timedelta(hours=-1),
        ends: timedelta = timedelta(days=90),
        purposes: Sequence[str] = ("server", "client"),
        weak: bool = False,
        file: str = "",
    ) -> Pair:
        """A certificate for `names` (DNS, IP address or URI; default: the name itself; empty: no
        alternative name) and its key in mode 0600, written to `file`.pem and .key."""
        key: Key = (
            rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - a fault that a test wants
            if weak
            else ec.generate_private_key(ec.SECP256R1())
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or name)])
        builder = self._builder(subject, key, begins, ends)
        alternative = [_general(one) for one in ([name] if names is None else names)]
        if alternative:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative), False)
        usages = {
            "server": ExtendedKeyUsageOID.SERVER_AUTH,
            "client": ExtendedKeyUsageOID.CLIENT_AUTH,
        }
        if purposes:
            usage = x509.ExtendedKeyUsage([usages[purpose] for purpose in purposes])
            builder = builder.add_extension(usage, False)
        certificate = builder.sign(self._key, hashes.SHA256())
        base = self.directory / (file or name.replace("*", "any"))
        pair = Pair(f"{base}.pem", f"{base}.key", self.file)
        Path(pair.certificate).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        path = Path(pair.key)
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair

    def _builder(
        self, subject: x509.Name, key: Key, begins: timedelta, ends: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)  # noqa: TID251 - certificates of tests are of today
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )


def _general(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def tls_table(side: str, ours: Pair, *names: str, ca: str = "") -> str:
    """TOML of `[acquirers.tls]` or `[issuers.tls]`."""
    listed = ", ".join(f'"{name}"' for name in names)
    return (
        f'[{side}.tls]\ncertificate = "{ours.certificate}"\nkey = "{ours.key}"\n'
        f'ca = "{ca or ours.ca}"\nnames = [{listed}]\n'
    )
