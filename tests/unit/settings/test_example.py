"""The example file is what the schema says, and it is sound."""

from pathlib import Path

import msgspec

from switch.settings.check import check_settings
from switch.settings.example import CHOSEN, example_text
from switch.settings.load import load
from switch.settings.schema import SwitchFile

CONFIG = Path(__file__).parents[3] / "config"


def test_committed_example_is_what_the_schema_says() -> None:
    committed = (CONFIG / "switch.example.toml").read_text(encoding="utf-8")
    assert committed == example_text(), "run .venv/bin/python scripts/generate"


def test_every_key_of_the_schema_is_explained() -> None:
    text = example_text()
    for table in msgspec.structs.fields(SwitchFile):
        assert table.encode_name in CHOSEN
    for line in ("# deadline_ms = 20000", "# undeliverable = ", "# segment_mib = 64"):
        assert line in text


def test_uncommented_defaults_are_the_defaults(tmp_path: Path) -> None:
    """The defaults that the comments show are valid TOML and give the same settings."""
    lines = example_text().splitlines()
    shown = [line.removeprefix("# ") if " = " in line else line for line in lines]
    for directory in (tmp_path / "a", tmp_path / "b"):
        directory.mkdir()
    (tmp_path / "a" / "switch.toml").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "b" / "switch.toml").write_text("\n".join(shown), encoding="utf-8")
    first, second = load(tmp_path / "a"), load(tmp_path / "b")
    assert first.acquirers == second.acquirers
    assert first.issuers == second.issuers
    assert (first.journal, first.limits, first.metrics) == (
        second.journal,
        second.limits,
        second.metrics,
    )


def test_example_and_demo_have_no_findings_of_settings() -> None:
    for name in ("switch.example.toml", "demo.toml"):
        found = check_settings(load(CONFIG / name))
        assert [f for f in found if f.rule != "dialects"] == []
