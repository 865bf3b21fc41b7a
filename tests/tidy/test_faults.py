"""docs/reference/faults.md: every fault has its row, every row a test that there is."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.tree import ROOT

pytestmark = pytest.mark.tidy

PAGE: Final = ROOT / "docs" / "reference" / "faults.md"
ROW: Final = re.compile(r"^\| (\d+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
NAMED: Final = re.compile(r"`([\w/.]+)::(\w+)`")
FAULTS: Final = 45
"""What the design's matrix has for one node without a database of others."""


def rows() -> Iterator[tuple[int, list[tuple[str, str]]]]:
    for number, _, cell in ROW.findall(PAGE.read_text(encoding="utf-8")):
        yield int(number), NAMED.findall(cell)


def test_every_fault_has_one_row() -> None:
    assert [number for number, _ in rows()] == list(range(1, FAULTS + 1))


def test_every_row_names_tests_that_there_are() -> None:
    for number, named in rows():
        assert named, f"row {number} has no test"
        for path, name in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            form = rf"^fn {name}\(" if path.endswith(".rs") else rf"^(async )?def {name}\("
            assert re.search(form, text, re.MULTILINE), f"row {number}: no {name} in {path}"


def test_most_faults_are_done_to_real_processes() -> None:
    real = [n for n, named in rows() if any(path.startswith("tests/faults/") for path, _ in named)]
    assert len(real) >= 36
