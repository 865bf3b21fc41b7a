"""Hexadecimal as people paste it."""

import subprocess
from pathlib import Path

import pytest

from switch.errors import CaptureError
from switch.wire.capture import read_capture
from tests.support.wire import CHIP, purchase

DATA = purchase(**CHIP)


@pytest.mark.parametrize(
    "text",
    [
        DATA.hex(),
        DATA.hex().upper(),
        DATA.hex(" "),
        DATA.hex(":"),
        ", ".join(f"0x{byte:02x}" for byte in DATA),
        "".join(f"\\x{byte:02X}" for byte in DATA),
        "\n".join(DATA.hex(" ")[at : at + 48] for at in range(0, 3 * len(DATA), 48)),
        "# a purchase\n" + DATA.hex() + "\n// its end\n",
        "[" + DATA.hex(",") + "]",
        DATA.hex(" ", 4).replace(" ", "_"),
    ],
)
def test_every_dress_of_hexadecimal_is_taken_off(text: str) -> None:
    assert read_capture(text).data == DATA


@pytest.mark.parametrize("command", [["xxd"], ["xxd", "-c", "20", "-g", "1"], ["hexdump", "-C"]])
@pytest.mark.parametrize("length", [len(DATA), 16, 32, 33, 5])
def test_the_offsets_of_real_dump_tools_are_taken_off(
    command: list[str], length: int, tmp_path: Path
) -> None:
    file = tmp_path / "frame"
    file.write_bytes(DATA[:length])
    text = dump(command, file)
    found = read_capture(text)
    assert found.data == DATA[:length]
    assert any("offsets" in note for note in found.notes)


def dump(command: list[str], file: Path) -> str:
    """What the tool prints. Where this machine lacks it, its documented layout."""
    try:
        return subprocess.run([*command, file], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        data = file.read_bytes()
    wide = 20 if "20" in command else 16
    lines = []
    for at in range(0, len(data), wide):
        piece = data[at : at + wide]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        if command[0] == "xxd":
            groups = piece.hex(" ", 1 if "1" in command else -2)
            columns = 3 * wide - 1 if "1" in command else 5 * wide // 2 - 1
            lines.append(f"{at:08x}: {groups:<{columns}}  {text}")
        else:
            both = f"{piece[:8].hex(' '):<23}  {piece[8:].hex(' '):<23}"
            lines.append(f"{at:08x}  {both}  |{text}|")
    if command[0] == "hexdump":
        lines.append(f"{len(data):08x}")
    return "\n".join(lines) + "\n"


def test_wireshark_and_tcpdump_columns() -> None:
    rows = [DATA[at : at + 16] for at in range(0, 48, 16)]
    shark = "".join(f"{at * 16:04x}   {row.hex(' ')}   {'.' * 16}\n" for at, row in enumerate(rows))
    tcpdump = "".join(
        f"\t0x{at * 16:04x}:  {row.hex(' ', -2)}  ................\n" for at, row in enumerate(rows)
    )
    assert read_capture(shark).data == DATA[:48]
    assert read_capture(tcpdump).data == DATA[:48]


def test_columns_that_do_not_agree_are_bytes() -> None:
    """Only a number that counts the bytes before it is an offset."""
    text = "0000 11 22\n0001 33 44\n"
    assert read_capture(text).data.hex() == "0000112200013344"


def test_lines_are_kept_apart() -> None:
    found = read_capture("0102\n\n030405\n")
    assert found.lines == [b"\x01\x02", b"\x03\x04\x05"]
    assert read_capture("010203").lines == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("01 02\n0g 03", "line 2, column 2: not hexadecimal"),
        ("012", "3 hexadecimal digits, an odd number"),
    ],
)
def test_what_is_not_hexadecimal_is_named_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(CaptureError, match=problem):
        read_capture(text)


def test_no_error_quotes_the_input() -> None:
    with pytest.raises(CaptureError) as caught:
        read_capture("6299000000000004=3012")
    assert "6299" not in str(caught.value)
