"""A message as a table for people: one line a field, sub-field or tag, masked by class."""

import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from switch.wire import Message

__all__ = ["LANGUAGES", "describe", "table", "width"]

LANGUAGES: Final = ("en", "zh", "both")

RAW_BYTES: Final = 16
"""Bytes on one line; more go on below."""

MTI_CLASSES: Final = {
    "1": ("authorisation", "授权"),
    "2": ("financial", "金融"),
    "3": ("file action", "文件操作"),
    "4": ("reversal", "冲正"),
    "5": ("reconciliation", "对账"),
    "6": ("administrative", "管理"),
    "8": ("network management", "网络管理"),
}
MTI_FUNCTIONS: Final = {
    "0": ("request", "请求"),
    "1": ("response", "应答"),
    "2": ("advice", "通知"),
    "3": ("advice response", "通知应答"),
    "4": ("notification", "告知"),
}


def describe(message: Message) -> str:
    """Lines of offset, length, number, name and value, in wire order.

    Values of class C2 and above are hidden, but for the first six and last four digits of an
    account number: the result may be logged and shown.
    """
    rows = [
        (f"{offset:04d}", f"+{length}", number, name, value)
        for number, name, value, offset, length in message.describe()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def table(taken: dict[str, Any], lang: str = "en") -> Iterator[str]:
    """Lines of what `switch.wire.anatomy` gives: offset, bytes, field, value, name. Sub-fields and
    tags stand indented under their field."""
    rows = list(_rows(taken, lang))
    number_width = max((width(number) for _, _, number, _, _ in rows), default=0)
    value_width = min(36, max((width(value) for _, _, _, value, _ in rows), default=0))
    for offset, raw, number, value, name in rows:
        pieces = [raw[at : at + 2 * RAW_BYTES] for at in range(0, len(raw), 2 * RAW_BYTES)] or [""]
        first = " ".join(pieces[0][at : at + 2] for at in range(0, len(pieces[0]), 2))
        cells = (_pad(number, number_width), _pad(value, value_width), name)
        yield f"{offset:04X}  {first:<{3 * RAW_BYTES - 1}}  {'  '.join(cells)}".rstrip()
        for at, piece in enumerate(pieces[1:], 1):
            more = " ".join(piece[at : at + 2] for at in range(0, len(piece), 2))
            yield f"{offset + at * RAW_BYTES:04X}  {more}"


def _rows(taken: dict[str, Any], lang: str) -> Iterator[tuple[int, str, str, str, str]]:
    """Offset, bytes, number, value and name of each line."""
    fields = taken["fields"]
    at = taken["offset"]
    if taken["length"]:
        yield at, taken["length"], "length", "", ""
        at += len(taken["length"]) // 2
    if taken["preface"]:
        words = " ".join(f"{name} {digits}" for name, digits in taken["header"].items())
        yield at, taken["preface"], "header", "", words
    for row in fields:
        at = row["offset"] - row["head"]
        number, name = row["number"], _title(row, lang)
        if number == "0":
            yield at, row["raw"], "MTI", row["value"], _mti(row["value"], lang)
            if bitmap := taken["bitmap"]:
                listed = " ".join(map(str, bitmap["numbers"]))
                yield bitmap["offset"], bitmap["raw"], "bitmap", listed, ""
            continue
        indent = "  " if "." in number else ""
        value = row["value"]
        if row["parts"]:
            value = f"{row['length']} bytes"
        elif row["type"] in {"an", "ans"} and indent and not row["hidden"]:
            value = _also_text(value, row["raw"][2 * row["head"] :])
        yield (
            at,
            row["raw"],
            f"{indent}F{number}" if not indent else f"{indent}{number}",
            value,
            name,
        )


def _also_text(value: str, raw: str) -> str:
    """Hexadecimal of a text tag, with the text behind it."""
    if value != raw or len(raw) % 2:
        return value
    text = bytes.fromhex(raw)
    return f'{value} "{text.decode("ascii")}"' if text.isascii() and text.isalnum() else value


def _title(row: dict[str, Any], lang: str) -> str:
    en: str = row["title_en"] or row["name"]
    zh: str = row["title_zh"]
    if lang == "zh":
        return zh or en
    return f"{en} {zh}".rstrip() if lang == "both" else en


def _mti(mti: str, lang: str) -> str:
    """What a message type says: class, function, repeat. Source: ISO 8583:1987, 4.1."""
    if len(mti) != 4:
        return ""
    en, zh = [], []
    for words in (MTI_CLASSES.get(mti[1]), MTI_FUNCTIONS.get(mti[2])):
        if words:
            en.append(words[0])
            zh.append(words[1])
    if mti[3] in "135":
        en.append("repeat")
        zh.append("重发")
    texts = {"en": " ".join(en), "zh": "".join(zh)}
    return texts[lang] if lang in texts else f"{texts['en']} {texts['zh']}"


def width(text: str) -> int:
    """Columns that a terminal gives the text."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))
