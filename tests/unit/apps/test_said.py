"""What a process said last is told on one line."""

from pathlib import Path

import pytest

from switch.apps.said import last_words

ERROR = """\
starting
error[TSW-O0102]: unknown key "idd"
  --> switch.toml:2:1
  = help: use "id"
  = more: tapswitch explain TSW-O0102
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ERROR, 'error[TSW-O0102]: unknown key "idd" --> switch.toml:2:1 = help: use "id"'),
        ("one\ntwo\n", "two"),
        ("", ""),
    ],
)
def test_the_last_error_or_the_last_line(tmp_path: Path, text: str, words: str) -> None:
    log = tmp_path / "log"
    log.write_text(text, encoding="utf-8")
    assert last_words(log) == words
