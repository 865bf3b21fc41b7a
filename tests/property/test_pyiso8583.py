"""Differential tests: another implementation reads and writes the same bytes.

pyiso8583 (MIT) is the oracle, in tests only. Its specification is made from our dialect's own
description, once for the shipped dialect and once for its packed variant (BCD, EBCDIC, raw binary).
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

import iso8583
import pytest

from switch.errors import DecodeError
from switch.wire import Dialect, Framer, Message
from tests.support.message import DIALECT
from tests.support.values import any_value
from tests.support.wire import decoded, packed

MESSAGES: Final = 2_000
"""Per dialect and direction; a second or two."""

MTIS: Final = ("0100", "0110", "0200", "0210", "0420", "0430", "0800", "0810")

PACKED_TEXT: Final = {
    "ascii": "ascii",
    "ebcdic": "cp037",
    "bcd": "b",
    "binary": "b",
    "hex": "ascii",
}

NIBBLES: Final = str.maketrans(":;<=>?", "ABCDEF")
"""Track signs as the nibbles they are packed to."""


def specification(dialect: Dialect, mti: str, bitmap: str) -> dict[str, dict[str, Any]]:
    """Our dialect in pyiso8583's words."""

    def plain(data: str, most: int) -> dict[str, Any]:
        return {"data_enc": data, "len_enc": "ascii", "len_type": 0, "max_len": most, "desc": ""}

    out = {
        "h": plain("ascii", 0),
        "t": plain(mti, 2 if mti == "b" else 4),
        "p": plain(bitmap, 8 if bitmap == "b" else 16),
        "1": plain(bitmap, 8 if bitmap == "b" else 16),
    }
    for row in dialect.fields():
        if "." in row["number"]:
            continue
        encoding, most = row["encoding"], row["max"]
        field = plain(PACKED_TEXT[encoding], most * 2 if encoding == "hex" else most)
        if row["prefix"]:
            count, prefix, _ = row["prefix"].split()
            field["len_enc"] = prefix
            field["len_type"] = (int(count) + 1) // 2 if prefix == "bcd" else int(count)
        if encoding == "bcd":
            field |= {"len_count": "nibbles", "left_pad": "0"}
        out[row["number"]] = field
    return out


def theirs(value: str | bytes, row: dict[str, Any]) -> str:
    """A value as pyiso8583 holds it."""
    if isinstance(value, bytes):
        return value.hex().upper()
    return value.translate(NIBBLES) if row["encoding"] == "bcd" else value


CASES: Final = {
    "iso87-ascii": (DIALECT, specification(DIALECT, "ascii", "ascii")),
    "packed": (packed(), specification(packed(), "b", "b")),
}


def some_fields(
    dialect: Dialect, random: Random
) -> tuple[dict[str, str | bytes], dict[str, dict[str, Any]]]:
    """Random values by name, and the rows they are of."""
    rows = [row for row in dialect.fields() if "." not in row["number"]]
    # A packed amount with its sign as a character is beyond pyiso8583.
    rows = [row for row in rows if (row["type"], row["encoding"]) != ("x+n", "bcd")]
    chosen = random.sample(rows, random.randint(0, 30))
    values = {row["name"]: any_value(random, row) for row in chosen if row["max"] < 999}
    values |= {row["name"]: any_value(random, row, (0, 1, 40)) for row in chosen[:3]}
    return values, {row["name"]: row for row in rows}


@pytest.mark.parametrize("name", CASES)
def test_both_write_and_read_the_same_bytes(name: str) -> None:
    dialect, spec = CASES[name]
    framer = Framer(dialect, 65_535)
    random = Random(f"agree {name}")
    fields = 0
    for _ in range(MESSAGES):
        values, rows = some_fields(dialect, random)
        mti = random.choice(MTIS)
        frame = dialect.encode(mti, values)
        wanted = {rows[key]["number"]: theirs(value, rows[key]) for key, value in values.items()}

        others, _ = iso8583.decode(frame[2:], spec)
        assert others["t"] == mti
        assert {key: other for key, other in others.items() if key not in "htp1"} == wanted

        written, _ = iso8583.encode({"h": "", "t": mti, **wanted}, spec)
        assert bytes(written) == frame[2:]

        [message] = framer.feed(frame, 1)
        assert isinstance(message, Message)
        for key, value in values.items():
            found = message.reveal(key)
            assert found == (value.hex().upper() if isinstance(value, bytes) else value), key
        fields += len(values)
    assert fields > 10 * MESSAGES


@pytest.mark.parametrize("name", CASES)
def test_what_we_accept_of_broken_bytes_they_read_alike(name: str) -> None:
    """We may refuse more (charsets, TLV, lengths); we never read something else."""
    dialect, spec = CASES[name]
    random = Random(f"broken {name}")
    accepted = 0
    for _ in range(MESSAGES):
        values, rows = some_fields(dialect, random)
        body = bytearray(dialect.encode(random.choice(MTIS), values)[2:])
        for _ in range(random.randint(1, 3)):
            kind = random.randrange(3)
            at = random.randrange(len(body))
            if kind == 0:
                body[at] = random.randrange(256)
            elif kind == 1:
                body[at] ^= 1 << random.randrange(8)
            else:
                del body[at:]
                break
        message = decoded(dialect, bytes(body))
        if isinstance(message, DecodeError):
            assert 0 <= message.offset <= len(body)
            continue
        accepted += 1
        others, _ = iso8583.decode(bytes(body), spec)
        numbers = {number for number in others if number.isdigit() and number != "1"}
        described = {row[0] for row in message.describe() if "." not in row[0]} - {"0"}
        assert described == numbers
        for key, row in rows.items():
            found = message.reveal(key)
            if found is not None:
                other = others[row["number"]]
                assert theirs(found, row).upper() == other.upper(), key
    assert accepted > MESSAGES // 20
