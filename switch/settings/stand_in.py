"""The tables `stand_in` of a bank: rules by which the switch approves in its name."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["StandIn"]

_AMOUNT_MAX = 999_999_999_999
"""Field 4 has twelve digits."""


class StandIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule by which the switch approves in this bank's name (stand-in, STIP); without one it
    never does. The first rule that matches decides. Limits count per business day and per card,
    over all its tokens and over all rules of the bank, so that rules never add up. The bank gets
    exactly one advice (0120, 0220) of each approval."""

    name: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9][a-z0-9_-]{0,15}$",
            description="Stands in the record of each approval; unique within the bank.",
        ),
    ]
    when: Annotated[
        tuple[Literal["unreachable", "circuit", "timeout"], ...],
        Meta(
            min_length=1,
            description="unreachable: no line takes the request, or its last line went; circuit: "
            "the bank's circuit is open; timeout: the deadline passed (then the request is "
            "reversed first).",
        ),
    ]
    cards: Annotated[
        tuple[Literal["token", "plain"], ...],
        Meta(
            min_length=1,
            description="token: a tap whose cryptogram we proved; plain: a card number that nobody "
            "proved, never one with chip data.",
        ),
    ] = ("token",)
    kinds: Annotated[
        tuple[Literal["purchase", "authorisation", "preauthorisation"], ...],
        Meta(min_length=1, description="What may be approved. Nothing else ever is."),
    ] = ("purchase",)
    prefixes: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9]{1,12}$")], ...],
        Meta(max_length=256, description="Leading digits of the real card; none: any of the bank."),
    ] = ()
    mccs: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9]{4}$")], ...],
        Meta(max_length=256, description="Merchant categories (field 18); none: any."),
    ] = ()
    processing_codes: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9]{2,6}$")], ...],
        Meta(max_length=64, description="Beginnings of field 3; none: any."),
    ] = ()
    entry_modes: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0-9]{2,3}$")], ...],
        Meta(max_length=64, description="Beginnings of field 22; none: any."),
    ] = ()
    currency: Annotated[
        str, Meta(pattern="^[0-9]{3}$", description="Field 49; the limits are of this currency.")
    ]
    amount_minor_max: Annotated[
        int, Meta(ge=1, le=_AMOUNT_MAX, description="Of one approval, in minor units.")
    ]
    count_max: Annotated[
        int, Meta(ge=1, le=10_000, description="Approvals per card and business day.")
    ]
    sum_minor_max: Annotated[
        int, Meta(ge=1, le=_AMOUNT_MAX, description="Their sum, in minor units.")
    ]
    bank_sum_minor_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 53,
            description="Sum of all cards of the bank per business day; 0: no limit.",
        ),
    ] = 0
