"""Delays between sign-ons and between connections; the same rule as between reversals."""

from switch.model.backoff import delay_ms

__all__ = ["delay_ms"]
