"""One reading of the files, and the snapshot that keeps it."""

import json
from pathlib import Path

import pytest

from switch.errors import SettingsError
from switch.settings.load import load, load_placed
from switch.settings.sources import in_force_file, meaning, read_sources
from tests.support.config import SWITCH, write_config


def test_snapshot_says_what_the_files_said(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    sources = read_sources(write_config(config))
    file = in_force_file(tmp_path / "data")
    sources.keep(file)
    assert file.stat().st_mode & 0o777 == 0o600
    kept = load(file)
    (config / "switch.toml").write_text("[node]\nbroken", encoding="utf-8")
    assert kept.digest == sources.digest == read_sources(file).digest
    assert kept.node.data_dir == str(config / "data"), "paths start where the files were"
    assert kept.sources.origin == str(config)
    assert kept.acquirers[0].id == "ACQ01"


def test_settings_file_of_another_name_is_its_own_origin(tmp_path: Path) -> None:
    write_config(tmp_path)
    file = (tmp_path / "switch.toml").rename(tmp_path / "node1.toml")
    assert read_sources(file).origin == str(file)


def test_places_in_a_snapshot_name_it(tmp_path: Path) -> None:
    sources = read_sources(write_config(tmp_path))
    sources.keep(tmp_path / "kept.json")
    _, places = load_placed(tmp_path / "kept.json")
    assert places.find("acquirers.0.listen").file == f"{tmp_path}/kept.json#switch.toml"
    assert places.find("routes.1.prefix").file == f"{tmp_path}/kept.json#routes/cards.toml"


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: {**kept, "texts": kept["texts"] | {"switch.toml": SWITCH + "# more\n"}},
        lambda kept: {**kept, "schema": 2},
        lambda kept: {**kept, "main": "other.toml"},
        lambda _: {"schema": 1},
    ],
)
def test_damaged_snapshot_is_refused(tmp_path: Path, damage: object) -> None:
    file = tmp_path / "kept.json"
    read_sources(write_config(tmp_path)).keep(file)
    assert callable(damage)
    file.write_text(json.dumps(damage(json.loads(file.read_text()))), encoding="utf-8")
    with pytest.raises(SettingsError, match="snapshot"):
        read_sources(file)


def test_failed_write_leaves_the_last_snapshot(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    sources = read_sources(write_config(tmp_path))
    sources.keep(file)
    before = file.read_bytes()
    file.with_suffix(".draft").mkdir()
    sources.keep(file)  # It stands there already.
    another = read_sources(write_config(tmp_path, SWITCH + "# another\n"))
    with pytest.raises(OSError, match="directory"):
        another.keep(file)
    assert file.read_bytes() == before


def test_meaning_knows_no_comments_and_text_that_is_no_toml_means_itself() -> None:
    assert meaning("a = 1 # one\n") == meaning("\na=1")
    assert meaning("a = 1") != meaning("a = 2")
    assert meaning("= = =") == "= = ="
