"""The page of states says what the tables say."""

from pathlib import Path

from scripts.states_page import states_text


def test_the_committed_page_is_the_generated_one() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "states.md"
    assert page.read_text(encoding="utf-8") == states_text(), (
        "run .venv/bin/python scripts/generate"
    )
