"""X.509 certificates as an operator speaks of them: whose, until when, for what. No private key is
read here.

Names are compared, never guessed: a certificate speaks for the DNS names, IP addresses and URIs of
its subject alternative name; only where it has none of these does its common name count. Wildcards
match nothing but themselves, since a certificate for a whole domain names no institution.

**Source:** RFC 5280 4.2.1.6 (subject alternative name) and 4.2.1.12 (extended key usage); RFC 9525
for common names as a last resort.
"""

import functools
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from switch.errors import CertificateError

__all__ = ["FILE_BYTES_MAX", "Certificate", "carried", "normal", "read_certificate", "read_pem"]

FILE_BYTES_MAX: Final = 1 << 20
"""A larger file is a mistake; a bundle of all public CAs has a quarter of it."""
READ_MAX: Final = 256
"""Certificates that need not be read again: a fleet that comes back shows one and the same, and
reading it takes a tenth of what its hand-shake costs. Only what a CA of ours has signed is read."""
NAMES_MAX: Final = 100
"""Names of one certificate that are looked at."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of one certificate. Times are Unix seconds."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """What it speaks for, as `normal` has it."""
    not_before_s: int
    not_after_s: int
    is_ca: bool
    for_server: bool
    """May be shown by the side that is connected to."""
    for_client: bool
    """May be shown by the side that connects."""
    fingerprint: str
    """SHA-256, hexadecimal."""

    @classmethod
    def of(cls, found: x509.Certificate) -> "Certificate":
        """Raises: ValueError for one that cannot be read."""
        try:
            return cls._of(found)
        except Exception as error:  # noqa: BLE001 - told in one word, see below
            # The library has many words for a certificate that is not as it should be, and a peer
            # chooses which we get; it may only ever be refused for it.
            raise ValueError(f"{type(error).__name__} in a certificate") from None

    @classmethod
    def _of(cls, found: x509.Certificate) -> "Certificate":
        purposes = _purposes(found)
        return cls(
            subject=found.subject.rfc4514_string(),
            issuer=found.issuer.rfc4514_string(),
            names=_names(found),
            not_before_s=int(found.not_valid_before_utc.timestamp()),
            not_after_s=int(found.not_valid_after_utc.timestamp()),
            is_ca=_is_ca(found),
            for_server=not purposes or ExtendedKeyUsageOID.SERVER_AUTH in purposes,
            for_client=not purposes or ExtendedKeyUsageOID.CLIENT_AUTH in purposes,
            fingerprint=found.fingerprint(SHA256()).hex(),
        )


def read_pem(file: str, what: str) -> tuple[bytes, list[Certificate]]:
    """The bytes of a PEM file and the certificates in it, at least one, in their order; `what` it
    is, for errors.

    Raises: CertificateError.
    """
    try:
        path = Path(file)
        if path.stat().st_size > FILE_BYTES_MAX:
            raise CertificateError(f"the {what} is larger than {FILE_BYTES_MAX} bytes", file=file)
        data = path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"the {what} cannot be read: {error.strerror}", file=file, help="a file in PEM"
        ) from None
    if b"-----BEGIN CERTIFICATE-----" not in data:
        hint = "it holds a private key" if b"PRIVATE KEY" in data else _OTHER_FORM
        raise CertificateError(f"there is no certificate in the {what}", file=file, help=hint)
    try:
        found = [Certificate.of(one) for one in x509.load_pem_x509_certificates(data)]
    except ValueError as error:
        raise CertificateError(
            f"a certificate in the {what} is damaged: {error}", file=file, help=_OTHER_FORM
        ) from None
    return data, found


@functools.lru_cache(maxsize=READ_MAX)
def read_certificate(der: bytes) -> Certificate:
    """One certificate as it came over the wire. Raises: ValueError."""
    return Certificate.of(x509.load_der_x509_certificate(der))


def normal(name: str) -> str:
    """A name in the form in which names are compared: addresses canonical, all in lower case."""
    try:
        return str(ip_address(name.removeprefix("[").removesuffix("]")))
    except ValueError:
        return name.rstrip(".").casefold()


def carried(certificate: Certificate, wanted: Iterable[str]) -> str:
    """The first of the wanted names that the certificate speaks for; '' when it has none."""
    has = frozenset(certificate.names)
    return next((name for name in wanted if normal(name) in has), "")


_OTHER_FORM: Final = "PEM is text: openssl x509 -inform DER -in FILE makes it of DER"


def _names(found: x509.Certificate) -> tuple[str, ...]:
    names: list[str] = []
    try:
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        pass
    else:
        alternative = extension.value
        names += alternative.get_values_for_type(x509.DNSName)
        names += alternative.get_values_for_type(x509.UniformResourceIdentifier)
        names += [str(one) for one in alternative.get_values_for_type(x509.IPAddress)]
    if not names:
        common: Sequence[x509.NameAttribute[str | bytes]]
        common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [one.value for one in common if isinstance(one.value, str)]
    return tuple(dict.fromkeys(normal(name) for name in names[:NAMES_MAX]))


def _purposes(found: x509.Certificate) -> frozenset[x509.ObjectIdentifier]:
    try:
        usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return frozenset()
    purposes = frozenset(usage.value)
    if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in purposes:
        return frozenset()
    return purposes


def _is_ca(found: x509.Certificate) -> bool:
    try:
        return found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
