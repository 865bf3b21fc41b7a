"""Real messages for tests of pure rooms: encoded and decoded by the dialect that ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from switch.model.mti import of_reply
from switch.wire import Dialect, Message

__all__ = ["DIALECT", "LENGTH_PREFIX", "PURCHASE", "message", "reply_to"]

_FILE: Final = Path(__file__).parents[2] / "config" / "dialects" / "iso87-ascii.toml"
DIALECT: Final = Dialect.compile(_FILE.read_text(encoding="utf-8"), _FILE.name)

LENGTH_PREFIX: Final = 2
"""Bytes of framing before the body."""

PURCHASE: Final[Mapping[str, str]] = {
    "pan": "6299000000000004",
    "processing_code": "000000",
    "amount": "000000001000",
    "transmission_time": "1123170000",
    "stan": "000001",
    "local_time": "010000",
    "local_date": "1124",
    "entry_mode": "071",
    "condition_code": "00",
    "acquirer_code": "00000010001",
    "rrn": "000000000001",
    "terminal_id": "TERM0001",
    "merchant_id": "MERCHANT0000001",
    "currency": "156",
}
"""A sound purchase by a plain card, in canonical names."""


def message(mti: str, fields: Mapping[str, str], received_ns: int = 0) -> Message:
    """What the framer would give for these fields at that time."""
    framed = DIALECT.encode(mti, fields)
    return DIALECT.decode(framed[LENGTH_PREFIX:], received_ns)


def reply_to(
    request: Message, out_stan: int, out_time: str, code: str | None, **changes: str
) -> Message:
    """The answer of a well-behaved bank to the leg built from `request`, with `changes`."""
    fields = {
        name: value
        for name in ("amount", "rrn", "terminal_id", "currency")
        if (value := request.get(name)) is not None
    }
    fields |= {"stan": f"{out_stan:06d}", "transmission_time": out_time}
    if code is not None:
        fields["response_code"] = code
    return message(of_reply(request.mti), fields | changes)
