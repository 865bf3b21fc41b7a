"""Log lines that strangers bring about: a few a minute, however many there are. All are counted."""

from typing import Final

__all__ = ["TOLD_MAX", "Quiet"]

TOLD_MAX: Final = 10
"""Lines within `TOLD_NS`."""
TOLD_NS: Final = 60_000_000_000


class Quiet:
    """Of one kind of line."""

    __slots__ = ("_silenced", "_since_ns", "_told")

    def __init__(self) -> None:
        self._since_ns = 0
        self._told = 0
        self._silenced = 0

    def speaks(self, now_ns: int) -> bool:
        """Whether one more line may be written now."""
        if not self._since_ns or now_ns - self._since_ns > TOLD_NS:
            self._since_ns, self._told = now_ns, 0
        self._told += 1
        if self._told <= TOLD_MAX:
            return True
        self._silenced += 1
        return False

    def silenced(self) -> int:
        """Lines that were not written since this was asked last."""
        silenced, self._silenced = self._silenced, 0
        return silenced
