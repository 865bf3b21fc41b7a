"""How errors look on a terminal."""

from pathlib import Path

from switch.cli.report import describe_error
from switch.errors import FramingError, SettingsError


def test_error_shows_code_place_line_caret_and_help(tmp_path: Path) -> None:
    file = tmp_path / "switch.toml"
    file.write_text("[node]\nidd = 1\n", encoding="utf-8")
    error = SettingsError(
        'unknown key "idd"', file=str(file), line=2, column=1, key="node.idd", help='use "id"'
    )
    assert describe_error(error).splitlines() == [
        'error[TSW-O0102]: unknown key "idd"',
        f"  --> {file}:2:1",
        "  |",
        "2 | idd = 1",
        "  | ^^^",
        '  = help: use "id"',
        "  = more: tapswitch explain TSW-O0102",
    ]


def test_error_without_a_readable_file_still_says_where() -> None:
    text = describe_error(SettingsError("gone", file="nowhere.toml", line=3, column=1))
    assert "nowhere.toml:3:1" in text


def test_error_of_a_peer_has_its_code() -> None:
    assert describe_error(FramingError("length 0")).splitlines() == [
        "error[TSW-P0101]: length 0",
        " = more: tapswitch explain TSW-P0101",
    ]
