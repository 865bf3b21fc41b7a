"""TLS contexts from files: what is accepted on every link of a switch, and why a file is not.

TLS 1.3 preferred, 1.2 at least; forward secrecy and authenticated encryption only; both sides show
a certificate, and only the CAs of the member's file count. Sessions are not resumed by ticket: each
hand-shake proves the peer anew, so that a certificate that has been taken away is out at once.

**Source:** RFC 9325 (recommendations for TLS 1.2 and 1.3); PCI DSS 4.2.1.
"""

import ssl
from pathlib import Path
from typing import Final

import msgspec

from switch.crypto.certificate import Certificate, read_pem
from switch.crypto.keyfile import secret
from switch.errors import CertificateError, KeyFileError
from switch.settings.schema import Tls

__all__ = ["CIPHERS", "Material", "load_material", "peer_context", "stamp"]

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
"""Of TLS 1.2; those of 1.3 are all good. Level 2: keys of 112 bits of strength, so no RSA below
2048 bits and no SHA-1 signatures."""


class Material(msgspec.Struct, frozen=True):
    """One member's TLS, read and fit for use."""

    context: ssl.SSLContext
    chain: tuple[Certificate, ...]
    """Ours first."""
    trusted: tuple[Certificate, ...]
    stamp: tuple[object, ...]
    """What the files were like before they were read."""

    @property
    def not_after_s(self) -> int:
        """When the first certificate of our chain ends, in Unix seconds."""
        return min(one.not_after_s for one in self.chain)


def load_material(tls: Tls, *, server: bool) -> Material:
    """Reads the files of a table. `server`: we are connected to.

    Validity is not judged here: what to do with an expired certificate depends on what else there
    is.

    Raises: CertificateError, KeyFileError; `key` is the key of the table.
    """
    before = stamp(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # The peer's name is ours to compare, on both sides by the same rule (runtime/tls.py).
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # Trust stands where the operator put it: an intermediate CA, or the peer's certificate itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    if server:
        context.num_tickets = 0
    chain = _own(context, tls)
    return Material(context, chain, _trusted(context, tls.ca), before)


def stamp(tls: Tls) -> tuple[object, ...]:
    """Equal as long as nobody has touched the files of a table."""
    stamps: list[object] = []
    for file in (tls.certificate, tls.key, tls.ca):
        try:
            status = Path(file).stat()
        except OSError as error:
            stamps.append(error.errno)
        else:
            stamps.append((status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode))
    return tuple(stamps)


def peer_context(certificate: str, key: str, ca: str, *, server: bool) -> ssl.SSLContext:
    """For whoever stands at the other end: simulators. Who connects compares the switch's name.

    Raises as `load_material`.
    """
    table = Tls(certificate=certificate, key=key, ca=ca)
    context = load_material(table, server=server).context
    context.check_hostname = not server
    return context


def _own(context: ssl.SSLContext, tls: Tls) -> tuple[Certificate, ...]:
    try:
        _, chain = read_pem(tls.certificate, "certificate")
    except CertificateError as error:
        raise _at("certificate", error) from None

    def encrypted() -> str:
        raise CertificateError(
            "the private key is encrypted, and nobody is there to be asked",
            file=tls.key,
            key="key",
            help=f"openssl pkey -in {tls.key} -out NEW; its protection is mode 0600",
        )

    try:
        with secret(tls.key, "private key", again=True) as descriptor:
            # By descriptor, so that what was judged is what is read.
            context.load_cert_chain(tls.certificate, f"/proc/self/fd/{descriptor}", encrypted)
    except KeyFileError as error:
        raise CertificateError(error.problem, file=error.file, key="key", help=error.help) from None
    except ssl.SSLError as error:
        raise _unfit(tls, error) from None
    except OSError as error:
        raise CertificateError(
            f"the private key cannot be read: {error.strerror}", file=tls.key, key="key"
        ) from None
    return tuple(chain)


def _unfit(tls: Tls, error: ssl.SSLError) -> CertificateError:
    reason = error.reason or "no PEM"
    if reason == "KEY_VALUES_MISMATCH":
        return CertificateError(
            f"the private key does not belong to {tls.certificate}",
            file=tls.key,
            key="key",
            help="our certificate stands first in its file, before those of its CAs",
        )
    if reason.startswith(("EE_KEY_TOO", "CA_KEY_TOO", "CA_MD_TOO")):
        return CertificateError(
            "the certificate is too weak: " + reason.replace("_", " ").lower(),
            file=tls.certificate,
            key="certificate",
            help="RSA of 2048 bits or more, or ECDSA, signed with SHA-256 or better",
        )
    return CertificateError(
        "there is no private key in it: " + reason.replace("_", " ").lower(),
        file=tls.key,
        key="key",
        help="a key in PEM, as openssl genpkey writes it",
    )


def _trusted(context: ssl.SSLContext, ca: str) -> tuple[Certificate, ...]:
    try:
        data, found = read_pem(ca, "CA file")
        context.load_verify_locations(cadata=data.decode("ascii", "ignore"))
    except CertificateError as error:
        raise _at("ca", error) from None
    except ssl.SSLError as error:
        reason = (error.reason or "damaged").replace("_", " ").lower()
        raise CertificateError(f"the CA file is unfit: {reason}", file=ca, key="ca") from None
    return tuple(found)


def _at(key: str, error: CertificateError) -> CertificateError:
    return CertificateError(error.problem, file=error.file, key=key, help=error.help)
