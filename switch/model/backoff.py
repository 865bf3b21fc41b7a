"""How long to wait before the next attempt; the random number is passed in."""

from typing import Final

__all__ = ["delay_ms", "full_jitter_ms"]

_DOUBLINGS_MAX: Final = 30
"""Enough for any pair of limits in use, and keeps the shift small."""


def delay_ms(attempt: int, delay_min_ms: int, delay_max_ms: int, jitter: float) -> int:
    """Delay before attempt number `attempt` (0 is the first retry), in milliseconds.

    Doubles from `delay_min_ms` up to `delay_max_ms`; `jitter` in [0, 1) takes away up to a half, so
    that peers that lost us at one moment do not come back at one moment. Never under half of
    `delay_min_ms`.
    """
    ceiling = min(delay_max_ms, delay_min_ms << min(max(attempt, 0), _DOUBLINGS_MAX))
    return ceiling - int(ceiling * jitter) // 2


def full_jitter_ms(attempt: int, delay_min_ms: int, delay_max_ms: int, jitter: float) -> int:
    """The pause before repeat number `attempt` (0 is the first), in milliseconds: anywhere between
    nothing and a ceiling that doubles from `delay_min_ms` up to `delay_max_ms`; `jitter` in [0, 1).

    For many who wait for one peer: it spreads them over the whole time instead of its later half.
    """
    ceiling = min(delay_max_ms, delay_min_ms << min(max(attempt, 0), _DOUBLINGS_MAX))
    return int(ceiling * jitter)
