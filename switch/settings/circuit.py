"""The table `circuit` of a bank: when it is not asked for a while."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["Circuit"]


class Circuit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The circuit breaker of a bank: while it is open no request goes to it, and each is declined
    at once with 91, or answered by stand-in where a rule says so."""

    failed_share_max: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Per cent of requests without a usable answer (time-outs, unusable "
            "answers, lost links) from which the circuit opens; 0: the share is not judged.",
        ),
    ] = 60
    failures_min: Annotated[
        int,
        Meta(
            ge=1,
            le=1 << 20,
            description="Fewer of these within the window say nothing of the bank.",
        ),
    ] = 20
    window_ms: Annotated[
        int, Meta(ge=1_000, le=600_000, description="Time over which the share is judged.")
    ] = 10_000
    unreachable_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=3_600_000,
            description="No fit connection for so long opens the circuit, and so does the loss of "
            "the last one three times within 30 s; 0: not judged.",
        ),
    ] = 3_000
    pause_min_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=3_600_000,
            description="A fit connection must stand for so long before a few requests try the "
            "bank; doubles each time that it fails again soon.",
        ),
    ] = 2_000
    pause_max_ms: Annotated[int, Meta(ge=100, le=3_600_000, description="Longest such pause.")] = (
        60_000
    )
    probes: Annotated[
        int,
        Meta(
            ge=1,
            le=1_024,
            description="Requests at a time that try the bank, and good answers that close the "
            "circuit; the first bad one opens it again.",
        ),
    ] = 8
