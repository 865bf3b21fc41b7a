"""Where whoever is in a world listens, and when it begins."""

from typing import Final

__all__ = ["ACQUIRER_PORT", "BANK_PORT", "START_NS"]

ACQUIRER_PORT: Final = 4_100
BANK_PORT: Final = 5_100
START_NS: Final = 1_000_000_000_000
"""Of the virtual monotonic clock."""
