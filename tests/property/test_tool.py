"""What decode shows, encode writes back, byte for byte, for every dialect that ships."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from switch.wire.anatomy import SCHEMA, anatomy
from switch.wire.compose import compose, from_json
from switch.wire.cut import cut
from switch.wire.difference import difference
from switch.wire.source import Source
from tests.support.tree import ROOT
from tests.support.values import any_value
from tests.support.wire import CHIP

SOURCES: Final = [
    Source(path, path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "config/dialects").glob("*.toml"))
]

CARDS: Final = {"pan", "extended_pan", "account_from", "account_to"}


KEYS: Final = (24, 40, 60)
"""Bytes of the three forms of a key download in field 62 of pos-cn."""


def filled(source: Source, row: dict[str, Any], random: Random) -> dict[str, Any]:
    """A value that the field may have, in parts where it has a layout."""
    name: str = row["name"]
    field = source.field(int(row["number"]))
    if name in CARDS:
        return {name: "6299000000000004"}
    if name == "track2":
        return {name: "6299000000000004=3012201"}
    if name in {"track1", "track3"}:
        return {}
    match field.get("layout"):
        case None:
            value = any_value(random, row, (0, 1, 7, 40))
            return {name: value} if value else {}
        case "positional":
            subs = field["subs"][: random.randint(1, len(field["subs"]))]
            digits = {s["name"]: "".join(random.choices("0123456789", k=s["length"])) for s in subs}
            return {f"{name}.{sub}": text for sub, text in digits.items()}
        case "tlv":
            return {f"{name}.{tag}": f"6299{random.randint(0, 9**9):012d}" for tag in field["tags"]}
        case "ber-tlv":
            return {k.replace("icc", name): v for k, v in CHIP.items()}
    if name == "reserved_private_62":
        return {name: random.randbytes(random.choice(KEYS))}
    return {}


@st.composite
def messages(draw: st.DrawFn) -> tuple[Source, str, dict[str, Any]]:
    """A dialect, an MTI and test data for some of its fields."""
    source = draw(st.sampled_from(SOURCES))
    rows = list(source.rows.values())
    numbers = draw(st.sets(st.integers(0, len(rows) - 1), max_size=20))
    random = Random(draw(st.integers(0, 2**32)))
    values: dict[str, Any] = {}
    for at in numbers:
        values |= filled(source, rows[at], random)
    values["pan"] = "6299000000000004"
    mti = draw(st.sampled_from(["0100", "0200", "0210", "0420", "0800"]))
    return source, mti, values


@given(messages())
def test_decode_and_encode_are_each_others_way_back(
    case: tuple[Source, str, dict[str, Any]],
) -> None:
    source, mti, values = case
    frame = source.dialect.encode(mti, values)
    taken = [anatomy(source, one, bare=True) for one in cut(source, frame, [])]
    text = json.dumps({"schema": SCHEMA, "frames": taken}, ensure_ascii=False)
    [message] = from_json(source.dialect, text, "it")
    assert compose(source.dialect, message) == frame
    masked = [anatomy(source, one) for one in cut(source, frame, [])]
    assert "00000000000" not in {row["value"] for row in masked[0]["fields"] if row["hidden"]}


@given(messages(), st.sampled_from(SOURCES))
def test_a_message_and_itself_in_another_dialect_are_the_same(
    case: tuple[Source, str, dict[str, Any]], other: Source
) -> None:
    source, mti, values = case
    common = {row["name"] for row in other.rows.values()}
    shared = {k: v for k, v in values.items() if k in common and source is other}
    shared |= {"pan": values["pan"], "stan": "000001", "terminal_id": "TERM0001"}
    found = []
    for one in (source, other):
        [frame] = cut(one, one.dialect.encode(mti, shared), [])
        found.append(one.dialect.decode(frame.body))
    assert {row.state for row in difference(*found)} == {"same"}
