"""Messages for tests that look at bytes: the shipped dialect, variants of it, and frames."""

from __future__ import annotations

from typing import Final

from switch.errors import DecodeError
from switch.wire import Dialect, Message
from tests.support.message import DIALECT, LENGTH_PREFIX, PURCHASE
from tests.support.tree import ROOT

__all__ = [
    "CHIP",
    "PACKED",
    "TEXT",
    "body",
    "decoded",
    "packed",
    "purchase",
    "text_with",
    "variant",
]

TEXT: Final = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")
"""The shipped dialect file."""

CHIP: Final[dict[str, str | bytes]] = {
    "icc.9F26": bytes(range(8)),
    "icc.9F27": b"\x80",
    "icc.9F10": bytes.fromhex("06010A03A0A000"),
    "icc.9F37": "01020304",
    "icc.9F36": "0001",
    "icc.95": bytes(5),
    "icc.9A": "261123",
    "icc.9C": "00",
    "icc.9F02": "000000001000",
    "icc.5F2A": "0156",
    "icc.82": "2000",
}
"""Chip data of a contactless purchase, by tag."""


def purchase(mti: str = "0200", /, **changes: str | bytes | None) -> bytes:
    """A framed purchase; a change to None leaves the field out. Names with a dot: use ``**{…}``."""
    values: dict[str, str | bytes] = dict(PURCHASE)
    for name, value in changes.items():
        if value is None:
            del values[name]
        else:
            values[name] = value
    return DIALECT.encode(mti, values)


def body(frame: bytes) -> bytes:
    """What is in a frame."""
    return frame[LENGTH_PREFIX:]


def decoded(dialect: Dialect, data: bytes) -> Message | DecodeError:
    """The message, or why there is none."""
    try:
        return dialect.decode(data)
    except DecodeError as error:
        return error


PACKED: Final = (
    ('numeric = "ascii"', 'numeric = "bcd"'),
    ('binary = "hex"', 'binary = "binary"'),
    ('prefix = "ascii"', 'prefix = "bcd"'),
    ('[mti]\nencoding = "ascii"', '[mti]\nencoding = "bcd"'),
    ('[bitmap]\nencoding = "hex"', '[bitmap]\nencoding = "binary"'),
)
"""What makes the shipped dialect one of packed digits, text in ASCII."""


def text_with(*replacements: tuple[str, str]) -> str:
    """The text of the shipped dialect with pieces replaced once each; each must occur."""
    text = TEXT
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def variant(*replacements: tuple[str, str]) -> Dialect:
    """The shipped dialect with pieces of its text replaced; each piece must occur."""
    text = TEXT
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return Dialect.compile(text, "variant.toml")


def packed() -> Dialect:
    """The same fields along the other axes: BCD numerics and prefixes, EBCDIC text, raw binary."""
    return variant(
        ('numeric = "ascii"', 'numeric = "bcd"'),
        ('text = "ascii"', 'text = "ebcdic"'),
        ('binary = "hex"', 'binary = "binary"'),
        ('prefix = "ascii"', 'prefix = "bcd"'),
        ('[mti]\nencoding = "ascii"', '[mti]\nencoding = "bcd"'),
        ('[bitmap]\nencoding = "hex"', '[bitmap]\nencoding = "binary"'),
        ('framing = "length2"', 'framing = "length2-inclusive"'),
    )
