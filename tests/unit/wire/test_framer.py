"""Framing: messages come out whole and in order, faults are values, what is held is bounded."""

import pytest

from switch.errors import DecodeError, FramingError
from switch.model.kind import Check
from switch.wire import Framer, Message
from tests.support.message import DIALECT
from tests.support.wire import purchase


def test_messages_come_out_in_order_however_they_are_cut() -> None:
    stream = b"".join(purchase(stan=f"{stan:06d}") for stan in range(1, 6))
    for size in (1, 2, 3, 50, 333, len(stream)):
        framer = Framer(DIALECT)
        stans = []
        for at in range(0, len(stream), size):
            for item in framer.feed(stream[at : at + size], at):
                assert isinstance(item, Message)
                stans.append(item.stan)
        assert stans == [1, 2, 3, 4, 5]
        assert (framer.buffered, framer.first_byte_ns) == (0, 0)


def test_a_message_is_timed_by_its_first_byte() -> None:
    frame = purchase()
    framer = Framer(DIALECT)
    [first] = framer.feed(frame + frame[:1], 10)
    assert framer.buffered == 1
    assert framer.first_byte_ns == 10
    assert framer.feed(frame[1:9], 20) == []
    second, third = framer.feed(frame[9:] + frame, 30)
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert isinstance(third, Message)
    assert [first.received_ns, second.received_ns, third.received_ns] == [10, 10, 30]


def test_a_bad_body_is_a_value_and_the_stream_goes_on() -> None:
    good = purchase()
    bad = good.replace(b"1123170000", b"11231700x0")
    first, fault, last = Framer(DIALECT).feed(good + bad + good, 1)
    assert isinstance(first, Message)
    assert isinstance(last, Message)
    assert isinstance(fault, DecodeError)
    assert (fault.dialect, fault.path, fault.mti) == ("iso87-ascii", "field 7", "0200")
    assert bad[2:][fault.offset] == ord("x")
    assert fault.partial.check == Check.FORMAT
    assert fault.partial.amount_minor == 1000
    assert fault.partial.stan == -1


def test_an_undecodable_head_has_no_partial_message() -> None:
    [fault] = Framer(DIALECT).feed(b"\x00\x0402x0", 1)
    assert isinstance(fault, DecodeError)
    assert (fault.path, fault.mti, fault.partial) == ("mti", "", None)
    [fault] = Framer(DIALECT).feed(b"\x00\x060200zz", 1)
    assert isinstance(fault, DecodeError)
    assert (fault.path, fault.offset) == ("bitmap", 4)


def test_a_lost_stream_names_its_place() -> None:
    framer = Framer(DIALECT, 300)
    frame = purchase()
    framer.feed(frame, 1)
    with pytest.raises(FramingError) as caught:
        framer.feed(b"\xff\xff" + b"x" * 1000, 2)
    assert (caught.value.offset, caught.value.found) == (len(frame), "length 65535")
    assert "at most 300" in caught.value.expected


def test_empty_frames_keep_alive() -> None:
    assert Framer(DIALECT).feed(b"\x00\x00" * 5, 1) == []
