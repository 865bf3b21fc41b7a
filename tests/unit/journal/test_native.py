"""The native journal as Python sees it."""

import os
import select
import stat
from pathlib import Path
from typing import Any

import pytest

from switch.errors import JournalError, KeyFileError, UsageError
from switch.native import journal
from tests.support.journal import make_keys, open_journal, wait_synced


def test_record_comes_back_with_its_names(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    opened = open_journal(tmp_path / "j", keys)
    record: dict[str, Any] = {
        "kind": "DECLINED",
        "txn": 1 << 56 | 7,
        "at_ms": -5,
        "key": bytes(range(16)),
        "rrn": "000000000042",
        "amount": 2**63,
        "outcome": 3,
    }
    assert opened.append(record) == 1
    opened.close()
    reader = journal.Reader.open(str(tmp_path / "j"), keys)
    first, stopped = reader.records()
    place = {"lsn": 1, "carried": False, "segment": 1, "offset": 8192}
    assert first == record | place | {"key": bytes(range(16)).hex()}
    assert (stopped["kind"], stopped["lsn"]) == ("STOPPED", 2)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "TRACK"},
        {"kind": "STARTED", "track2": "6299000000000000=3012"},
        {"kind": "STARTED", "pan": "6299000000000005"},
        {"kind": "STARTED", "stan": "12a456"},
        {"kind": "STARTED", "node": 256},
        {"kind": "STARTED", "key": b"short"},
        {"kind": "STARTED", "terminal_id": "123456789"},
    ],
)
def test_what_the_table_does_not_have_is_refused_and_not_quoted(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    opened = open_journal(tmp_path / "j", make_keys(tmp_path))
    with pytest.raises(UsageError) as caught:
        opened.append(record)
    assert "6299" not in str(caught.value)
    assert opened.appended == 0
    opened.close()


def test_eventfd_wakes_when_durable(tmp_path: Path) -> None:
    opened = open_journal(tmp_path / "j", make_keys(tmp_path))
    assert select.select([opened.fileno], [], [], 0)[0] == []
    opened.append({"kind": "STARTED", "boot": 1})
    opened.commit()
    assert select.select([opened.fileno], [], [], 20)[0]
    assert opened.acknowledge() == 1
    assert select.select([opened.fileno], [], [], 0)[0] == []
    assert opened.stats()["groups"] == 1
    opened.close()
    opened.close()
    with pytest.raises(JournalError):
        opened.append({"kind": "STARTED"})


def test_second_opening_is_refused_with_remedy(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    opened = open_journal(tmp_path / "j", keys)
    with pytest.raises(JournalError, match=f"in use by process {os.getpid()}") as caught:
        open_journal(tmp_path / "j", keys)
    assert caught.value.remedy
    opened.close()


def test_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    opened = open_journal(tmp_path / "j", keys)
    reader = journal.Reader.open(str(tmp_path / "j"), keys)
    seen: list[int] = []
    for number in range(1, 1_001):
        lsn = opened.append({"kind": "STAN_MARK", "out_stan": number})
        if number % 100 == 0:
            wait_synced(opened, lsn)
            seen += [r["out_stan"] for r in reader.records(after=seen[-1] if seen else 0)]
    assert seen == list(range(1, 1_001))
    opened.close()
    assert [r["lsn"] for r in reader.records(after=990)] == list(range(991, 1_002))
    assert len(list(reader.records())) == 1_001
    # An iterator that is dropped in the middle harms nothing.
    assert next(reader.records())["lsn"] == 1
    assert reader.verify() == []
    assert reader.summary() == {
        "segments": 2,
        "last_lsn": 1_001,
        "checkpoint_lsn": 0,
        "torn": None,
    }


def test_damage_names_file_offset_and_remedy(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    opened = open_journal(tmp_path / "j", keys)
    for number in range(3):
        wait_synced(opened, opened.append({"kind": "STAN_MARK", "out_stan": number}))
    opened.close()
    segment = tmp_path / "j" / "0000000001.seg"
    damaged = bytearray(segment.read_bytes())
    damaged[8192 + 20] ^= 4
    segment.write_bytes(damaged)
    reader = journal.Reader.open(str(tmp_path / "j"), keys)
    with pytest.raises(JournalError) as caught:
        list(reader.records())
    assert (caught.value.file, caught.value.offset) == (str(segment), 8192)
    assert caught.value.remedy
    (finding,) = reader.verify()
    assert (finding["rule"], finding["offset"]) == ("structure", 8192)
    with pytest.raises(JournalError):
        open_journal(tmp_path / "j", keys)


def test_keys_show_nothing_and_files_are_private(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    assert repr(keys) == "<Keys demo>"
    assert keys.demo
    assert set(keys.check_values) == {"journal", "pan", "index"}
    assert all(len(value) == 6 for value in keys.check_values.values())
    for name in ("sealing.key", "switch.keys"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        with pytest.raises(KeyFileError, match="exists already"):
            journal.create_sealing_key(str(tmp_path / name))


def test_wrong_sealing_key_and_wrong_keys_are_told_apart(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    open_journal(tmp_path / "j", keys).close()
    (tmp_path / "other").mkdir()
    other = make_keys(tmp_path / "other")
    with pytest.raises(JournalError, match="under another journal key"):
        open_journal(tmp_path / "j", other)
    descriptor = os.open(tmp_path / "other" / "sealing.key", os.O_RDONLY)
    with pytest.raises(KeyFileError, match="does not open the file"):
        journal.Keys.open(str(tmp_path / "switch.keys"), descriptor)
    os.close(descriptor)
    with pytest.raises(KeyFileError, match="descriptor"):
        journal.Keys.open(str(tmp_path / "switch.keys"), descriptor)
