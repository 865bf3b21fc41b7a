"""Random values for every field of a dialect, from its own description."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from string import ascii_letters, digits, punctuation
from typing import Any, Final

__all__ = ["CHARACTERS", "any_decimal", "any_tlv", "any_value"]

CHARACTERS: Final = {
    "n": digits,
    "a": ascii_letters,
    "an": ascii_letters + digits,
    "as": ascii_letters + punctuation + " ",
    "ns": digits + punctuation + " ",
    "ans": ascii_letters + digits + punctuation + " ",
    "z": digits + "=",
}
"""What a type may hold; `z` without its rarer signs."""

_TAGS: Final = ("82", "95", "9A", "9C", "5F2A", "9F02", "9F10", "9F26", "9F37", "DF8104", "DF31")


def any_tlv(random: Random, most: int) -> bytes:
    """Well-formed BER-TLV of at most `most` bytes, no tag twice."""
    out = b""
    for tag in random.sample(_TAGS, random.randint(0, len(_TAGS))):
        value = random.randbytes(random.choice((0, 1, 2, 8, 20, 130)))
        length = bytes([len(value)]) if len(value) < 128 else bytes([0x81, len(value)])
        element = bytes.fromhex(tag) + length + value
        if len(out) + len(element) <= most:
            out += element
    return out


def any_decimal(random: Random, kind: str, length: int) -> str:
    """Well-formed elements of two digits of tag and three of length; `length` characters in all,
    or five where that is too few for one."""
    out = ""
    while not out or length - len(out) >= 5:
        room = max(length - len(out) - 5, 0)
        # What is left must be nothing, or room for another element.
        size = room if room < 5 else random.choice((room, random.randint(0, room - 5)))
        value = "".join(random.choices(CHARACTERS[kind], k=size))
        out += f"{random.randint(0, 99):02d}{size:03d}{value}"
    return out


def any_value(random: Random, row: dict[str, Any], lengths: Sequence[int] = ()) -> str | bytes:
    """A value for one row of `Dialect.fields()`; of one of `lengths` where the field allows it."""
    most: int = row["max"]
    length = most
    if row["prefix"]:
        least: int = row["min"]
        allowed = [n for n in lengths if least <= n <= most]
        length = random.choice(allowed or [random.randint(least, most)])
    if row["name"] == "icc":
        return any_tlv(random, most)
    if row["name"] == "reserved_private_63" and row["charset"] == "ascii":
        return any_decimal(random, row["type"], length)
    if row["name"] == "reserved_national_59" and row["charset"] == "gbk":
        return any_decimal(random, row["type"], length)
    if row["name"] == "additional_private" and row["type"] == "b":
        # Packed digits: no mark of two capital letters.
        return bytes(
            random.choice((0x00, 0x12, 0x99)) for _ in range(length if length != 31 else 0)
        )
    if row["name"] == "reserved_private_60" and row["type"] == "n":
        return "".join(random.choices(digits, k=random.choice((2, 8, 11, 12, 13, 14, 17))))
    if row["name"] == "reserved_private_61" and row["type"] == "n":
        return "".join(random.choices(digits, k=random.choice((6, 12, 16, 18, 29))))
    if row["type"] == "b":
        return random.randbytes(length)
    if row["type"] == "x+n":
        return random.choice("CD") + "".join(random.choices(digits, k=length - 1))
    return "".join(random.choices(CHARACTERS[row["type"]], k=length))
