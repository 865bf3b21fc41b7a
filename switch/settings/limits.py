"""Settings of what bounds memory, and the time that is remembered."""

from typing import Annotated

import msgspec
from msgspec import Meta

from switch.constants import FRAME_BYTES_MAX

__all__ = ["Limits"]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bounds memory. Each says what happens at the limit."""

    duplicates_max: Annotated[
        int,
        Meta(
            ge=1_024,
            le=1 << 28,
            description="Request keys remembered; the oldest is forgotten first. Choose at least "
            "the busiest day's requests that a terminal may still repeat or reverse.",
        ),
    ] = 1 << 20
    repeats_h: Annotated[
        int,
        Meta(
            ge=1,
            le=24 * 366,
            description="Hours for which an acquirer may still repeat a request after its bank was "
            "last told of it. Its key outlives restarts so long and the longest saf.horizon_h on "
            "top; one that was reversed is never taken up again.",
        ),
    ] = 24
    stand_in_cards_max: Annotated[
        int,
        Meta(
            ge=1_024,
            le=1 << 22,
            description="Cards approved by stand-in that are counted, of two business days; "
            "beyond it no further card is. About 100 bytes each, as they come.",
        ),
    ] = 1 << 17
    frame_bytes_max: Annotated[
        int,
        Meta(ge=128, le=FRAME_BYTES_MAX, description="A longer message closes its link."),
    ] = 4_096
    write_buffer_bytes_max: Annotated[
        int,
        Meta(
            ge=4_096,
            le=1 << 26,
            description="Bytes that a peer may leave unread per connection; then it is closed.",
        ),
    ] = 1 << 18
    handshake_share_max: Annotated[
        int,
        Meta(
            ge=1,
            le=80,
            description="Percent of the worker's time for TLS hand-shakes, which is measured; "
            "whoever comes faster stays in the kernel's queue. Payments have the rest.",
        ),
    ] = 20
