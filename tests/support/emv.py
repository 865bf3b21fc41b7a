"""Taps for tests: field 55 from tag values, master keys through a pipe, the published vectors."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pyemv import tools

from switch.crypto.profiles import CardMaster, Option, Ring, card_master
from switch.native import codec
from tests.support.tree import ROOT

__all__ = ["SIGNED", "field", "master", "pipe", "ring", "vectors"]

SIGNED: Final = {
    "9F02": 6, "9F03": 6, "9F1A": 2, "95": 5, "5F2A": 2, "9A": 3, "9C": 1, "9F37": 4, "82": 2,
    "9F36": 2,
}  # fmt: skip
"""Tags that every profile signs, in order, with their lengths."""


@contextmanager
def pipe(content: bytes) -> Iterator[int]:
    """A descriptor to read `content` from."""
    reader, writer = os.pipe()
    try:
        os.write(writer, content)
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def master(key: bytes, option: Option = Option.A) -> CardMaster:
    """A master key of a test."""
    with pipe(key) as descriptor:
        return card_master(descriptor, option, tools.key_check_digits(key, 3).hex())


def ring(scheme: str, prefix: str, index: int, key: bytes, option: Option = Option.A) -> Ring:
    """A ring of one key."""
    made = Ring()
    made.add(scheme, prefix, index, master(key, option))
    return made


def field(tags: Mapping[str, bytes]) -> bytes:
    """Field 55 of these tags, in this order."""
    return b"".join(bytes.fromhex(tag) + bytes([len(value)]) + value for tag, value in tags.items())


def vectors() -> list[dict[str, Any]]:
    """Rows of tests/vectors/emv.toml, each with its `tags` (9F27 says ARQC)."""
    text = (ROOT / "tests" / "vectors" / "emv.toml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = codec.parse_toml(text)[0]["vector"]
    for row in rows:
        data, row["tags"] = bytes.fromhex(row["data"]), {}
        for tag, length in SIGNED.items():
            row["tags"][tag], data = data[:length], data[length:]
        row["tags"]["9F10"] = bytes.fromhex(row["iad"])
        row["tags"]["9F26"] = bytes.fromhex(row["cryptogram"])
        row["tags"]["9F27"] = b"\x80"
    return rows
