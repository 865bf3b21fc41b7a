"""Other readings of a message: a dialect with one thing changed, or bytes with one thing undone.

Nothing here judges; `explain` tries each and keeps those under which a message fits exactly.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

__all__ = [
    "Change",
    "Undoing",
    "everywhere",
    "field_changes",
    "guesses",
    "head_changes",
    "undoings",
]

TEXT: Final = ("ascii", "ebcdic")
NUMBERS: Final = ("bcd", "ascii", "ebcdic")
BINARY: Final = ("binary", "hex")
PREFIXES: Final = ("bcd", "ascii", "binary", "ebcdic")
UNITS: Final = {"chars": "characters", "bytes": "bytes", "nibbles": "half bytes"}
LENGTH_MAX: Final = 64
"""Longest fixed length that is tried in the place of another."""


class Change(NamedTuple):
    """Keys of a dialect file and the values they would have."""

    rank: int
    """How far-fetched: less is likelier."""
    keys: dict[str, Any]
    number: int
    """Field, 0 for the head or the whole file."""
    key: str
    """Where in the file it would be mended."""
    read_as: str
    """How the bytes are read so, after "read as"."""
    mend: str
    """What the file would say."""


class Undoing(NamedTuple):
    """Bytes as they were before something happened to them."""

    rank: int
    body: bytes
    shift: int
    """Where `body` begins in what was given; -1 when offsets no longer agree."""
    said: str


def undoings(body: bytes) -> Iterator[Undoing]:
    """What captures suffer: bytes before or behind the message, line ends, code pages."""
    for skip in range(1, min(65, len(body) - 8)):
        yield Undoing(0, body[skip:], skip, _front(body[:skip]))
    for more in range(1, min(17, len(body) - 8)):
        yield Undoing(1, body[:-more], 0, _behind(body[-more:]))
    if b"\r\n" in body:
        mended = body.replace(b"\r\n", b"\n")
        yield Undoing(1, mended, -1, "each 0A came as 0D 0A: a text mode changed line ends")
    try:
        mended = body.decode("utf-8").encode("latin-1")
    except UnicodeError:
        mended = body
    if mended != body:
        said = "bytes above 7F came as two: the message was saved as UTF-8"
        yield Undoing(1, mended, -1, said)
    try:
        mended = bytes.fromhex(body.decode("ascii"))
    except ValueError:
        return
    yield Undoing(0, mended, -1, "the bytes are hexadecimal text of the message")


def _front(piece: bytes) -> str:
    what = f"the first {len(piece)} bytes are no part of the message"
    if len(piece) in {5, 11} and piece[0] == 0x60:
        header = " and a header of 6" if len(piece) == 11 else ""
        return f"{what}: a TPDU of 5 bytes{header}, {piece[:11].hex(' ').upper()}"
    if len(piece) in {2, 4}:
        return f"{what}: perhaps a length that the dialect does not count, {piece.hex(' ').upper()}"
    return what


def _behind(piece: bytes) -> str:
    names = {b"\n": "a line break", b"\r\n": "a line break", b"\x03": "ETX", b"\r": "a line break"}
    what = names.get(piece, "filling of zeros" if not any(piece) else "")
    return f"{len(piece)} bytes stand behind the message" + (f": {what}" if what else "")


def head_changes(table: dict[str, Any]) -> Iterator[Change]:
    """MTI and bitmap in other encodings, alone and together."""
    mti, bitmap = table["mti"]["encoding"], table["bitmap"]["encoding"]
    for one in ("ascii", "bcd", "ebcdic"):
        for other in ("binary", "hex", "ebcdic"):
            keys = {}
            said = []
            if one != mti:
                keys["mti.encoding"] = one
                said.append(f"the MTI as {one}")
            if other != bitmap:
                keys["bitmap.encoding"] = other
                said.append(f"the bitmap as {_bitmap_word(other)}")
            if keys:
                mend = ", ".join(f'{key} = "{value}"' for key, value in keys.items())
                where = next(iter(keys)).partition(".")[0]
                yield Change(len(keys) - 1, keys, 0, where, " and ".join(said), mend)


def _bitmap_word(encoding: str) -> str:
    return {"hex": "hexadecimal text", "binary": "8 raw bytes"}.get(encoding, encoding)


def field_changes(row: dict[str, Any], field: dict[str, Any]) -> Iterator[Change]:
    """Every other reading of one field. `row` is its row of `Dialect.fields`, `field` its table."""
    number = int(row["number"])
    key = f"fields.{number}"
    if row["prefix"]:
        yield from _prefixes(number, key, row)
    yield from _pads(number, key, row, field)
    yield from _encodings(number, key, row)
    yield from _types(number, key, row)
    if not row["prefix"] and "layout" not in field:
        for length in range(1, LENGTH_MAX + 1):
            if length != row["max"]:
                said = f"{length} characters instead of {row['max']}"
                yield Change(6, {f"{key}.length": length}, number, key, said, f"length = {length}")
        for digits in (2, 3):
            keys = {f"{key}.length": None, f"{key}.max": 99 if digits == 2 else 999}
            keys[f"{key}.prefix"] = digits
            yield Change(5, keys, number, key, f"{'L' * digits} variable", f"prefix = {digits}")


def _prefixes(number: int, key: str, row: dict[str, Any]) -> Iterator[Change]:
    digits_now, encoding_now, unit_now = row["prefix"].split()
    for encoding in PREFIXES:
        for digits in (1, 2, 3, 4):
            for unit in UNITS:
                if (encoding, digits, unit) == (encoding_now, int(digits_now), unit_now):
                    continue
                limit = 256**digits - 1 if encoding == "binary" else 10**digits - 1
                rank = (encoding != encoding_now) + 2 * (unit != unit_now)
                rank += digits != _digits(encoding, encoding_now, int(digits_now))
                prefix = {"digits": digits, "encoding": encoding, "unit": unit}
                keys: dict[str, Any] = {f"{key}.prefix": prefix}
                per_char = 2 if unit != "chars" else 1
                most = min(9999, limit if unit == "bytes" else limit // per_char)
                if most < row["max"]:
                    keys[f"{key}.max"] = most
                    if row["min"] > most:
                        continue
                said = f"a length of {_width(encoding, digits)} that counts {UNITS[unit]}"
                mend = f'prefix = {{ digits = {digits}, encoding = "{encoding}", unit = "{unit}" }}'
                yield Change(rank, keys, number, key, said, mend)
    if row["max"] < 999:
        limit = 10 ** int(digits_now) - 1
        if encoding_now == "binary":
            limit = 999
        keys = {f"{key}.max": min(999, limit), f"{key}.min": 0}
        said = f"of any length, not of {row['min']} to {row['max']}"
        yield Change(4, keys, number, key, said, f"max = {min(999, limit)}")


def _digits(encoding: str, encoding_now: str, digits_now: int) -> int:
    """Digits of the usual prefix of the same reach: LL is one binary byte, LLL two."""
    if encoding == "binary" and encoding_now != "binary":
        return 1 if digits_now <= 2 else 2
    if encoding_now == "binary" and encoding != "binary":
        return 2 if digits_now == 1 else 3
    return digits_now


def _width(encoding: str, digits: int) -> str:
    if encoding == "binary":
        return f"{digits} binary bytes" if digits > 1 else "1 binary byte"
    return f"{digits} {'BCD' if encoding == 'bcd' else encoding.upper()} digits"


def _pads(number: int, key: str, row: dict[str, Any], field: dict[str, Any]) -> Iterator[Change]:
    if row["encoding"] != "bcd":
        return
    now = field.get("pad") or {"side": "left", "char": "0"}
    for side in ("left", "right"):
        for char in ("0", "F"):
            pad = {"side": side, "char": char}
            if pad != now:
                said = f"padded on the {side} with {char}"
                mend = f'pad = {{ side = "{side}", char = "{char}" }}'
                yield Change(1, {f"{key}.pad": pad}, number, key, said, mend)


def _encodings(number: int, key: str, row: dict[str, Any]) -> Iterator[Change]:
    for encoding in _carriers(row["type"]):
        if encoding != row["encoding"]:
            keys = {f"{key}.encoding": encoding}
            mend = f'encoding = "{encoding}"'
            yield Change(2, keys, number, key, _packed(encoding), mend)


def _packed(encoding: str) -> str:
    return {
        "bcd": "two digits a byte (bcd)",
        "hex": "hexadecimal text",
        "binary": "raw bytes",
    }.get(encoding, f"one character a byte ({encoding})")


def _carriers(kind: str) -> tuple[str, ...]:
    if kind in {"n", "z", "x+n"}:
        return NUMBERS
    return BINARY if kind == "b" else TEXT


def _types(number: int, key: str, row: dict[str, Any]) -> Iterator[Change]:
    if row["type"] not in {"n", "a", "an", "as", "ns", "ans", "z"}:
        return
    for kind in ("an", "ans"):
        if kind != row["type"]:
            keys: dict[str, Any] = {f"{key}.type": kind}
            if row["encoding"] == "bcd":
                keys[f"{key}.encoding"] = "ascii"
            yield Change(5, keys, number, key, f"type {kind}", f'type = "{kind}"')
    if row["type"] == "ans" and row["encoding"] == "ascii":
        keys = {f"{key}.charset": "gbk"}
        yield Change(3, keys, number, key, "text in GBK", 'charset = "gbk"')


def everywhere(table: dict[str, Any], rows: Iterable[dict[str, Any]]) -> Iterator[Change]:
    """One axis changed in all fields: in `[defaults]`, and where fields say it themselves."""
    rows = list(rows)
    axes = {"numeric": NUMBERS, "text": TEXT, "binary": BINARY, "unit": tuple(UNITS)}
    for axis, values in axes.items():
        for value in values:
            if table["defaults"].get(axis, "chars") != value:
                mend = f'{axis} = "{value}"'
                said = f"every {axis} field as {value}" if axis != "unit" else _counting(value)
                yield Change(1, {f"defaults.{axis}": value}, 0, f"defaults.{axis}", said, mend)
    for encoding in PREFIXES:
        keys: dict[str, Any] = {"defaults.prefix": encoding}
        if table["defaults"]["prefix"] != encoding:
            said = f"every length as {encoding}"
            mend = f'prefix = "{encoding}"'
            yield Change(1, dict(keys), 0, "defaults.prefix", said, mend)
        for row in rows:
            if row["prefix"]:
                digits, now, unit = row["prefix"].split()
                prefix = {"digits": _digits(encoding, now, int(digits)), "encoding": encoding}
                keys[f"fields.{row['number']}.prefix"] = prefix | {"unit": unit}
        said = f"the lengths of all fields as {encoding} (two digits: one binary byte)"
        mend = f'prefix = "{encoding}", and digits to match'
        yield Change(4, keys, 0, "defaults.prefix", said, mend)


def _counting(unit: str) -> str:
    return f"every length as a count of {UNITS[unit]}"


def guesses(table: dict[str, Any]) -> Iterator[Change]:
    """All axes of the file at once: for a message of quite another dialect."""
    head = [{}, *(change.keys for change in head_changes(table))]
    for keys in head:
        for numeric in NUMBERS:
            for text in TEXT:
                for binary in BINARY:
                    for prefix in PREFIXES:
                        changed = keys | {
                            "defaults.numeric": numeric,
                            "defaults.text": text,
                            "defaults.binary": binary,
                            "defaults.prefix": prefix,
                        }
                        new = {k: v for k, v in changed.items() if _now(table, k) != v}
                        said = ", ".join(
                            f"{k.removeprefix('defaults.')} {v}" for k, v in new.items()
                        )
                        mend = ", ".join(f'{k} = "{v}"' for k, v in new.items())
                        if len(new) > 1:
                            yield Change(len(new), new, 0, "defaults", said, mend)


def _now(table: dict[str, Any], path: str) -> Any:
    section, _, key = path.partition(".")
    return table[section].get(key)
