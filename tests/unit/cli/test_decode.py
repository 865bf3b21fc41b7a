"""`tapswitch decode`, `encode` and `diff`: input, output, exit codes, and how soon they begin."""

import io
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from switch.cli import run
from switch.wire.anatomy import SCHEMA
from tests.support.tree import ROOT
from tests.support.wire import CHIP, body, purchase

FRAME = purchase(**CHIP, track2="6299000000000004=3012201")
DIALECT = str(ROOT / "config/dialects/iso87-ascii.toml")


def decoded(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert run(["decode", "-d", DIALECT, "-o", "json", *words]) == code
    return json.loads(capsys.readouterr().out)


def test_hexadecimal_as_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    found = decoded(capsys, FRAME.hex())
    assert found["schema"] == SCHEMA
    assert found["dialect"]["name"] == "iso87-ascii"
    [frame] = found["frames"]
    assert (frame["mti"], frame["kind"], frame["fault"]) == ("0200", "purchase", None)


def test_several_frames_of_a_file_and_of_stdin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "frames.bin"
    file.write_bytes(FRAME * 3)
    assert len(decoded(capsys, "--raw", str(file))["frames"]) == 3
    assert decoded(capsys, str(file))["notes"][0].endswith("taken as raw bytes, as with --raw")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FRAME.hex(" ").encode())))
    assert len(decoded(capsys, "-")["frames"]) == 1


def test_text_says_how_it_was_framed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["decode", "-d", DIALECT, "--lang", "zh", (FRAME + FRAME).hex()]) == 0
    text = capsys.readouterr().out
    assert f"message 2 of 2: {len(FRAME)} bytes, length2 length" in text
    assert "主账号" in text
    assert "629900******0004" in text
    assert run(["decode", "-d", DIALECT, "--lang", "en", body(FRAME).hex()]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{len(FRAME) - 2} bytes, no length\n")
    assert "主账号" not in text


def test_a_message_that_does_not_fit_gives_1_and_hints(capsys: pytest.CaptureFixture[str]) -> None:
    header = bytes.fromhex("6000030000")
    data = (header + body(FRAME)).hex()
    assert run(["decode", "-d", DIALECT, "--explain", data]) == 1
    text = capsys.readouterr().out
    assert "error[TSW-P0102]: mti: found other bytes, expected four digits" in text
    assert f"--> {DIALECT}:" in text
    assert "likely: message: the first 5 bytes are no part of the message: a TPDU" in text
    assert "= evidence: so read, all" in text


def test_unmask_is_for_test_data(capsys: pytest.CaptureFixture[str]) -> None:
    found = decoded(capsys, "--unmask", FRAME.hex())
    values = {row["name"]: row["value"] for row in found["frames"][0]["fields"]}
    assert values["pan"] == "6299000000000004"
    other = purchase(pan="6298000000000004").hex()
    assert run(["decode", "-d", DIALECT, "--unmask", other]) == 2
    error = capsys.readouterr().err
    assert "not shown unmasked: field 2 is not of the test range" in error
    assert "62980000" not in error


def test_encode_is_the_way_back(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    assert run(["decode", "-d", DIALECT, "-o", "json", "--unmask", FRAME.hex()]) == 0
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert run(["encode", "-d", DIALECT, str(file)]) == 0
    assert bytes.fromhex(capsys.readouterr().out) == FRAME
    assert run(["encode", "-d", DIALECT, "--body", "-o", "json", str(file)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "tapswitch.encode/1"
    assert bytes.fromhex(found["messages"][0]["hex"]) == body(FRAME)
    assert run(["encode", "-d", DIALECT, "mti=0800", "11=000001", "70=301"]) == 0
    assert capsys.readouterr().out.startswith("002D")


def test_diff_tells_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    other = purchase(**CHIP, stan="000002").hex()
    assert run(["diff", "-d", DIALECT, FRAME.hex(), FRAME.hex()]) == 0
    assert capsys.readouterr().out == ""
    assert run(["diff", "-d", DIALECT, "--lang", "en", FRAME.hex(), other]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "~ F11  stan  000001 -> 000002  System trace audit number"
    assert lines[1].startswith("- F35  track2  (24 hidden)")
    assert run(["diff", "-d", DIALECT, "-o", "json", FRAME.hex(), other]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["same"]) == ("tapswitch.diff/1", False)
    assert [row["state"] for row in found["differences"]] == ["changed", "only-in-a"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["decode", "-d", "iso87-asci", "00"], 'did you mean "iso87-ascii"'),
        (["decode", "-d", DIALECT, "no-such-file"], "not hexadecimal"),
        (["decode", "-d", DIALECT, "012"], "odd number"),
        (["decode", "-d", "nowhere/x.toml", "00"], "cannot read the dialect"),
        (["diff", "-d", DIALECT, "00", "00"], "does not fit its dialect"),
        (["encode", "-d", DIALECT, "stan=000001"], "has no type"),
    ],
)
def test_what_is_wrong_is_said(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert said in capsys.readouterr().err


HEAVY = "asyncio", "uvloop", "msgspec", "switch.settings.schema", "switch.runtime"


def test_decode_begins_soon() -> None:
    """No loop and no settings: modules are looked for, because time wobbles on a busy machine."""
    program = (
        "import sys\nfrom switch.cli import run\n"
        f"code = run(['decode', '-d', {DIALECT!r}, {FRAME.hex()!r}])\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "sys.exit(code or (repr(heavy) if heavy else 0))"
    )
    best = 9.0
    for _ in range(5):
        began = perf_counter()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        best = min(best, perf_counter() - began)
        assert done.returncode == 0, done.stderr
    assert best < 1.0
