"""Settings of store and forward: how reversals and advices go to a bank."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Saf"]


class Saf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How what a bank is owed is sent, beside the pauses and attempts of its reversals."""

    in_flight_max: Annotated[
        int,
        Meta(ge=1, le=4_096, description="Reversals and advices whose answer is awaited at once."),
    ] = 64
    per_s: Annotated[
        int,
        Meta(
            ge=1,
            le=5_000,
            description="Reversals and advices sent in a second at most, also when the bank "
            "returns and is owed many; a tenth of it at one moment.",
        ),
    ] = 500
    horizon_h: Annotated[
        int,
        Meta(
            ge=0,
            le=24 * 366,
            description="Hours after which what is still owed becomes a dead letter, an operator's "
            "matter; 0: never.",
        ),
    ] = 72
