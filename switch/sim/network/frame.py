"""A stream cut into units, and fields changed in place. No sockets.

Frames are told apart by the dialect's length alone; what is in them is looked at only when a rule
asks, and a frame that cannot be read passes like any other: this network is not the judge.
"""

from typing import Final

from switch.errors import OperatorError, TapswitchError
from switch.wire import Message
from switch.wire.source import Source

__all__ = ["Cutter", "exchange", "message_of", "place_of", "rewritten"]

FRAME_BYTES_MAX: Final = 1 << 17
"""A length beyond this is none: the rest of the stream passes as it comes."""


def message_of(source: Source, frame: bytes) -> Message | None:
    """The message of a whole frame; None when it cannot be read."""
    try:
        return source.dialect.decode_frame(frame)
    except TapswitchError:
        return None


def place_of(source: Source, frame: bytes, name: str) -> slice | None:
    """Where a field's bytes are in the frame, without its length prefix; None when it has none."""
    message = message_of(source, frame)
    if message is None:
        return None
    body_at = len(frame) - message.length
    for _, known, _, offset, length in message.describe():
        if known == name:
            return slice(body_at + offset, body_at + offset + length)
    return None


def rewritten(source: Source, frame: bytes, name: str, value: str) -> bytes:
    """The frame with another value in a field; as it is when it has no such field.

    Raises: OperatorError when the dialect cannot say `value` there, or not in as many bytes.
    """
    there = place_of(source, frame, name)
    if there is None:
        return frame
    try:
        made = source.dialect.encode("0800", {name: value})
    except TapswitchError as error:
        raise OperatorError(f"{name} cannot be {value!r}: {error}") from None
    place = place_of(source, made, name)
    if place is None or place.stop - place.start != there.stop - there.start:
        raise OperatorError(f"{value!r} is not as long as the {name} that it replaces")
    return frame[: there.start] + made[place] + frame[there.stop :]


def exchange(source: Source, one: bytes, other: bytes, name: str) -> tuple[bytes, bytes] | None:
    """Both frames with the field of the other; None when they have none of equal length."""
    here, there = place_of(source, one, name), place_of(source, other, name)
    if here is None or there is None:
        return None
    mine, theirs = one[here], other[there]
    if len(mine) != len(theirs):
        return None
    return (
        one[: here.start] + theirs + one[here.stop :],
        other[: there.start] + mine + other[there.stop :],
    )


class Cutter:
    """Cuts one direction of one connection. Without a dialect every chunk is a unit."""

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Whole units, in order; what is not whole yet waits."""
        if self._source is None:
            return [data]
        data = self._rest + data
        units: list[bytes] = []
        at = 0
        while length := self._source.frame_bytes(data[at : at + 8]):
            if not 0 < length <= FRAME_BYTES_MAX:
                # No frames any more: somebody's nonsense, which is to arrive as it was sent.
                self._source, self._rest = None, b""
                return [*units, data[at:]]
            if at + length > len(data):
                break
            units.append(data[at : at + length])
            at += length
        self._rest = data[at:]
        return units

    def rest(self) -> bytes:
        """What never became whole; at the end of the stream."""
        rest, self._rest = self._rest, b""
        return rest
