"""A token's domain as people and files write it, and back.

Names are those of `Channel`, in lower case; lists have commas or spaces; dates are ISO 8601, UTC
when they name no zone; an amount is in minor units.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from switch.errors import TokenError, UsageError
from switch.model.token import Channel, Domain
from switch.settings.nearest import suggest

__all__ = ["DOMAIN_FIELDS", "describe", "domain_of"]

DOMAIN_FIELDS: Final = (
    "requestor_bound",
    "channels",
    "mccs",
    "ceiling_minor",
    "ceiling_currency",
    "currencies",
    "not_before",
    "not_after",
)
"""Every key that `domain_of` reads."""

_CHANNELS: Final = {channel.name.lower(): channel for channel in Channel if channel.name}
_YES: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def domain_of(fields: Mapping[str, str]) -> Domain:
    """Of texts by key; empty and absent ones restrict nothing. Raises: TokenError."""
    bound = fields.get("requestor_bound", "")
    if bound and bound.lower() not in _YES:
        raise TokenError("requestor_bound is not yes or no", key="requestor_bound")
    ceiling = _number(fields, "ceiling_minor")
    try:
        return Domain(
            requestor_bound=_YES.get(bound.lower(), False),
            channels=_channels(fields.get("channels", "")),
            mccs=_numbers(fields, "mccs"),
            ceiling_minor=ceiling,
            ceiling_currency=_number(fields, "ceiling_currency") or 0,
            currencies=_numbers(fields, "currencies"),
            not_before_s=_seconds(fields, "not_before"),
            not_after_s=_seconds(fields, "not_after"),
        )
    except UsageError as error:
        raise TokenError(str(error), key="domain") from None


def describe(domain: Domain) -> str:
    """In one line; "anywhere" without a restriction."""
    parts = []
    if domain.requestor_bound:
        parts.append("its requestor only")
    if domain.channels:
        names = [name for name, bit in _CHANNELS.items() if domain.channels & bit]
        parts.append("by " + ", ".join(names))
    if domain.mccs:
        parts.append("merchants " + ", ".join(f"{mcc:04}" for mcc in domain.mccs))
    if domain.ceiling_minor is not None:
        parts.append(f"up to {domain.ceiling_minor} of {domain.ceiling_currency:03}")
    if domain.currencies:
        parts.append("in " + ", ".join(f"{code:03}" for code in domain.currencies))
    if domain.not_before_s:
        parts.append(f"from {_date(domain.not_before_s)}")
    if domain.not_after_s:
        parts.append(f"until {_date(domain.not_after_s)}")
    return "; ".join(parts) or "anywhere"


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,;\s]+", text) if word]


def _channels(text: str) -> int:
    bits = 0
    for name in _words(text):
        channel = _CHANNELS.get(name.lower())
        if channel is None:
            hint = suggest(name, list(_CHANNELS))
            raise TokenError("there is no such channel", key="channels", help=hint)
        bits |= channel
    return int(bits)


def _number(fields: Mapping[str, str], key: str) -> int | None:
    text = fields.get(key, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise TokenError(f"{key} is no number", key=key)
    return int(text)


def _numbers(fields: Mapping[str, str], key: str) -> tuple[int, ...]:
    words = _words(fields.get(key, ""))
    if not all(word.isascii() and word.isdecimal() and len(word) <= 4 for word in words):
        raise TokenError(f"{key} are no numbers", key=key)
    return tuple(map(int, words))


def _seconds(fields: Mapping[str, str], key: str) -> int:
    text = fields.get(key, "")
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise TokenError(f"{key} is no date", key=key, help='for example "2027-01-31"') from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _date(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
