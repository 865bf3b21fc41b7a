"""Where the messages of a capture begin and end: with the dialect's length, TPDU and header before
each, with another framing's, or bare. What was found is said; a length must fit exactly to be one.
"""

from typing import Final, NamedTuple

from switch.errors import DecodeError
from switch.native import describe
from switch.wire.source import Source, read

__all__ = ["FRAMES_MAX", "Frame", "cut"]

FRAMES_MAX: Final = 1000
"""Frames that one capture may hold."""


class Frame(NamedTuple):
    """One message as it stands in the capture."""

    start: int
    """Offset of its length, or of what stands first, in the capture."""
    length: bytes
    """Empty where it came without."""
    preface: bytes
    """TPDU and header; empty where it came without."""
    body: bytes
    how: str
    """What was found, for people."""

    @property
    def body_at(self) -> int:
        """Offset of the body in the capture."""
        return self.start + len(self.length) + len(self.preface)


def cut(source: Source, data: bytes, lines: list[bytes]) -> list[Frame]:
    """The frames of a capture, best reading first: the dialect's lengths, one bare message, a
    message a line, the lengths of another framing. What fits nowhere is one bare message."""
    own = _chain(source.framing, data)
    if own is not None and own[0][0] == 0:
        return _frames(source, data, own, f"{source.framing} length")
    if _fits(source, data):
        return [_frame(source, data, 0, 0, "no length")]
    by_line = _by_line(source, lines)
    if by_line:
        return by_line
    for other in describe.framings():
        chain = _chain(other, data)
        if other != source.framing and chain is not None and _any_fits(source, data, chain):
            how = f"{other} length, where the dialect says {source.framing}"
            return _frames(source, data, chain, how)
    if own is not None:
        return _frames(source, data, own, f"{source.framing} length, a keep-alive first")
    return [_odd(source, data)]


def _frame(source: Source, data: bytes, start: int, width: int, how: str) -> Frame:
    """A frame of `data`, whose first `width` bytes are its length; says whether TPDU and header are
    there, by what fits."""
    length, content = data[:width], data[width:]
    usual = source.preface_bytes
    if not usual:
        return Frame(start, length, b"", content, how)
    with_header = not isinstance(read(source.dialect, content[usual:]), DecodeError)
    bare = not with_header and not isinstance(read(source.dialect, content), DecodeError)
    _, problem = describe.header(source.dialect, content[:usual])
    if bare or (problem and not with_header):
        return Frame(start, length, b"", content, f"{how}, without TPDU and header")
    said = f"{how}, {usual} bytes of TPDU and header"
    return Frame(start, length, content[:usual], content[usual:], said)


def _fits(source: Source, content: bytes) -> bool:
    pieces = {source.preface_bytes, 0}
    return any(not isinstance(read(source.dialect, content[at:]), DecodeError) for at in pieces)


def _any_fits(source: Source, data: bytes, chain: list[tuple[int, int, int]]) -> bool:
    return any(_fits(source, data[at + width : at + width + n]) for at, width, n in chain)


def _chain(framing: str, data: bytes) -> list[tuple[int, int, int]] | None:
    """(offset, bytes of length, bytes that follow) of each frame, when they fill the data exactly.
    Empty frames are keep-alives and are passed over."""
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < len(data):
        length = describe.length(framing, data[at : at + 8])
        if length is None or len(found) == FRAMES_MAX:
            return None
        width, following = length
        if at + width + following > len(data):
            return None
        if following:
            found.append((at, width, following))
        at += width + following
    return found or None


def _frames(
    source: Source, data: bytes, chain: list[tuple[int, int, int]], how: str
) -> list[Frame]:
    return [_frame(source, data[at : at + width + n], at, width, how) for at, width, n in chain]


def _by_line(source: Source, lines: list[bytes]) -> list[Frame]:
    """Frames where each line holds whole ones of its own; none when a line does not."""
    found: list[Frame] = []
    start = 0
    for line in lines:
        chain = _chain(source.framing, line)
        if chain is not None:
            pieces = _frames(source, line, chain, f"{source.framing} length, line by line")
        elif _fits(source, line):
            pieces = [_frame(source, line, 0, 0, "no length, a message a line")]
        else:
            return []
        found += [piece._replace(start=start + piece.start) for piece in pieces]
        start += len(line)
    return found


def _odd(source: Source, data: bytes) -> Frame:
    """One frame of what fits nowhere: with the dialect's length where that is at least likely."""
    length = describe.length(source.framing, data[:8])
    if length is not None and length[0] < len(data):
        width, following = length
        here = len(data) - width
        if here // 4 <= following <= 4 * here and following > 0:
            off = following - here
            short = f"{off} are missing" if off > 0 else f"{-off} too many"
            how = f"{source.framing} length says {following} bytes, {here} follow: {short}"
            return _frame(source, data, 0, width, how)
    return _frame(source, data, 0, 0, "no length that fits")
