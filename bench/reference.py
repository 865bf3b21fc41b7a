"""The yardstick of the micro-benchmarks: cut, decode and encode one message in plain Python.

A microsecond is another length on another machine; a multiple of this is nearly the same on all.
The yardstick is measured in the same run as what it measures, and it must never change: a faster
yardstick would make every saved ratio look worse.
"""

from typing import Final

__all__ = ["decode", "encode"]

FIXED: Final = {
    3: 6, 4: 12, 7: 10, 11: 6, 12: 6, 13: 4, 14: 4, 18: 4, 19: 3, 22: 3, 23: 3, 25: 2, 37: 12,
    38: 6, 39: 2, 41: 8, 42: 15, 49: 3,
}  # fmt: skip
COUNTED: Final = {2: 2, 32: 2, 33: 2, 55: 3}


def decode(frame: bytes) -> tuple[str, dict[int, bytes]]:
    """MTI and fields of one framed `iso87-ascii` message."""
    length = int.from_bytes(frame[:2], "big")
    body = frame[2 : 2 + length]
    bits = int(body[4:20], 16)
    fields = {}
    at = 20
    for number in range(2, 65):
        if not bits >> (64 - number) & 1:
            continue
        size = FIXED.get(number)
        if size is None:
            digits = COUNTED[number]
            size = int(body[at : at + digits])
            at += digits
        fields[number] = body[at : at + size]
        at += size
    return body[:4].decode(), fields


def encode(mti: str, fields: dict[int, bytes]) -> bytes:
    """The inverse of `decode`."""
    bits = 0
    parts = []
    for number in sorted(fields):
        bits |= 1 << (64 - number)
        value = fields[number]
        if number in COUNTED:
            parts.append(str(len(value)).rjust(COUNTED[number], "0").encode())
        parts.append(value)
    body = mti.encode() + format(bits, "016X").encode() + b"".join(parts)
    return len(body).to_bytes(2, "big") + body
