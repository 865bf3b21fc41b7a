"""Events of operation as JSON lines on stderr; never one per message.

What may be logged: institution ids, slots, addresses of peers, counts, codes of ours, times. Types
see to it that no card number, track, PIN or key arrives here; the last processor is a second net:
it blots out every run of digits that could be a card number, and counts what it caught, so that a
test can insist on zero.
"""

import contextlib
import logging
import os
import re
import select
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO, cast

import structlog

__all__ = ["blot", "caught", "configure", "lost"]

_DIGITS: Final = re.compile(r"(?<!\d)\d{12,19}(?!\d)")
BLOTTED: Final = "[blotted]"


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        if place % 2:
            value = value * 2 - 9 * (value > 4)
        total += value
    return total % 10 == 0


def blot(text: str) -> str:
    """`text` with every Luhn-valid run of 12 to 19 digits replaced."""
    return _DIGITS.sub(lambda run: _caught() if _luhn(run.group()) else run.group(), text)


def caught() -> int:
    """How many runs were blotted out in this process: each is a bug elsewhere."""
    return _count[0]


_count: Final = [0]


def _caught() -> str:
    _count[0] += 1
    return BLOTTED


def _blotted(value: Any) -> Any:
    """`value` with every text in it blotted, however deep. Numbers stay: ours are ids and times,
    of which one in ten would look like a card number; no card number is ever a number here."""
    if isinstance(value, str):
        return blot(value)
    if isinstance(value, bytes):
        return blot(value.decode("ascii", "backslashreplace"))
    if isinstance(value, dict):
        return {_blotted(key): _blotted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_blotted(inner) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return blot(str(value))


def _blot_all(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {key: _blotted(value) for key, value in event.items()}


class _Stream:
    """Stderr that neither raises nor waits: a full disk under a log file, or a collector that has
    stopped reading, must not change what the process does. What does not get through is counted."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._fd = -1

    def write(self, text: str) -> None:
        try:
            fd = sys.stderr.fileno()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(text)
            return
        if fd != self._fd:
            self._poll, self._fd = select.poll(), fd
            self._poll.register(fd, select.POLLOUT)
        data = text.encode("utf-8", "backslashreplace")
        try:
            # A pipe that can be written to takes as much as this without waiting, whole.
            for at in range(0, len(data), select.PIPE_BUF):
                part = data[at : at + select.PIPE_BUF]
                if not self._poll.poll(0) or os.write(fd, part) < len(part):
                    _lost[0] += 1
                    return
        except OSError:
            _lost[0] += 1

    def flush(self) -> None:
        """Nothing is kept back."""


def lost() -> int:
    """How many lines of this process did not get through, whole."""
    return _lost[0]


_lost: Final = [0]


def configure(process: str, level: int = logging.INFO) -> None:
    """JSON lines on stderr, each with time (UTC), level, process name and event."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lambda _logger, _name, event: {"process": process, **event},
            _blot_all,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Stream())),
        cache_logger_on_first_use=True,
    )
