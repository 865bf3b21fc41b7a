"""Frames of a capture: found with lengths, without, line by line, of another framing; and said."""

from pathlib import Path

import pytest

from switch.native import describe
from switch.wire.cut import cut
from switch.wire.source import Source
from tests.support.wire import CHIP, TEXT, body, purchase

SOURCE = Source(Path("iso87-ascii.toml"), TEXT)
FRAME = purchase(**CHIP)
OTHER = purchase(stan="000002")


def bodies(data: bytes, lines: list[bytes] | None = None) -> list[bytes]:
    return [frame.body for frame in cut(SOURCE, data, lines or [])]


def test_frames_behind_each_other() -> None:
    frames = cut(SOURCE, FRAME + b"\0\0" + OTHER, [])
    assert [frame.body for frame in frames] == [body(FRAME), body(OTHER)]
    assert [frame.start for frame in frames] == [0, len(FRAME) + 2]
    assert frames[1].body_at == len(FRAME) + 4
    assert frames[0].length == FRAME[:2]
    assert frames[0].how == "length2 length"


def test_a_message_alone() -> None:
    [frame] = cut(SOURCE, body(FRAME), [])
    assert (frame.body, frame.length, frame.how) == (body(FRAME), b"", "no length")


def test_messages_line_by_line() -> None:
    lines = [body(FRAME), OTHER, body(OTHER)]
    frames = cut(SOURCE, b"".join(lines), lines)
    assert [frame.body for frame in frames] == [body(FRAME), body(OTHER), body(OTHER)]
    assert [frame.how for frame in frames] == [
        "no length, a message a line",
        "length2 length, line by line",
        "no length, a message a line",
    ]


@pytest.mark.parametrize("framing", ["length2-inclusive", "length4", "bcd2", "ascii4", "hex4"])
def test_another_framing_is_found_and_said(framing: str) -> None:
    other = Source(Path("x.toml"), TEXT.replace('framing = "length2"', f'framing = "{framing}"'))
    data = other.dialect.encode("0800", {"stan": "000001", "network_code": "301"}) * 2
    frames = cut(SOURCE, data, [])
    assert len(frames) == 2
    assert frames[0].how == f"{framing} length, where the dialect says length2"
    width = describe.length(framing, data)
    assert width is not None
    assert len(frames[0].length) == width[0]


def test_a_length_that_does_not_agree_is_said() -> None:
    [frame] = cut(SOURCE, FRAME[:-10], [])
    assert frame.body == body(FRAME)[:-10]
    assert "10 are missing" in frame.how
    [frame] = cut(SOURCE, FRAME + b"\x03", [])
    assert "1 too many" in frame.how


def test_what_fits_nowhere_is_one_message() -> None:
    assert bodies(b"\xff" * 40) == [b"\xff" * 40]
