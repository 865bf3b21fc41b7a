"""The pages of docs/start hold what they say: every shell block runs as it stands."""

import re
from pathlib import Path

import pytest

from tests.support.tree import ROOT
from tests.support.tutorial import blocks, play

pytestmark = pytest.mark.system

PAGES = sorted(path for path in (ROOT / "docs" / "start").glob("*.md") if ".zh." not in path.name)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def test_there_are_tutorials_and_each_promises_something() -> None:
    assert PAGES
    for page in PAGES:
        found = blocks(page.read_text(encoding="utf-8"))
        assert sum(block.output is not None for block in found) >= 3, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    play(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_chinese_page_has_the_same_blocks(page: Path) -> None:
    chinese = page.with_suffix(".zh.md").read_text(encoding="utf-8")
    assert FENCED.findall(chinese) == FENCED.findall(page.read_text(encoding="utf-8"))
    assert re.search(r"[\u4e00-\u9fff]", chinese)
