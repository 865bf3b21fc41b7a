"""Messages of Chinese POS terminals: values for the codec, and frames spelled out byte by byte.

What `by_hand` writes shares no code with the codec: it is the oracle of the dialect `pos-cn`.
"""

from collections.abc import Mapping
from typing import Final

from switch.wire import Dialect
from switch.wire.dialect import load
from tests.support.tree import ROOT

__all__ = [
    "HEADER",
    "POS",
    "PURCHASE",
    "TPDU",
    "by_hand",
    "digits",
    "ll",
    "lll",
    "pos_message",
    "reversal_of",
    "with_type",
]

POS: Final[Dialect] = load(ROOT / "config" / "dialects", "pos-cn")
TPDU: Final = bytes.fromhex("6000060000")
HEADER: Final = bytes.fromhex("603100311003")

Values = dict[str, str | bytes]

PURCHASE: Final[Mapping[str, str]] = {
    "pan": "6299001234567891",
    "processing_code": "000000",
    "amount": "000000001234",
    "stan": "000123",
    "entry_mode": "071",
    "card_sequence": "001",
    "condition_code": "00",
    "terminal_id": "52010001",
    "merchant_id": "898520154110004",
    "currency": "156",
}
"""A tap at a shop: category 5411 stands in the merchant's number."""


def digits(text: str, *, right: bool = False) -> bytes:
    """Two a byte; an odd number is filled with a zero, at its left unless `right`."""
    if len(text) % 2:
        text = f"{text}0" if right else f"0{text}"
    return bytes(int(high) << 4 | int(low, 16) for high, low in zip(*[iter(text)] * 2, strict=True))


def ll(count: int, value: bytes) -> bytes:
    """Two digits of length, packed, then the value."""
    return digits(f"{count:02d}") + value


def lll(count: int, value: bytes) -> bytes:
    """Three digits of length, packed behind a zero, then the value."""
    return digits(f"{count:04d}") + value


def by_hand(
    mti: str, fields: Mapping[int, bytes], *, tpdu: bytes = TPDU, header: bytes = HEADER
) -> bytes:
    """A whole frame of fields as they stand on the wire, lengths included."""
    bits = sum(1 << (64 - number) for number in fields)
    body = digits(mti) + bits.to_bytes(8, "big")
    body += b"".join(fields[number] for number in sorted(fields))
    content = tpdu + header + body
    return len(content).to_bytes(2, "big") + content


def with_type(kind: str, batch: str = "000007", network: str = "000", more: str = "60") -> Values:
    """Field 60: type, batch, network code, and what the terminal can do."""
    return {"reserved_private_60": kind + batch + network + more}


def pos_message(kind: str = "22", **changes: str | bytes | None) -> Values:
    """A sound purchase, or what `changes` make of it (None takes a field out); `kind` is field
    60.1."""
    values: Values = {**PURCHASE, **with_type(kind)}
    for name, value in changes.items():
        if value is None:
            del values[name]
        else:
            values[name] = value
    return values


def reversal_of(values: Mapping[str, str | bytes]) -> Values:
    """The terminal's 0400: the same numbers, track 2 where there was one, no card number beside
    it, and why."""
    kept = {name: value for name, value in values.items() if name not in {"icc", "pin_block"}}
    if "track2" in kept:
        kept.pop("pan", None)
    return {**kept, "response_code": "98"}
