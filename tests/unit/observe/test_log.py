"""The second net: no run of digits that could be a card number reaches a log line."""

import io
import json
import os
import time
from contextlib import redirect_stderr

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from switch.observe.log import BLOTTED, blot, caught, configure, lost

CARD = "6299001234567893"


def luhn_complete(body: str) -> str:
    """Body plus its Luhn digit."""
    for digit in "0123456789":
        total = 0
        for place, character in enumerate(reversed(body + digit)):
            value = int(character) * (1 + place % 2)
            total += value - 9 if value > 9 else value
        if total % 10 == 0:
            return body + digit
    raise AssertionError(body)


@given(st.text("0123456789", min_size=11, max_size=18))
def test_every_card_number_is_blotted(body: str) -> None:
    card = luhn_complete(body)
    assert blot(f"pan={card};") == f"pan={BLOTTED};"


@pytest.mark.parametrize("text", ["127.0.0.1:4001", "1732380000", "TSW-S0101", "a 12345678901 b"])
def test_what_is_no_card_number_stays(text: str) -> None:
    assert blot(text) == text


def test_lines_are_json_with_process_level_time_and_blotted_values() -> None:
    stream = io.StringIO()
    with redirect_stderr(stream):
        configure("worker w0")
        structlog.get_logger("test").error(
            "link.down", member="ACQ01", text=luhn_complete(CARD[:-1])
        )
    structlog.reset_defaults()
    line = json.loads(stream.getvalue())
    assert line["process"] == "worker w0"
    assert line["level"] == "error"
    assert line["event"] == "link.down"
    assert line["text"] == BLOTTED
    assert line["timestamp"].endswith("Z")


def test_stream_that_fails_does_not_raise() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    with redirect_stderr(Full()):
        configure("worker w0")
        structlog.get_logger("test").error("link.down", member="ACQ01")
    structlog.reset_defaults()


def test_values_of_any_shape_are_blotted_and_counted() -> None:
    card = luhn_complete(CARD[:-1])
    before = caught()
    stream = io.StringIO()
    with redirect_stderr(stream):
        configure("worker w0")
        structlog.get_logger("test").error(
            "link.broken",
            error=ValueError(f"bad {card}"),
            raw=card.encode(),
            nested={"list": [card, {"deep": (card,)}]},
            txn=int(card),
            ratio=0.5,
        )
    structlog.reset_defaults()
    line = json.loads(stream.getvalue())
    assert (line["error"], line["raw"]) == (f"bad {BLOTTED}", BLOTTED)
    assert line["nested"] == {"list": [BLOTTED, {"deep": [BLOTTED]}]}
    assert (line["txn"], line["ratio"]) == (int(card), 0.5)
    assert caught() - before == 4


def test_a_reader_that_stands_still_is_not_waited_for() -> None:
    """Row 18: a pipe that nobody empties takes what it takes; the rest is dropped and counted."""
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "w") as pipe, redirect_stderr(pipe):
            configure("worker w0")
            logger = structlog.get_logger("test")
            before, began = lost(), time.monotonic()
            for _ in range(20):
                logger.error("link.down", text="x" * 9_000)
            assert time.monotonic() - began < 1
        structlog.reset_defaults()
        gone = lost() - before
        assert 10 < gone < 18
        os.set_blocking(reading, False)
        whole = os.read(reading, 1 << 20).split(b"\n")
        assert [json.loads(line)["event"] for line in whole[: 20 - gone]] == ["link.down"] * (
            20 - gone
        )
    finally:
        os.close(reading)
