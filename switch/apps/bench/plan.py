"""What is measured: shapes, lengths, limits. Values only."""

from typing import Final

import msgspec

__all__ = [
    "DURABLE",
    "LAG_P99_MAX_US",
    "PLAIN",
    "PLAIN_SHAPE",
    "RELAY",
    "REQUIRED",
    "REQUIRED_TAPS",
    "SECURED",
    "SHAPES",
    "SWITCH",
    "Plan",
    "Required",
    "Shape",
]

RELAY: Final = "relay"
DURABLE: Final = "durable_relay"
SWITCH: Final = "switch"
PLAIN: Final = "switch_plain"
"""The same switch, asked by plain cards: what a tap costs beside them."""
SECURED: Final = "switch_tls"
"""Another switch, with TLS on both legs."""
PLAIN_SHAPE: Final = "1000/s"
"""The one shape in which plain cards are measured beside taps."""

LAG_P99_MAX_US: Final = 1_000
"""A generator that was later than this did not offer the load that the window is named after."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One way to offer load. Closed (`depth`): so many requests in flight on each connection. Open
    (`rate`): Poisson arrivals a second, whatever the answers do."""

    name: str
    depth: int = 0
    rate: int = 0


SHAPES: Final = (
    Shape(name="32x1", depth=1),
    Shape(name="32x16", depth=16),
    Shape(name="1000/s", rate=1_000),
    Shape(name="5000/s", rate=5_000),
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A run. The whole must end within `budget_s`: windows that no longer fit are left out."""

    shapes: tuple[Shape, ...] = SHAPES
    rounds: int = 3
    """Windows of each shape and system, interleaved."""
    warm_ms: int = 400
    closed_ms: int = 2_200
    open_ms: int = 3_600
    """At 1,000/s long enough for three samples above p99.9 in a window."""
    connections: int = 32
    bank_connections: int = 4
    retries: int = 3
    """Of a fixed-rate window whose generator was late."""
    budget_s: float = 170.0
    costs: bool = True
    tokens: int = 1_000_000
    """Every request is a tap of one of so many tokens; 0: plain cards."""
    tls: bool = False
    """A second switch beside the first, with TLS on both legs."""
    seed: int = 1


class Required(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that the switch must reach on two cores shared with generator and bank."""

    name: str
    shape: str
    figure: str
    """Name of a field of `measure.Row`."""
    limit: float
    aim: float


def _required(cpu: dict[str, tuple[float, float]], relay: tuple[float, float]) -> list[Required]:
    """(limit, aim) of CPU by shape and as multiple of the relay, with what holds for all."""
    found = [
        Required(
            name=f"CPU at {shape}", shape=shape, figure="cpu_us_per_auth", limit=limit, aim=aim
        )
        for shape, (limit, aim) in cpu.items()
    ]
    found.append(
        Required(
            name="CPU at 1000/s, times the relay",
            shape="1000/s",
            figure="ratio_to_relay",
            limit=relay[0],
            aim=relay[1],
        )
    )
    for shape, limit, aim in (("1000/s", 4_000, 1_500), ("5000/s", 6_000, 2_500)):
        name = f"p99 added at {shape}"
        found.append(Required(name=name, shape=shape, figure="p99_added_us", limit=limit, aim=aim))
    return found


REQUIRED: Final = _required(
    {"32x16": (25, 12), "32x1": (45, 25), "1000/s": (230, 140)}, relay=(4.5, 2.5)
)
"""With plain cards."""
REQUIRED_TAPS: Final = [
    *_required({"32x16": (30, 15), "32x1": (50, 28), "1000/s": (253, 154)}, relay=(4.95, 2.75)),
    Required(
        name="CPU at 1000/s, times a plain card",
        shape="1000/s",
        figure="ratio_to_plain",
        limit=1.1,
        aim=1.05,
    ),
]
"""With taps: at 1,000/s a tenth more than plain cards."""
