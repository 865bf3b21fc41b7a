"""One message of a capture taken apart for people and programs: every byte with its name and value,
masked, the fault when there is one, and hints.

What is masked: values above class C1, by the dialect. Of a message that does not fit its dialect
nobody knows where the card number stands; there whatever another fitting reading hides is hidden
too, and every run of digits that could be a card number.
"""

import re
from typing import Any, Final

from switch.errors import CaptureError, DecodeError
from switch.model.kind import Check, Kind
from switch.native import describe
from switch.wire import Message
from switch.wire.cut import Frame
from switch.wire.explain import Explained, explain
from switch.wire.source import Source, read

__all__ = ["SCHEMA", "anatomy"]

SCHEMA: Final = "tapswitch.decode/1"
"""Version of what `anatomy` gives; a key that changes its meaning makes a new one."""

CARD_DIGITS: Final = range(13, 20)
TEST_RANGE: Final = "6299"


def anatomy(
    source: Source, frame: Frame, *, hints: bool = False, bare: bool = False
) -> dict[str, Any]:
    """A frame as plain values.

    `hints`: say what may have been read wrongly. `bare`: unmasked; raises CaptureError unless the
    message fits its dialect and all its account numbers are of the test range 6299xx.
    """
    body, at = frame.body, frame.body_at
    found = read(source.dialect, body)
    error = found if isinstance(found, DecodeError) else None
    message = found.partial if isinstance(found, DecodeError) else found
    explained: Explained | None = None
    if error is not None or hints:
        explained = explain(source, body, found)
    if bare:
        _refuse_bare(message, error)
    rows = describe.lines(message, bare) if isinstance(message, Message) else []
    if error is not None:
        _hide(rows, _hidden(body, explained))
    for row in rows:
        row["offset"] += at
    header, wrong = describe.header(source.dialect, frame.preface) if frame.preface else ({}, "")
    out: dict[str, Any] = {
        "offset": frame.start,
        "length": frame.length.hex().upper(),
        "header": header,
        "preface": frame.preface.hex().upper(),
        "bytes": at - frame.start + len(body),
        "found": f"{frame.how} ({wrong})" if wrong else frame.how,
        "mti": message.mti if isinstance(message, Message) else "",
        "kind": Kind(message.kind).name.lower() if isinstance(message, Message) else "unknown",
        "check": _check(message),
        "bitmap": _bitmap(source, body, at),
        "fields": rows,
        "fault": _fault(source, error, at) if error else None,
        "doubts": [],
        "hints": [],
    }
    if hints:
        out |= _said(found, explained)
    return out


def _refuse_bare(message: Message | None, error: DecodeError | None) -> None:
    why = "the message does not fit its dialect"
    if error is None and message is not None:
        why = describe.not_bare(message)
    if why:
        raise CaptureError(
            f"not shown unmasked: {why}", help="only test data, with card numbers of 6299xx, is"
        )


def _check(message: Message | None) -> str:
    """What the static rules say, '' for nothing."""
    if message is None or message.check == Check.OK:
        return ""
    words = {
        Check.FORMAT: "missing or malformed",
        Check.UNKNOWN_KIND: "in no row of [[kinds]]",
        Check.AMOUNT_ZERO: "amount zero",
        Check.PIN_PRESENT: "PIN block present",
    }
    return f"{message.check_path}: {words[Check(message.check)]}".removeprefix(": ")


def _bitmap(source: Source, body: bytes, at: int) -> dict[str, Any] | None:
    head = describe.announced(source.dialect, body)
    if head is None:
        return None
    start, end, numbers = head
    raw = body[start:end].hex().upper()
    return {"offset": at + start, "raw": raw, "numbers": numbers}


def _fault(source: Source, error: DecodeError, at: int) -> dict[str, Any]:
    word, _, number = error.path.partition(" ")
    key = f"fields.{number.partition('.')[0]}" if word == "field" else word
    return {
        "code": error.code,
        "path": error.path,
        "offset": at + error.offset,
        "found": error.found,
        "expected": error.expected,
        "file": source.file,
        "line": source.line(key),
    }


def _said(found: Message | DecodeError, explained: Explained | None) -> dict[str, Any]:
    doubts = [] if isinstance(found, DecodeError) else describe.doubts(found)
    assert explained is not None
    return {
        "doubts": [{"path": path, "name": name, "problem": why} for _, path, name, why in doubts],
        "hints": [hint._asdict() for hint in explained.hints],
        "readings_tried": explained.tried,
        "readings_that_fit": explained.fitting,
    }


# ------------------------------------------------------------------ a message that does not fit


def _hidden(body: bytes, explained: Explained | None) -> set[int]:
    """Offsets of bytes that may be of a card number or of something worse."""
    hidden = _card_like(body)
    for message, shift in explained.others if explained else []:
        for row in describe.lines(message):
            if row["hidden"] and shift >= 0:
                start = shift + row["offset"]
                hidden.update(range(start, start + row["length"]))
    return hidden


def _card_like(body: bytes) -> set[int]:
    """Bytes of every run of digits, in characters or packed, that a card number could be."""
    found: set[int] = set()
    ascii_text = "".join(chr(byte) if 48 <= byte <= 57 else " " for byte in body)
    ebcdic = "".join(chr(byte - 0xC0) if 0xF0 <= byte <= 0xF9 else " " for byte in body)
    for text in (ascii_text, ebcdic):
        found.update(_card_digits(text))
    packed = re.sub(r"[^0-9]", " ", body.hex())
    found.update(at // 2 for at in _card_digits(packed))
    return found


def _card_digits(text: str) -> set[int]:
    """Places of digits that stand in a possible card number: right check digit, or test range."""
    found: set[int] = set()
    for run in re.finditer(r"[0-9]{13,}", text):
        digits = run[0]
        for start in range(len(digits) - CARD_DIGITS.start + 1):
            if digits[start] in "01":
                continue
            for length in CARD_DIGITS:
                piece = digits[start : start + length]
                if len(piece) == length and (piece.startswith(TEST_RANGE) or _luhn(piece)):
                    found.update(range(run.start() + start, run.start() + start + length))
    return found


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _hide(rows: list[dict[str, Any]], hidden: set[int]) -> None:
    """Masks rows whose bytes are among `hidden`."""
    for row in rows:
        start, length = row["offset"] - row["head"], row["head"] + row["length"]
        # An account number where the dialect expects one shows its ends only; nobody knows here
        # that it is one.
        if row["class"] != "C1" or not hidden.isdisjoint(range(start, start + length)):
            row["value"] = f"({row['length']} hidden)"
            row["raw"] = "**" * (row["head"] if row["parts"] else length)
            row["hidden"] = True
