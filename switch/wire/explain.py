"""Why a message does not fit its dialect, or looks wrong: by trying what may have been read so.

Each hint is a reading that was really tried and under which the whole message fits, to the last
byte; it names that as its evidence. Where several fit, all are named, likeliest first; where none
does, that is said. Quotes no value: lengths, offsets and the bytes of length prefixes only.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from switch.errors import DecodeError
from switch.model.kind import Kind
from switch.native import describe
from switch.wire import Message
from switch.wire.reading import (
    Change,
    everywhere,
    field_changes,
    guesses,
    head_changes,
    undoings,
)
from switch.wire.source import Source, read

__all__ = ["HINTS_MAX", "Explained", "Hint", "explain"]

HINTS_MAX: Final = 3
"""Readings named for one message; more that fit are counted."""

SKIP_MAX: Final = 16
"""Bytes in front of a message of quite another dialect that are tried away."""


class Hint(NamedTuple):
    """One reading that fits."""

    path: str
    """``field 35``, ``bitmap``, ``message``."""
    problem: str
    """What was probably read wrongly."""
    evidence: str
    mend: str
    """What the dialect file would say; '' where the capture is at fault."""
    file: str
    line: int


class Explained(NamedTuple):
    """Hints, best first, and what was tried."""

    hints: list[Hint]
    fitting: int
    tried: int
    others: list[tuple[Message, int]]
    """The message under every reading that fits, with the offset at which it begins: whoever masks
    what was given masks what any of them hides. -1: offsets do not agree."""


class _Fit(NamedTuple):
    score: tuple[int, int, int]
    hint: Hint
    message: Message
    shift: int


def explain(source: Source, body: bytes, found: Message | DecodeError) -> Explained:
    """Tries other readings of a body that is refused, or that holds unlikely values."""
    if isinstance(found, DecodeError):
        search = _Search(source, body, found, [])
        search.bytes_changed()
        search.changes(_likely(source, body, found))
        if not search.fits:
            search.guess()
        return search.result()
    doubts = describe.doubts(found)
    search = _Search(source, body, None, doubts)
    for number in dict.fromkeys(number for number, *_ in doubts):
        row = source.rows.get(str(number))
        if row is not None:
            search.changes(field_changes(row, source.field(number)))
    return search.result()


def _likely(source: Source, body: bytes, error: DecodeError) -> Iterator[Change]:
    """Changes of the head, of every axis, and of each field up to the fault."""
    yield from head_changes(source.table)
    head = describe.announced(source.dialect, body)
    numbers = head[2] if head else []
    last = _number(error.path)
    blamed = [n for n in numbers if not last or n <= last]
    yield from everywhere(source.table, [r for n in numbers if (r := source.rows.get(str(n)))])
    for number in blamed:
        row = source.rows.get(str(number))
        if row is not None:
            yield from field_changes(row, source.field(number))


def _number(path: str) -> int:
    """The field that an error's path names; 0 for none."""
    word, _, number = path.partition(" ")
    return int(number.partition(".")[0]) if word == "field" else 0


class _Search:
    """Readings tried of one body, and which fit."""

    def __init__(
        self,
        source: Source,
        body: bytes,
        error: DecodeError | None,
        doubts: list[tuple[int, str, str, str]],
    ) -> None:
        self.source = source
        self.body = body
        self.error = error
        self.doubts = doubts
        self.fits: list[_Fit] = []
        self.tried = 0
        self._seen: dict[tuple[object, ...], int] = {}

    def bytes_changed(self) -> None:
        """The body as it may have been before something happened to it."""
        for undoing in undoings(self.body):
            self.tried += 1
            found = read(self.source.dialect, undoing.body)
            if isinstance(found, Message) and Kind(found.kind) is not Kind.UNKNOWN:
                hint = Hint("message", undoing.said, self._evidence(found), "", "", 0)
                self._keep(found, hint, (undoing.rank, 0), undoing.shift, undoing.body)

    def changes(self, changes: Iterable[Change]) -> None:
        """The body by changed dialects."""
        for change in changes:
            dialect = self.source.vary(change)
            if dialect is None:
                continue
            self.tried += 1
            found = read(dialect, self.body)
            if isinstance(found, Message) and self._better(found):
                self._keep_change(found, change, 0, self.body)

    def guess(self) -> None:
        """Quite another dialect, perhaps behind a header."""
        for change in guesses(self.source.table):
            dialect = self.source.vary(change)
            if dialect is None:
                continue
            for skip in range(min(SKIP_MAX, len(self.body))):
                self.tried += 1
                found = read(dialect, self.body[skip:])
                if isinstance(found, Message) and Kind(found.kind) is not Kind.UNKNOWN:
                    self._keep_change(found, change, skip, self.body[skip:])

    def _better(self, found: Message) -> bool:
        """Whether a reading of a sound message takes away a doubt and brings none."""
        if self.error is not None:
            return True
        left = {(path, problem) for _, path, _, problem in describe.doubts(found)}
        before = {(path, problem) for _, path, _, problem in self.doubts}
        return left < before

    def _keep_change(self, found: Message, change: Change, skip: int, body: bytes) -> None:
        path = f"field {change.number}" if change.number else change.key.partition(".")[0]
        problem = f"probably read wrongly: read as {change.read_as}, it fits"
        prefix = self._prefix(found, change)
        if prefix:
            problem = f"{problem} ({prefix})"
        if skip:
            problem = f"{problem}, behind {skip} bytes that are no part of the message"
        line = self.source.line(change.key)
        hint = Hint(path, problem, self._evidence(found), change.mend, self.source.file, line)
        last = _number(self.error.path) if self.error else 0
        far = abs(last - change.number) if change.number and last else 0
        self._keep(found, hint, (change.rank + bool(skip), far), skip, body)

    def _prefix(self, found: Message, change: Change) -> str:
        """The bytes of the length that was read otherwise, and what they then say."""
        if not any(key.endswith(".prefix") for key in change.keys) or not change.number:
            return ""
        for line in describe.lines(found):
            if line["number"] == str(change.number) and line["head"]:
                at = line["offset"] - line["head"]
                wire = self.body[at : line["offset"]].hex(" ").upper()
                return f"the length {wire} then announces {line['length']} bytes"
        return ""

    def _evidence(self, found: Message) -> str:
        count = sum("." not in line["number"] for line in describe.lines(found)) - 1
        exact = f"so read, all {count} fields fit and nothing is left over"
        if self.error is not None:
            return exact
        left = {path for _, path, _, _ in describe.doubts(found)}
        gone = [f"{path} no longer: {why}" for _, path, _, why in self.doubts if path not in left]
        return f"{exact}; {'; '.join(gone)}" if gone else exact

    def _keep(
        self, found: Message, hint: Hint, score: tuple[int, int], shift: int, body: bytes
    ) -> None:
        """Enters a reading unless another one reads every field from the same bytes alike."""
        lines = describe.lines(found)
        signature = (shift, len(body), *((x["number"], x["offset"], x["value"]) for x in lines))
        doubts = len(describe.doubts(found)) + 2 * (Kind(found.kind) is Kind.UNKNOWN)
        fit = _Fit((doubts, *score), hint, found, shift)
        # Of two changes that read every byte alike the likelier one is named.
        known = self._seen.get(signature)
        if known is None:
            self._seen[signature] = len(self.fits)
            self.fits.append(fit)
        elif fit.score < self.fits[known].score:
            self.fits[known] = fit

    def result(self) -> Explained:
        self.fits.sort(key=lambda fit: fit.score)
        hints = [fit.hint for fit in self.fits[:HINTS_MAX]]
        others = [(fit.message, fit.shift) for fit in self.fits]
        return Explained(hints, len(self.fits), self.tried, others)
