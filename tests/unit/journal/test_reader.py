"""Finding journals below what an operator names."""

from pathlib import Path

import pytest

from switch.errors import JournalError
from switch.journal.reader import directories, open_reader
from tests.support.journal import make_keys, open_journal


def test_journal_is_found_from_any_directory_above(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    for worker in ("w1", "w0"):
        open_journal(tmp_path / "data" / "journal" / worker, keys).close()
    journals = [tmp_path / "data" / "journal" / worker for worker in ("w0", "w1")]
    assert directories(tmp_path / "data") == journals
    assert directories(tmp_path / "data" / "journal") == journals
    assert directories(journals[1]) == [journals[1]]
    (record,) = open_reader(journals[0], keys).records()
    assert record["kind"] == "STOPPED"


def test_nothing_there_is_an_error_with_remedy(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal") as caught:
        directories(tmp_path)
    assert "data directory" in caught.value.remedy
