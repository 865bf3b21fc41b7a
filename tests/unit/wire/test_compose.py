"""Messages written down: pairs, TOML, the JSON of decode; refused where they are no test data."""

import json
from pathlib import Path
from typing import Any

import pytest

from switch.errors import CaptureError
from switch.wire.anatomy import SCHEMA, anatomy
from switch.wire.compose import compose, from_pairs, from_text, unframed
from switch.wire.cut import cut
from switch.wire.source import Source
from tests.support.message import PURCHASE
from tests.support.wire import CHIP, TEXT, body, purchase

SOURCE = Source(Path("iso87-ascii.toml"), TEXT)
DIALECT = SOURCE.dialect


def as_json(data: bytes, **options: bool) -> str:
    frames = [anatomy(SOURCE, frame, **options) for frame in cut(SOURCE, data, [])]
    return json.dumps({"schema": SCHEMA, "frames": frames})


def test_what_decode_shows_unmasked_is_written_back() -> None:
    data = purchase(**CHIP, **{"original_data.stan": "000007", "track2": "6299000000000004=3012"})
    messages = from_text(DIALECT, as_json(data + data, bare=True), "x.json")
    assert [compose(DIALECT, message) for message in messages] == [data, data]


def test_a_message_of_no_secrets_is_written_back_without_unmasking() -> None:
    data = DIALECT.encode("0800", {"stan": "000001", "network_code": "301"})
    [message] = from_text(DIALECT, as_json(data), "x.json")
    assert compose(DIALECT, message) == data


def test_hidden_values_are_not_made_up() -> None:
    with pytest.raises(CaptureError, match=r"pan, amount.* is hidden there"):
        from_text(DIALECT, as_json(purchase()), "x.json")


def test_pairs_by_name_and_number() -> None:
    pairs = [f"{name}={value}" for name, value in PURCHASE.items() if name != "stan"]
    found = from_pairs(
        DIALECT, ["0=0200", *pairs, "11=000001", "55.9F36=0001", "icc.82=2000", "90.2=000007"]
    )
    frame = compose(DIALECT, found)
    expected = {**PURCHASE, "icc.9F36": "0001", "icc.82": "2000", "original_data.stan": "000007"}
    assert frame == DIALECT.encode("0200", expected)
    assert unframed(SOURCE, frame) == body(frame)


def test_toml_with_tables() -> None:
    text = """
mti = "0200"
pan = "6299000000000004"
11 = "000001"
[icc]
9F36 = "0001"
[90]
stan = "000007"
"""
    [found] = from_text(DIALECT, text, "x.toml")
    values = {"pan": "6299000000000004", "stan": "000001", "icc.9F36": "0001"}
    assert found.values == values | {"original_data.stan": "000007"}
    [found] = from_text(DIALECT, "# plain\nmti=0800\nstan=000001\n70=301\n", "x")
    assert found.values == {"stan": "000001", "network_code": "301"}


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        (["pan=6299000000000004"], "has no type"),
        (["mti=0200", "stan"], "not of the form name=value"),
        (["mti=0200", "stan=1", "stan=2"], "given twice"),
        (["mti=0200", "stan=12"], "length 2 is not 6"),
        (["mti=0200", "stan=1234x6"], "the value is not n"),
        (["mti=0200", "terminal=1"], 'did you mean "terminal_id"'),
        (["mti=020", "stan=000001"], "not four digits"),
        (["mti=0200", "pan=" + "4000" + "0" * 12], "not of the test range"),
        (["mti=0200", "track2=" + "4000" + "0" * 12 + "=3012"], "not of the test range"),
    ],
)
def test_what_cannot_be_written_is_named(pairs: list[str], problem: str) -> None:
    with pytest.raises(CaptureError, match=problem) as caught:
        compose(DIALECT, from_pairs(DIALECT, pairs))
    assert "40000000" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", '{"schema": "tapswitch.decode/9"}', "{}"])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(CaptureError):
        from_text(DIALECT, text, "x.json")


def test_parts_stand_in_for_a_hidden_whole() -> None:
    """Chip data is hidden as a whole; when every tag is shown, nothing is missing."""
    data = DIALECT.encode("0800", {"stan": "000001", "icc.9F36": "0001", "icc.82": "2000"})
    shown: dict[str, Any] = json.loads(as_json(data))
    [message] = from_text(DIALECT, json.dumps(shown), "x.json")
    assert compose(DIALECT, message) == data
