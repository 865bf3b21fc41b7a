"""The last frames of a member that could not be decoded or proved, masked, in memory.

What arrives here was masked natively before it became a Python object (`DecodeError.image`). The
ring is bounded in frames and bytes: a peer that sends nothing else costs a quarter of a megabyte.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from switch.errors import DecodeError, FramingError, MacError
from switch.runtime.clock import wall_ms

if TYPE_CHECKING:
    from switch.runtime.transport import Connection

__all__ = ["FRAMES_MAX", "IMAGE_BYTES_MAX", "Abuse", "Faults", "FrameFault"]

FRAMES_MAX: Final = 64
"""Kept for each member; the oldest goes first."""
IMAGE_BYTES_MAX: Final = 2_048
"""Kept of one frame, around its fault."""
PROVED: Final = "a code that a key of the link makes"


class FrameFault(msgspec.Struct, frozen=True, kw_only=True):
    """One frame, or one place where a stream was lost."""

    at_ms: int
    """Unix time."""
    slot: int
    peer: str
    dialect: str
    kind: str
    """message: the stream went on behind it; mac: so it did, and its message code does not hold;
    framing: the stream was lost there."""
    mti: str = ""
    path: str = ""
    """Field path, ``mti``, ``bitmap``, ``message``, or a part of TPDU or header."""
    offset: int
    """Of the fault: in what stands behind the length; kind framing: bytes of the stream before
    it."""
    found: str
    expected: str
    bytes: int
    """Of what stood behind the length; kind framing: of the length itself."""
    image: str
    """Hexadecimal, two stars a byte that is not shown."""
    image_from: int = 0
    """First byte that `image` has; more than 0 where a long frame was cut."""


class Abuse(msgspec.Struct, frozen=True):
    """Of one kind."""

    count: int
    peer: str
    """Where the last one came from."""


class Faults:
    """One member's ring."""

    __slots__ = ("_frames", "abuses", "total")

    def __init__(self) -> None:
        self._frames: deque[FrameFault] = deque(maxlen=FRAMES_MAX)
        self.total = 0
        """Since the worker's start."""
        self.abuses: dict[str, Abuse] = {}
        """What no payment system does by mistake, since the audit was told last; by kind."""

    def abuse(self, kind: str, link: "Connection") -> int:
        """Notes it; how often it has come since the audit was told last. `kind` is a word of
        ours."""
        count = self.abuses[kind].count + 1 if kind in self.abuses else 1
        self.abuses[kind] = Abuse(count, link.peer)
        return count

    def keep(self, link: "Connection", error: Exception) -> None:
        """Keeps what may be shown of a frame that could not be decoded or proved, or of a lost
        stream."""
        self.total += 1
        if isinstance(error, DecodeError | MacError):
            size = len(error.image) // 2
            first = max(0, min(error.image_at - IMAGE_BYTES_MAX // 2, size - IMAGE_BYTES_MAX))
            if isinstance(error, DecodeError):
                kind, mti, found, expected = "message", error.mti, error.found, error.expected
            else:
                self.abuse("mac", link)
                kind, mti, found, expected = "mac", error.message.mti, error.reason, PROVED
            self._frames.append(
                FrameFault(
                    at_ms=wall_ms(),
                    slot=link.slot,
                    peer=link.peer,
                    dialect=error.dialect,
                    kind=kind,
                    mti=mti,
                    path=error.path,
                    offset=error.image_at,
                    found=found,
                    expected=expected,
                    bytes=size,
                    image=error.image[2 * first : 2 * (first + IMAGE_BYTES_MAX)],
                    image_from=first,
                )
            )
        elif isinstance(error, FramingError):
            self.abuse("framing", link)
            self._frames.append(
                FrameFault(
                    at_ms=wall_ms(),
                    slot=link.slot,
                    peer=link.peer,
                    dialect=link.dialect.name,
                    kind="framing",
                    path="length",
                    offset=error.offset,
                    found=error.found,
                    expected=error.expected,
                    bytes=len(error.image) // 2,
                    image=error.image,
                )
            )

    def newest(self, count: int) -> list[FrameFault]:
        """The last so many, the newest last."""
        return list(self._frames)[-count:]
