"""The page of metrics says what the catalogue says."""

from pathlib import Path

from scripts.metrics_page import metrics_text


def test_the_committed_page_is_the_generated_one() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_text(), (
        "run .venv/bin/python scripts/generate"
    )
