"""Differential tests: another implementation reads and writes the same bytes.

pyiso8583 (MIT) is the oracle, in tests only. Its specification is made from our dialect's own
description, for the shipped dialects and for a packed variant (BCD, EBCDIC, raw binary); of a
packed purchase it is also written down here by hand.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

import iso8583
import pytest

from switch.errors import DecodeError
from switch.wire import Dialect, Framer, Message
from switch.wire.dialect import load
from tests.support.message import DIALECT
from tests.support.tree import ROOT
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
            side = "right_pad" if row["pad"].startswith("right") else "left_pad"
            field |= {"len_count": "nibbles", side: row["pad"][-1:] or "0"}
        out[row["number"]] = field
    return out


def theirs(value: str | bytes, row: dict[str, Any]) -> str:
    """A value as pyiso8583 holds it."""
    if isinstance(value, bytes):
        return value.hex().upper()
    return value.translate(NIBBLES) if row["encoding"] == "bcd" else value


BCD: Final = load(ROOT / "config" / "dialects", "iso87-bcd")

CASES: Final = {
    "iso87-ascii": (DIALECT, specification(DIALECT, "ascii", "ascii")),
    "iso87-bcd": (BCD, specification(BCD, "b", "b")),
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


def _by_hand(kind: str, most: int, digits: int = 0, pad: str = "left_pad") -> dict[str, Any]:
    """One field in pyiso8583's words: packed ("n"), text or raw; `digits` of a packed length."""
    packed_digits = {"len_count": "nibbles", pad: "0"} if kind == "n" else {}
    return {
        "data_enc": "ascii" if kind == "text" else "b",
        "len_enc": "bcd",
        "len_type": (digits + 1) // 2,
        "max_len": most,
        "desc": "",
        **packed_digits,
    }


PURCHASE_BY_HAND: Final = {
    "h": _by_hand("raw", 0), "t": _by_hand("raw", 2), "p": _by_hand("raw", 8),
    "1": _by_hand("raw", 8), "2": _by_hand("n", 19, 2, "right_pad"), "3": _by_hand("n", 6),
    "4": _by_hand("n", 12), "7": _by_hand("n", 10), "11": _by_hand("n", 6),
    "22": _by_hand("n", 3), "23": _by_hand("n", 3), "25": _by_hand("n", 2),
    "32": _by_hand("n", 11, 2, "right_pad"), "35": _by_hand("n", 37, 2, "right_pad"),
    "37": _by_hand("text", 12), "41": _by_hand("text", 8), "42": _by_hand("text", 15),
    "49": _by_hand("text", 3), "52": _by_hand("raw", 8), "55": _by_hand("raw", 999, 3),
    "70": _by_hand("n", 3), "90": _by_hand("n", 42),
}  # fmt: skip
"""The packed fields of a purchase. Source: jPOS iso87binary.xml (encodings, filling sides)."""


def test_a_packed_purchase_is_what_the_field_list_of_jpos_says() -> None:
    values = {
        "2": "6299001234567", "3": "000000", "4": "000000001234", "7": "1127160000",
        "11": "000001", "22": "071", "23": "001", "25": "00", "32": "48010",
        "35": "6299001234567D30122011", "37": "633100000001", "41": "TERM0001",
        "42": "MERCHANT0000001", "49": "156", "52": "0123456789ABCDEF", "55": "9F2602AABB950100",
        "70": "001", "90": "0" * 42,
    }  # fmt: skip
    theirs, _ = iso8583.encode({"h": "", "t": "0200", **values}, PURCHASE_BY_HAND)
    ours = BCD.decode(bytes(theirs))
    rows = {row["number"]: row["name"] for row in BCD.fields()}
    written: dict[str, str | bytes] = {rows[key]: value for key, value in values.items()}
    for name in ("pin_block", "icc"):
        written[name] = bytes.fromhex(str(written[name]))
    written["track2"] = str(written["track2"]).replace("D", "=")
    assert BCD.encode("0200", written)[2:] == bytes(theirs)
    for name, value in written.items():
        assert ours.reveal(name) == (value if isinstance(value, str) else value.hex().upper()), name
    assert bytes.fromhex("1362990012345670") in bytes(theirs), "an odd number ends in a zero"
