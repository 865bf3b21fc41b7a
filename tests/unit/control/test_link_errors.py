"""The last frames that could not be decoded: kept, placed, bounded, and never a number in clear."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from switch.cli.link import command, dump
from switch.control.link_errors import FramesShown, LinkErrors
from switch.control.remote import ask
from switch.errors import DecodeError, OrderError
from switch.runtime.faults import FRAMES_MAX, IMAGE_BYTES_MAX, Faults
from switch.wire import Dialect, Framer
from tests.support.canary import forms
from tests.support.peer import DIALECT, Acquirer, Bank, purchase, until
from tests.support.rig import Rig, rig
from tests.support.tree import ROOT

PAN = "6299001234567893"
TRACK = f"{PAN}=30122010000012345678"
PIN = bytes.fromhex("9d7c3a51e8f2046b")
SECRETS: dict[str, str | bytes] = {
    "card number": PAN,
    "track 2": TRACK,
    "middle of the card number": PAN[4:13],
    "PIN block": PIN,
}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Rig]:
    bank = Bank()
    async with rig(tmp_path, [await bank.start()]) as node:
        await until(lambda: node.member("BANK01").signed_on() == 2, what="both connections")
        yield node
    await bank.stop()


def framed(**more: str | bytes) -> bytearray:
    values = {**purchase(), "pan": PAN, "track2": TRACK, "pin_block": PIN, **more}
    return bytearray(DIALECT.encode("0200", values))


def leaks(text: str) -> list[str]:
    """Secrets in a text, in any form that somebody could read."""
    bare = text.encode()
    return [
        f"{name} ({form})"
        for name, secret in SECRETS.items()
        for form, needle in forms(secret).items()
        if needle in bare or needle.hex().encode() in bare or needle.hex().upper().encode() in bare
    ]


async def shown(node: Rig, member: str = "ACQ01") -> FramesShown:
    return await asyncio.to_thread(
        ask, node.worker.settings, LinkErrors(member=member), FramesShown
    )


def test_the_search_finds_what_it_looks_for() -> None:
    assert {one.split(" (")[0] for one in leaks(framed().hex())} == set(SECRETS)


async def test_fault_is_kept_with_its_place_and_what_was_there(node: Rig) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    frame = framed()
    at = frame.index(b"TERM0001") + 2
    frame[at] = 0xD2
    acquirer.write(bytes(frame))
    assert (await acquirer.next()).get("response_code") == "30"
    answer = await shown(node)
    (fault,) = answer.frames
    assert (answer.total, fault.kind, fault.mti, fault.path) == (1, "message", "0200", "field 41")
    assert (fault.offset, fault.bytes) == (at - 2, len(frame) - 2)
    assert (fault.found, fault.expected) == ("byte 0xD2", "ans in ascii")
    assert fault.peer.startswith("127.0.0.1:")
    # MTI and bitmap stand there, and what came before the fault and is nobody's secret.
    assert fault.image.startswith(bytes(frame[2:22]).hex().upper())
    rrn = 2 * (frame.index(b"R000") - 2)
    assert fault.image[rrn : rrn + 24] == bytes(frame[2 + rrn // 2 : 14 + rrn // 2]).hex().upper()
    # What comes behind it does not.
    assert set(fault.image[2 * fault.offset :]) == {"*"}
    assert leaks(fault.image) == []


def test_no_fault_anywhere_shows_a_secret() -> None:
    """Each byte of a message in turn is made wrong, in two ways, and cut there."""
    whole = framed()
    refused = 0
    for at in range(2, len(whole)):
        for bad in (b"\xff", b"\x01"):
            frame = bytes(whole[:at] + bad + whole[at + 1 :])
            cut = bytes([(at - 2) >> 8, (at - 2) & 0xFF]) + bytes(whole[2:at])
            for tried in (frame, cut):
                for item in Framer(DIALECT).feed(tried, 1):
                    if isinstance(item, DecodeError):
                        refused += 1
                        assert leaks(item.image) == [], (at, item)
                        assert len(item.image) == 2 * (len(tried) - 2)
    assert refused > 300


@pytest.mark.parametrize("name", ["iso87-ascii", "iso87-bcd"])
def test_message_of_another_dialect_shows_no_secret(name: str) -> None:
    """What looks harmless may be a card number there; runs of digits tell."""
    dialects = {
        one: Dialect.compile(
            (ROOT / "config" / "dialects" / f"{one}.toml").read_text(encoding="utf-8"), one
        )
        for one in ("iso87-ascii", "iso87-bcd")
    }
    (other,) = set(dialects) - {name}
    values = {**purchase(), "pan": PAN, "track2": TRACK, "pin_block": PIN}
    for shift in range(12):
        frame = dialects[other].encode("0200", values)
        body = b"0200" + bytes(8) + frame[2 + shift :]
        tried = len(body).to_bytes(2, "big") + body
        for raw in (frame, tried):
            for item in Framer(dialects[name]).feed(raw, 1):
                if isinstance(item, DecodeError):
                    assert leaks(item.image) == []


def test_card_number_in_a_field_that_may_be_shown_is_not() -> None:
    frame = framed(merchant_id=PAN[:15])
    frame += b"X"
    frame[:2] = (len(frame) - 2).to_bytes(2, "big")
    (item,) = Framer(DIALECT).feed(bytes(frame), 1)
    assert isinstance(item, DecodeError)
    assert item.path == "message"
    assert "*" * 30 in item.image[2 * (frame.index(PAN[:15].encode(), 40) - 2) :]
    assert leaks(item.image) == []
    assert PAN[:15].encode().hex() not in item.image


def test_card_number_in_the_place_of_everything_is_hidden() -> None:
    """A stream out of step: what is read as MTI and bitmap is a card number."""
    body = (PAN + PAN + PAN).encode()
    (item,) = Framer(DIALECT).feed(len(body).to_bytes(2, "big") + body, 1)
    assert isinstance(item, DecodeError)
    assert leaks(item.image) == []


async def test_lost_stream_is_kept_too(node: Rig) -> None:
    rude = await Acquirer.connect(node.acquirer)
    rude.write(b"\xff\xff" + PAN.encode())
    await asyncio.wait_for(rude.ended.wait(), 5)
    (fault,) = (await shown(node)).frames
    assert (fault.kind, fault.path, fault.image) == ("framing", "length", "FFFF")
    assert fault.found == "length 65535"


async def test_ring_is_bounded_in_frames_and_bytes(node: Rig) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    for number in range(3):
        for _ in range(30):
            acquirer.write(b"\x0f\xa0" + b"02zz" + bytes([number]) * 3_996)
        acquirer = await Acquirer.connect(node.acquirer)
    await until(lambda: node.member("ACQ01").faults.total == 90, what="all of them")
    answer = await shown(node)
    assert (len(answer.frames), answer.total) == (FRAMES_MAX, 90)
    assert {len(one.image) for one in answer.frames} == {2 * IMAGE_BYTES_MAX}
    assert {one.bytes for one in answer.frames} == {4_000}


def test_long_frame_is_cut_around_its_fault() -> None:
    class Link:
        slot, peer = 1, "?"

    faults = Faults()
    error = DecodeError("d", "field 2", 0, "x", "y")
    error.image, error.image_at = "**" * 4_000 + "AB" + "**" * 4_000, 4_000
    faults.keep(Link(), error)  # type: ignore[arg-type]
    (kept,) = faults.newest(1)
    at = 2 * (kept.offset - kept.image_from)
    assert kept.image[at : at + 2] == "AB"
    assert len(kept.image) == 2 * IMAGE_BYTES_MAX


async def test_unknown_link_is_refused(node: Rig) -> None:
    with pytest.raises(OrderError) as raised:
        await shown(node, "ACQ1")
    assert raised.value.help == 'did you mean "ACQ01"?'


# -- on the command line ---------------------------------------------------------------------------


async def test_caret_stands_under_the_fault(node: Rig, tmp_path: Path) -> None:
    acquirer = await Acquirer.connect(node.acquirer)
    frame = framed()
    frame[frame.index(b"TERM0001") + 2] = 0xD2
    acquirer.write(bytes(frame))
    await acquirer.next()
    run = CliRunner().invoke
    arguments = ["errors", "ACQ01", "--config", str(tmp_path)]
    text = (await asyncio.to_thread(run, command, arguments)).stdout
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip() == "^^")
    offset = (await shown(node)).frames[0].offset
    assert lines[at - 1].startswith(f"  {offset - offset % 16:04x}  ")
    assert lines[at].index("^^") == 8 + 3 * (offset % 16)
    assert f"field 41, byte {offset} of" in text
    assert leaks(text.replace(" ", "")) == []
    told = await asyncio.to_thread(run, command, [*arguments, "-o", "json"])
    assert json.loads(told.stdout)["frames"][0]["path"] == "field 41"
    assert leaks(told.stdout) == []
    other = await asyncio.to_thread(run, command, ["errors", "BANK01", "--config", str(tmp_path)])
    assert other.stdout == "BANK01: every frame could be decoded and proved\n"


def test_rows_without_anything_to_see_are_left_out() -> None:
    image = "**" * 64 + "30" + "**" * 100
    assert list(dump(image, 0, 66)) == [
        "        …",
        "  0040  30" + " **" * 15,
        "              ^^",
        "        …",
    ]


def test_fault_behind_the_last_byte_has_a_caret() -> None:
    assert list(dump("3031", 0, 2)) == ["  0000  30 31", "              ^^"]
