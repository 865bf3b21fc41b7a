"""A ledger is on disk line by line, and reads back as written."""

from pathlib import Path

import pytest

from switch.errors import OperatorError
from switch.sim.ledger import Booking, Did, Effect, Ledger, Sale, Saw, read_bookings, read_sales


def test_lines_are_in_the_file_before_write_returns(tmp_path: Path) -> None:
    path = tmp_path / "sales.jsonl"
    lines = [
        Sale(
            Did.INVOKE,
            1,
            "00000000001",
            "T0000001",
            "000001",
            "1123100000",
            mti="0200",
            rrn="A00000000001",
            amount=100,
        ),
        Sale(Did.OK, 2, "00000000001", "T0000001", "000001", "1123100000", code="00"),
    ]
    with Ledger(path) as ledger:
        for count, line in enumerate(lines, 1):
            ledger.write(line)
            assert list(read_sales(path)) == lines[:count]
        assert ledger.lines == 2
    assert lines[0].key == lines[1].key == ("00000000001", "T0000001", "000001", "1123100000")


def test_bookings_keep_their_effect(tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    line = Booking(
        Saw.REVERSAL, 5, "000009", "1123100001", "0420", released=100, effect=Effect.RELEASED
    )
    with Ledger(path) as ledger:
        ledger.write(line)
    assert list(read_bookings(path)) == [line]
    assert line.reference == ("000009", "1123100001")


def test_a_ledger_is_never_continued(tmp_path: Path) -> None:
    Ledger(tmp_path / "one").close()
    with pytest.raises(FileExistsError):
        Ledger(tmp_path / "one")


def test_a_torn_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sales.jsonl"
    path.write_bytes(
        b'{"did":"invoke","at_ms":1,"acquirer":"a","terminal":"t","stan":"1","time":"2"}\n{"did":"ok"'
    )
    with pytest.raises(OperatorError, match=r"sales.jsonl:2:1"):
        list(read_sales(path))
