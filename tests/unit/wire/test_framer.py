"""Framing: messages come out whole and in order, faults are values, what is held is bounded."""

import pytest

from switch.errors import DecodeError, DialectError, FramingError, UsageError
from switch.model.kind import Check
from switch.wire import Framer, KeepAlive, Message
from tests.support.message import DIALECT, PURCHASE
from tests.support.wire import purchase, variant

FRAMING = 'framing = "length2"'
ADDRESSED = """
[framing]
length = "length2"

[framing.tpdu]
id = "60"
destination = "0006"
source = "0000"

[framing.header]
application_class = "60"
software_version = "31"
terminal_status = "0"
processing_request = "0"
sub_version = "311003"
"""
PREFACE = bytes.fromhex("6000060000603100311003")
"""A TPDU and a header as they stand in a public capture."""


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


def test_an_empty_frame_is_answered_where_the_dialect_says_so() -> None:
    echoing = variant((FRAMING, 'framing = { length = "ascii4", keep_alive = "echo" }'))
    framer = Framer(echoing)
    message = echoing.encode("0200", PURCHASE)
    items = framer.feed(b"0000" + message + b"00", 1) + framer.feed(b"00", 2)
    assert [type(item) for item in items] == [KeepAlive, Message, KeepAlive]
    assert [item.answer for item in items if isinstance(item, KeepAlive)] == [b"0000"] * 2


def test_tpdu_and_header_travel_beside_the_message() -> None:
    addressed = variant((FRAMING, ADDRESSED))
    frame = addressed.encode("0200", PURCHASE)
    plain = DIALECT.encode("0200", PURCHASE)
    assert frame == (len(PREFACE) + len(plain) - 2).to_bytes(2) + PREFACE + plain[2:]
    assert (addressed.length_bytes, addressed.preface_bytes) == (2, 11)
    [message] = Framer(addressed).feed(frame, 1)
    assert isinstance(message, Message)
    assert message.length == len(plain) - 2, "neither is part of the message"
    assert message.header == {
        "tpdu.id": "60",
        "tpdu.destination": "0006",
        "tpdu.source": "0000",
        "header.application_class": "60",
        "header.software_version": "31",
        "header.terminal_status": "0",
        "header.processing_request": "0",
        "header.sub_version": "311003",
    }
    assert addressed.decode_frame(frame).header == message.header
    assert addressed.decode(plain[2:]).header == {}


def test_an_answer_goes_back_to_the_source_of_its_request() -> None:
    addressed = variant((FRAMING, ADDRESSED))
    header = {"tpdu.source": "1234", "terminal_status": "5", "header.sub_version": "000042"}
    request = addressed.decode_frame(addressed.encode("0200", PURCHASE, header))
    answer = addressed.encode("0210", {"stan": "000001"}, answers=request)
    assert answer[2:13].hex() == "6012340006" + "603150000042"
    request.order("processing_request", 3)
    again = addressed.encode("0210", {"stan": "000001"}, answers=request)
    assert again[2:13].hex() == "6012340006" + "603153000042"
    with pytest.raises(UsageError, match="sub_version"):
        request.order("sub_version", 3)
    with pytest.raises(UsageError, match="takes 6 digits"):
        addressed.encode("0210", {}, {"sub_version": "12"})
    with pytest.raises(UsageError, match="no part"):
        DIALECT.encode("0210", {}, {"sub_version": "000001"})


@pytest.mark.parametrize(
    ("at", "byte", "path"),
    [(0, 0x61, "tpdu.id"), (5, 0xA0, "header.application_class"), (10, 0x0F, "header.sub_version")],
)
def test_a_wrong_tpdu_or_header_is_a_value_with_its_place(at: int, byte: int, path: str) -> None:
    addressed = variant((FRAMING, ADDRESSED))
    good = addressed.encode("0200", PURCHASE)
    bad = bytearray(good)
    bad[2 + at] = byte
    fault, message = Framer(addressed).feed(bytes(bad) + good, 1)
    assert isinstance(fault, DecodeError)
    assert (fault.path, fault.offset, fault.partial) == (path, at, None)
    assert isinstance(message, Message)


def test_a_frame_shorter_than_its_tpdu_is_named() -> None:
    addressed = variant((FRAMING, ADDRESSED))
    [fault] = Framer(addressed).feed(b"\x00\x03\x60\x00\x06", 1)
    assert isinstance(fault, DecodeError)
    assert (fault.path, fault.offset, fault.found) == ("tpdu", 3, "3 bytes")
    with pytest.raises(FramingError):
        addressed.decode_frame(b"\x00\x04\x60\x00\x06")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('id = "60"', 'id = "6x"', "framing.tpdu.id is not 2 hexadecimal digits"),
        ('source = "0000"\n', "", "framing.tpdu.source is missing"),
        ('terminal_status = "0"', 'terminal_status = "A"', "is not decimal digits"),
        ('terminal_status = "0"\n', "", "framing.header takes 21 digits"),
        ('length = "length2"', 'length = "length3"', 'framing.length has no value "length3"'),
        ('length = "length2"', 'length = "length2"\nkeep_alive = "yes"', "framing.keep_alive"),
    ],
)
def test_a_framing_that_cannot_be_is_refused(old: str, new: str, problem: str) -> None:
    assert old in ADDRESSED
    with pytest.raises(DialectError, match=problem):
        variant((FRAMING, ADDRESSED.replace(old, new)))


def test_frames_wait_uncut_and_are_taken_in_order() -> None:
    framer = Framer(DIALECT)
    stream = b"".join(purchase(stan=f"{stan:06d}") for stan in range(1, 6))
    assert framer.queue(stream[:-10], 10) == 4
    assert framer.queue(stream[-10:], 30) == 5
    assert (framer.waiting, framer.waiting_bytes) == (5, len(stream) - 5 * 2)
    assert framer.oldest_ns == 10
    first = framer.take(2, 100)
    rest = framer.take(100, 100)
    taken = [item for item in first + rest if isinstance(item, Message)]
    assert [item.stan for item in taken] == [1, 2, 3, 4, 5]
    assert len(first) == 2
    # Its first byte came with the chunk before.
    assert taken[-1].received_ns == 10
    assert (framer.waiting, framer.waiting_bytes, framer.oldest_ns) == (0, 0, 2**64 - 1)
    assert framer.take(1, 1) == []


def test_what_is_no_new_request_is_taken_beyond_their_number() -> None:
    framer = Framer(DIALECT)
    frame = purchase()
    advice, echo = (frame.replace(b"0200", mti, 1) for mti in (b"0220", b"0800"))
    framer.queue(advice + echo + frame + echo, 1)
    mtis = [item.mti for item in framer.take(0, 100) if isinstance(item, Message)]
    assert mtis == ["0220", "0800"]
    assert framer.take(0, 100) == []
    assert len(framer.take(1, 1)) == 1
    assert framer.waiting == 1
    framer.clear()
    assert (framer.waiting, framer.waiting_bytes) == (0, 0)


def test_what_came_before_a_lost_stream_still_waits() -> None:
    framer = Framer(DIALECT)
    with pytest.raises(FramingError):
        framer.queue(purchase() + b"\xff\xff" + b"x" * 1000, 2)
    assert framer.waiting == 1
