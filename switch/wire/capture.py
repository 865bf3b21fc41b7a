"""What people paste: hexadecimal in any of its usual dresses, to bytes.

Knows no dialect. Accepted are digits with or without spaces, line breaks, commas, colons, ``0x``
and ``\\x`` before bytes, lines of comment (``#``), and dumps with a column of offsets (hexdump -C,
xxd, tcpdump, Wireshark). A column counts as offsets only where every line's number is the count of
bytes before it: nothing is taken away on a guess.
"""

import re
from typing import Final, NamedTuple

from switch.errors import CaptureError

__all__ = ["CAPTURE_BYTES_MAX", "Capture", "read_capture"]

CAPTURE_BYTES_MAX: Final = 1 << 22
"""Bytes of input that are looked at; a longer capture belongs into pieces."""

_OFFSET: Final = re.compile(r"\s*(?:0[xX])?([0-9A-Fa-f]{4,8})(:?)(?:\s+(.*))?$")
_JUNK: Final = re.compile(r"0[xX]|\\x|[\s,;:\[\]{}()<>\"'h|_-]")
_PAIR: Final = re.compile(r"\s*([0-9A-Fa-f]{2})")


class Capture(NamedTuple):
    """The bytes, whole and by line, and what was noticed on the way."""

    data: bytes
    lines: list[bytes]
    """Each line or paragraph on its own, where there are several and no offsets."""
    notes: list[str]


def read_capture(text: str, name: str = "the input") -> Capture:
    """Bytes of hexadecimal text.

    Raises CaptureError with line and column of the first character that is no hexadecimal.
    """
    rows = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith(("#", "//"))
    ]
    if not rows:
        raise CaptureError(f"{name} is empty")
    dumped = _dump([line for _, line in rows])
    if dumped is not None:
        return Capture(dumped, [], ["a column of offsets was taken away: each agreed"])
    lines = [_plain(line, number, name) for number, line in rows]
    data = "".join(lines)
    if len(data) % 2:
        raise CaptureError(
            f"{name} has {len(data)} hexadecimal digits, an odd number: one is missing or too many"
        )
    whole = [bytes.fromhex(line) for line in lines if len(line) % 2 == 0]
    return Capture(bytes.fromhex(data), whole if len(whole) == len(lines) > 1 else [], [])


def _plain(line: str, number: int, name: str) -> str:
    """The digits of a line without offsets."""
    digits = _JUNK.sub("", line)
    wrong = re.search(r"[^0-9A-Fa-f]", digits)
    if wrong is None:
        return digits
    column = line.find(wrong[0]) + 1
    raise CaptureError(
        f"{name}, line {number}, column {column}: not hexadecimal"
        " (bytes as they are: --raw; a file: check that it exists)"
    )


def _dump(lines: list[str]) -> bytes | None:
    """Bytes of a dump whose every line begins with its offset; None when it is no such dump."""
    matches = [_OFFSET.match(line) for line in lines]
    if not all(matches):
        return None
    found = [(int(m[1], 16), bool(m[2]), m[3] or "") for m in matches if m]
    if len(found) == 1 and not (found[0][0] == 0 and _columns(found[0][2])):
        return None
    out = bytearray()
    for at, (offset, colon, rest) in enumerate(found):
        if offset != len(out):
            return None
        if at + 1 < len(found):
            wanted = found[at + 1][0] - offset
            piece, behind = _pairs(rest, wanted)
            if len(piece) != wanted or wanted <= 0 or not _ends(behind):
                return None
        else:
            piece, _ = _pairs(_without_text(rest, colon), len(rest))
        out += piece
    return bytes(out) or None


def _columns(rest: str) -> bool:
    """Whether a single line looks like a dump's: bytes in groups, not one more run of digits."""
    return bool(re.match(r"[0-9A-Fa-f]{2}(\s|$)|[0-9A-Fa-f]{4}(\s|$)", rest))


def _without_text(rest: str, colon: bool) -> str:
    """The last line of a dump without the column of characters behind its bytes."""
    rest = rest.partition("|")[0]
    gap = r"\s{2,}" if colon else r"\s{3,}"
    return re.split(gap, rest.strip(), maxsplit=1)[0]


def _ends(behind: str) -> bool:
    """Whether no more bytes follow: nothing does, or a column of characters behind a gap."""
    return not behind.strip() or behind.startswith(("  ", "|", " |"))


def _pairs(text: str, most: int) -> tuple[bytes, str]:
    """Up to `most` bytes from the front, and what stands behind them."""
    out = bytearray()
    at = 0
    while len(out) < most and (pair := _PAIR.match(text, at)):
        out += bytes.fromhex(pair[1])
        at = pair.end()
    return bytes(out), text[at:]
