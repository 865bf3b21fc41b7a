"""Documents: links lead somewhere, decisions fit a screen, rooms and words are the real ones."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.tree import ROOT, text_of, tracked

pytestmark = pytest.mark.tidy

SCREEN_LINES: Final = 50
DOCUMENTS: Final = [path for path in tracked() if path.suffix == ".md"]
DECISIONS: Final = sorted(
    path for path in DOCUMENTS if path.parent == Path("docs/decisions") and path.name[0] == "0"
)
LINK: Final = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
EXPECTED: Final = (
    "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
    "docs/ARCHITECTURE.md", "docs/GLOSSARY.md", "docs/decisions/README.md",
)  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_document_is_there(name: str) -> None:
    assert Path(name) in tracked()
    assert len(text_of(Path(name))) > 500


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    targets = [t for t in LINK.findall(text_of(path)) if not t.startswith(("http:", "https:"))]
    missing = [t for t in targets if not (ROOT / path.parent / t).exists()]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_document_has_one_title(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", text_of(path), flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# ", prose, flags=re.MULTILINE)) == 1


def test_readme_fits_two_screens() -> None:
    assert len(text_of(Path("README.md")).splitlines()) <= 2 * SCREEN_LINES


@pytest.mark.parametrize("path", DECISIONS, ids=str)
def test_decision_fits_a_screen_and_is_listed(path: Path) -> None:
    text = text_of(path)
    assert len(text.splitlines()) <= SCREEN_LINES
    assert text.startswith(f"# {path.name[:4]} ")
    for part in ("**Decided.**", "**Why.**", "**Rejected.**"):
        assert part in text
    assert f"({path.name})" in text_of(Path("docs/decisions/README.md"))


def test_architecture_names_every_room() -> None:
    text = text_of(Path("docs/ARCHITECTURE.md"))
    rooms = {p.parts[1] for p in tracked() if p.parts[0] == "switch" and len(p.parts) > 2}
    rooms -= {"_native"}
    assert {room for room in rooms if f"`{room}`" not in text} == set()


def test_every_word_of_the_glossary_has_its_chinese() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text_of(Path("docs/GLOSSARY.md")).splitlines()
        if line.startswith("|")
    ][2:]
    assert len(rows) > 40
    words = [row[0].lower() for row in rows]
    assert words == sorted(words)
    for word, chinese, meaning in rows:
        assert re.search(r"[\u4e00-\u9fff]", chinese), word
        assert meaning.endswith("."), word


def test_paths_that_documents_name_exist() -> None:
    """`like/this.py` in backticks is a promise."""
    named = re.compile(r"`((?:switch|native|config|tests|scripts|docs|bench)/[\w./-]+)`")
    missing = {
        f"{path}: {name}"
        for path in DOCUMENTS
        for name in named.findall(text_of(path))
        if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()
    }
    assert missing == set()
