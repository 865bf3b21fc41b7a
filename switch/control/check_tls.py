"""What `tapswitch check` says of certificates: files that are no good, and those that end soon.

Each finding names the key of the settings and the file behind it. An ended certificate is an error
of the check, but does not keep a node from starting (`RUNS_ALL_THE_SAME`): the other links' traffic
must not stop with it.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from switch.errors import CertificateError
from switch.runtime.clock import wall_s
from switch.settings.check import Finding
from switch.settings.schema import Settings, Tls

if TYPE_CHECKING:
    from switch.crypto.certificate import Certificate
    from switch.crypto.tls import Material

__all__ = ["EXPIRES_SOON_S", "RUNS_ALL_THE_SAME", "check_certificates", "day"]

DAY_S: Final = 86_400
EXPIRES_SOON_S: Final = 30 * DAY_S
"""A bank's certificate office takes weeks."""
RUNS_ALL_THE_SAME: Final = frozenset({"certificate_expiry"})
"""Rules whose errors do not refuse a start."""


def check_certificates(settings: Settings) -> Iterator[Finding]:
    """Findings of all [tls] tables; imports X.509 reading only when there is one."""
    tables = settings.tls()
    if not tables:
        return
    from switch.crypto.tls import load_material

    now_s = wall_s()
    dialled = {bank.id for bank in settings.issuers if bank.mode == "dial"}
    for name, (key, table) in tables.items():
        server = name not in dialled
        try:
            material = load_material(table, server=server)
        except CertificateError as error:
            yield _unfit(key, error)
            if error.key != "ca":
                yield from _ca_alone(key, table)
            continue
        yield from _purpose(key, table, material, server=server)
        yield from _ours(key, table, material, now_s)
        yield from _trusted(key, table, material, now_s)


def _unfit(key: str, error: CertificateError) -> Finding:
    return Finding(
        "error", "certificates", f"{key}.{error.key}", f"{error.file}: {error.problem}", error.help
    )


def _ca_alone(key: str, table: Tls) -> Iterator[Finding]:
    """So that one run of the check names all files."""
    from switch.crypto.certificate import read_pem

    try:
        read_pem(table.ca, "CA file")
    except CertificateError as error:
        yield Finding(
            "error", "certificates", f"{key}.ca", f"{error.file}: {error.problem}", error.help
        )


def _purpose(key: str, table: Tls, material: "Material", *, server: bool) -> Iterator[Finding]:
    fit = material.chain[0].for_server if server else material.chain[0].for_client
    if not fit:
        side = "connected to" if server else "the one who connects"
        usage = "serverAuth" if server else "clientAuth"
        yield Finding(
            "error",
            "certificates",
            f"{key}.certificate",
            f"{table.certificate}: may not be shown by us, since we are {side} here",
            f"a certificate with the extended key usage {usage}, or with none",
        )


def _ours(key: str, table: Tls, material: "Material", now_s: int) -> Iterator[Finding]:
    at = f"{key}.certificate"
    help_ = "put the new one in its place: a running node takes it up within a minute"
    for one in material.chain:
        left_s = one.not_after_s - now_s
        said = f"{table.certificate}: {one.subject}"
        if one.not_before_s > now_s:
            said += f" is not valid before {day(one.not_before_s)}"
            yield Finding("error", "certificate_expiry", at, said, help_)
        elif left_s <= 0:
            said += f" ended on {day(one.not_after_s)}"
            yield Finding("error", "certificate_expiry", at, said, help_)
        elif left_s < EXPIRES_SOON_S:
            said += f" ends in {left_s // DAY_S} days, on {day(one.not_after_s)}"
            yield Finding("warning", "certificate_expiry", at, said, help_)


def _trusted(key: str, table: Tls, material: "Material", now_s: int) -> Iterator[Finding]:
    ended = [one for one in material.trusted if not _valid(one, now_s)]
    alone = len(ended) == len(material.trusted)
    for one in ended:
        yield Finding(
            "error" if alone else "warning",
            "certificate_expiry",
            f"{key}.ca",
            f"{table.ca}: {one.subject} is valid from {day(one.not_before_s)} to "
            f"{day(one.not_after_s)} only: no peer that it signed gets in",
            "the peer's CA gives out its new certificate",
        )


def _valid(one: "Certificate", now_s: int) -> bool:
    return one.not_before_s <= now_s < one.not_after_s


def day(at_s: int) -> str:
    """A date as certificates are spoken of, UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(at_s))
