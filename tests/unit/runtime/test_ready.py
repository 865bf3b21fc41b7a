"""The ready signal: file and line say the same, the file is never half there."""

import json
import os
from pathlib import Path

from switch.runtime import ready


def test_file_and_line_say_the_same_and_the_descriptor_is_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    file = tmp_path / "run" / "worker.json"
    ready.tell({"ready": True, "acquirers": {"ACQ01": "127.0.0.1:4001"}}, file, writer)
    with os.fdopen(reader) as stream:
        assert json.loads(stream.read()) == json.loads(file.read_text())
    assert list(file.parent.iterdir()) == [file]


def test_starter_that_has_gone_does_not_matter(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = tmp_path / "worker.json"
    ready.tell({"ready": True}, file, writer)
    assert file.exists()


def test_withdrawn_file_is_gone_and_withdrawing_twice_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    ready.tell({"ready": True}, file)
    ready.withdraw(file)
    ready.withdraw(file)
    assert not file.exists()
