"""Streams cut into frames, fields changed in place, in every dialect that is shipped."""

import pytest

from switch.errors import OperatorError
from switch.sim.network.frame import Cutter, exchange, rewritten
from switch.wire.source import Source
from tests.support.tree import ROOT

FILES = sorted((ROOT / "config" / "dialects").glob("*.toml"))


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def source(request: pytest.FixtureRequest) -> Source:
    return Source(request.param, request.param.read_text(encoding="utf-8"))


def made(source: Source, stan: str, code: str = "00") -> bytes:
    return source.dialect.encode("0210", {"stan": stan, "response_code": code})


def test_frames_are_found_however_the_bytes_arrive(source: Source) -> None:
    frames = [made(source, f"{number:06d}") for number in range(1, 6)]
    for size in (1, 3, 7, 1000):
        cutter = Cutter(source)
        stream = b"".join(frames)
        got = [
            unit
            for at in range(0, len(stream), size)
            for unit in cutter.feed(stream[at : at + size])
        ]
        assert got == frames
        assert cutter.rest() == b""


def test_half_a_frame_waits_and_is_the_rest(source: Source) -> None:
    cutter = Cutter(source)
    frame = made(source, "000001")
    assert cutter.feed(frame[:-1]) == []
    assert cutter.rest() == frame[:-1]


def test_without_a_dialect_bytes_pass_as_they_come() -> None:
    cutter = Cutter(None)
    assert cutter.feed(b"\x00") == [b"\x00"]


def test_bytes_that_are_no_frames_pass_as_they_come() -> None:
    path = ROOT / "config" / "dialects" / "iso87-ascii.toml"
    text = path.read_text(encoding="utf-8").replace('"length2"', '"ascii4"')
    cutter = Cutter(Source(path, text))
    assert cutter.feed(b"0003abcGET / HTTP") == [b"0003abc", b"GET / HTTP"]
    assert cutter.feed(b"more") == [b"more"]


def test_a_field_is_rewritten_in_the_dialects_own_bytes(source: Source) -> None:
    other = rewritten(source, made(source, "000001"), "response_code", "51")
    assert other == made(source, "000001", "51")
    assert rewritten(source, other, "stan", "999999") == made(source, "999999", "51")
    # What has no such field passes.
    assert rewritten(source, other, "rrn", "A" * 12) == other
    assert rewritten(source, b"junk", "stan", "000001") == b"junk"


def test_another_length_is_refused(source: Source) -> None:
    with pytest.raises(OperatorError):
        rewritten(source, made(source, "000001"), "stan", "0123456789")


def test_two_answers_exchange_their_numbers(source: Source) -> None:
    one, two = made(source, "000001", "00"), made(source, "000002", "05")
    assert exchange(source, one, two, "stan") == (
        made(source, "000002", "00"),
        made(source, "000001", "05"),
    )
    assert exchange(source, one, two, "rrn") is None
