"""What may be ordered of the vault, and what it answers: the same values for the command line, for
the socket of the gateway and for the service that carries them out.

A card number stands in an order as text, because a person or a file gave it; nothing here shows it.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from switch.model.token import Domain, Medium

__all__ = [
    "ROWS_MAX",
    "Answer",
    "Audit",
    "AuditPage",
    "AuditRow",
    "AuditVerdict",
    "By",
    "CardGiven",
    "Delete",
    "Import",
    "Imported",
    "Issue",
    "List",
    "Listed",
    "Mapping",
    "Order",
    "Provision",
    "Reindex",
    "ReplacePan",
    "Resume",
    "Show",
    "Shown",
    "Status",
    "StatusShown",
    "Suspend",
    "VerifyAudit",
]

ROWS_MAX: Final = 50_000
"""Rows of one import order: one transaction of the vault and one of the index."""


class By(msgspec.Struct, frozen=True, kw_only=True):
    """On whose account."""

    actor: str
    reason: str = ""


class CardGiven(msgspec.Struct, frozen=True, kw_only=True):
    """A card as somebody names it. Its repr holds the number back."""

    pan: str
    expiry: str
    """YYMM."""
    sequence: int | None = None
    par: str = ""

    def __repr__(self) -> str:
        return "<CardGiven>"


class Provision(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be made. An empty token expiry means the card's; an empty token, a random one."""

    card: CardGiven
    requestor: str
    token: str = ""
    token_expiry: str = ""
    token_sequence: int = 1
    assurance: str = "00"
    medium: Medium = Medium.SECURE_ELEMENT
    domain: Domain = Domain()
    suspended: bool = False
    """It begins suspended, until it is resumed."""


class _Order(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="order", forbid_unknown_fields=True
):
    by: By


class Issue(_Order, frozen=True, kw_only=True, tag="issue"):
    """Makes one token; answered by `Shown`."""

    provision: Provision


class Import(_Order, frozen=True, kw_only=True, tag="import"):
    """Makes many tokens, all or none; answered by `Imported`."""

    rows: Annotated[list[Provision], Meta(max_length=ROWS_MAX)]
    first_line: int = 1
    """Line of the file that the first row stands on, for messages."""
    lines: list[int] = []
    """Line of every row, when they do not simply follow each other."""


class _OneToken(_Order, frozen=True, kw_only=True):
    token: str


class Show(_OneToken, frozen=True, kw_only=True, tag="show"):
    """Answered by `Shown`, as all that follow."""


class Suspend(_OneToken, frozen=True, kw_only=True, tag="suspend"):
    """Not usable until it is resumed."""


class Resume(_OneToken, frozen=True, kw_only=True, tag="resume"):
    """Usable again."""


class Delete(_OneToken, frozen=True, kw_only=True, tag="delete"):
    """Never usable again."""


class ReplacePan(_OneToken, frozen=True, kw_only=True, tag="replace-pan"):
    """Another card behind the same token: a new mapping version."""

    card: CardGiven


class List(_Order, frozen=True, kw_only=True, tag="list"):
    """Tokens in the order of their numbers; answered by `Listed`."""

    state: int = 0
    """0: any."""
    requestor: str = ""
    pan: str = ""
    """Tokens of this card only."""
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100

    def __repr__(self) -> str:
        return "<List>"


class Audit(_Order, frozen=True, kw_only=True, tag="audit"):
    """Records, the newest last; answered by `AuditPage`."""

    token: str = ""
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class VerifyAudit(_Order, frozen=True, kw_only=True, tag="verify-audit"):
    """Answered by `AuditVerdict`."""


class Reindex(_Order, frozen=True, kw_only=True, tag="reindex"):
    """Builds the index anew; answered by `StatusShown` when it is in force."""


class Status(_Order, frozen=True, kw_only=True, tag="status"):
    """Answered by `StatusShown`."""


Order = (
    Issue | Import | Show | Suspend | Resume | Delete | ReplacePan | List | Audit | VerifyAudit
    | Reindex | Status
)  # fmt: skip


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """A card that was behind a token before."""

    version: int
    pan: str
    """Masked."""
    card_expiry: str
    until_ms: int


class _Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer"):
    pass


class Shown(_Answer, frozen=True, kw_only=True, tag="token"):
    """A token, its card masked."""

    token: str
    state: str
    expired: bool
    token_expiry: str
    token_sequence: int
    pan: str
    """Masked."""
    card_expiry: str
    card_sequence: int | None
    par: str
    requestor: str
    assurance: str
    medium: str
    domain: Domain
    mapping_version: int
    created_ms: int
    changed_ms: int
    changed: bool = True
    """False when the token was as ordered before."""
    history: list[Mapping] = []


class Listed(_Answer, frozen=True, kw_only=True, tag="tokens"):
    """A page; `more` says that others follow its last."""

    tokens: list[Shown]
    more: bool


class Imported(_Answer, frozen=True, kw_only=True, tag="imported"):
    """The tokens of the rows, in their order."""

    tokens: list[str]


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One audit record."""

    sequence: int
    at_ms: int
    actor: str
    action: str
    token: str
    reason: str
    outcome: str
    """done, unchanged, refused, failed."""
    code: str
    change: int
    detail: str


class AuditPage(_Answer, frozen=True, kw_only=True, tag="audit"):
    """The last records that were asked for."""

    rows: list[AuditRow]


class AuditVerdict(_Answer, frozen=True, kw_only=True, tag="audit-verdict"):
    """Whether the chain holds from its first record to its newest."""

    records: int
    broken_at: int = 0
    """Sequence number of the first record that does not follow from the one before; 0 when all
    do."""
    problem: str = ""


class StatusShown(_Answer, frozen=True, kw_only=True, tag="status"):
    """How vault and index stand."""

    tokens: int
    change: int
    index_change: int
    """-1 without an index."""
    index_tokens: int
    index_fault: str
    """missing, stale, damaged, sealed, other vault, or empty."""
    rebuilding: bool


Answer = Shown | Listed | Imported | AuditPage | AuditVerdict | StatusShown
