"""The table `tls` of a member: certificates of its links."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Tls"]

PeerName = Annotated[
    str, Meta(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+( [\x21-\x7e]+)*$")
]


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """TLS on all links of this member, mutual: both sides show a certificate."""

    certificate: Annotated[
        str,
        Meta(
            min_length=1, description="Our certificate and what leads to its CA, PEM, ours first."
        ),
    ]
    key: Annotated[
        str,
        Meta(
            min_length=1,
            description='Its private key, PEM, not encrypted, in a file of mode 0600; or "fd:N".',
        ),
    ]
    ca: Annotated[
        str,
        Meta(
            min_length=1,
            description="Certificates that the peer's must be signed by, PEM; no others are "
            "trusted, those of the system neither.",
        ),
    ]
    names: Annotated[
        tuple[PeerName, ...],
        Meta(
            max_length=32,
            description="The peer's certificate must carry one of these: a DNS name, an IP address "
            "or a URI of its subject alternative name, or its common name where it has none of "
            "these. When we dial, none means the host of the address.",
        ),
    ] = ()
