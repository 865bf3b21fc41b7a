"""Settings are read whole or refused with file, line, column, key and a way out."""

from pathlib import Path

import pytest

from switch.errors import SettingsError, TomlError
from switch.settings.load import load, load_placed
from tests.support.config import ROUTES, SWITCH, write_config


def test_whole_directory_is_read(tmp_path: Path) -> None:
    settings = load(write_config(tmp_path))
    assert [a.id for a in settings.acquirers] == ["ACQ01"]
    assert [(i.id, i.mode) for i in settings.issuers] == [("BANK01", "dial"), ("BANK02", "accept")]
    assert [(r.prefix, r.issuer) for r in settings.routes] == [
        ("629900", "BANK01"),
        ("629901", "BANK02"),
    ]
    assert list(settings.dialects) == ["iso87-ascii"]
    assert settings.node.data_dir == str(tmp_path / "data")
    assert settings.keys.sealing_key_file == str(tmp_path / "keys" / "sealing.key")


def test_settings_file_may_be_named_itself(tmp_path: Path) -> None:
    write_config(tmp_path)
    assert load(tmp_path / "switch.toml") == load(tmp_path)


def test_descriptor_of_the_sealing_key_is_not_a_path(tmp_path: Path) -> None:
    write_config(tmp_path, SWITCH + '[keys]\nsealing_key_file = "fd:7"\n')
    assert load(tmp_path).keys.sealing_key_file == "fd:7"


@pytest.mark.parametrize("name", ["switch.toml", "routes/cards.toml", "dialects/iso87-ascii.toml"])
def test_digest_changes_with_every_file(tmp_path: Path, name: str) -> None:
    before = load(write_config(tmp_path)).digest
    with (tmp_path / name).open("a", encoding="utf-8") as file:
        file.write("# a comment\n")
    assert load(tmp_path).digest != before


def test_unknown_key_names_place_and_nearest_key(tmp_path: Path) -> None:
    text = SWITCH.replace('mode = "accept"', 'mode = "accept"\ndeadline_mss = 3')
    write_config(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    error = caught.value
    assert error.file == str(tmp_path / "switch.toml")
    assert (error.line, error.column) == (18, 1)
    assert error.key == "issuers.1.deadline_mss"
    assert error.problem == 'unknown key "deadline_mss" in issuers'
    assert error.help == 'did you mean "deadline_ms"?'


def test_unknown_table_lists_what_is_valid(tmp_path: Path) -> None:
    write_config(tmp_path, SWITCH + "[zzz]\n")
    with pytest.raises(SettingsError, match=r'unknown key "zzz".*acquirers, issuers, journal'):
        load(tmp_path)


def test_unknown_key_of_a_routes_file(tmp_path: Path) -> None:
    write_config(tmp_path, routes=ROUTES + '[[routes]]\nprefx = "1"\nissuer = "BANK01"\n')
    with pytest.raises(SettingsError, match=r'cards.toml:9:1: .*"prefx".*did you mean "prefix"'):
        load(tmp_path)


def test_misspelt_key_is_told_before_the_missing_one(tmp_path: Path) -> None:
    write_config(tmp_path, SWITCH.replace("institution_code", "institution_kode", 1))
    with pytest.raises(SettingsError, match=r'unknown key "institution_kode"'):
        load(tmp_path)


def test_wrong_type_names_place_and_meaning(tmp_path: Path) -> None:
    write_config(tmp_path, SWITCH + "[limits]\nduplicates_max = 'many'\n")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert caught.value.line == 20
    assert caught.value.key == "limits.duplicates_max"
    assert "expected `int`, got `str`" in caught.value.problem
    assert "oldest is forgotten first" in caught.value.help


def test_value_out_of_range(tmp_path: Path) -> None:
    write_config(tmp_path, SWITCH.replace("127.0.0.1:4001", "4001"))
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert caught.value.key == "acquirers.0.listen"


def test_missing_key_is_named_with_its_table(tmp_path: Path) -> None:
    write_config(tmp_path, SWITCH.replace('institution_code = "00000020002"\n', ""))
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    assert caught.value.problem == 'key "institution_code" is missing in [issuers]'
    assert caught.value.line == 14
    assert caught.value.help == "The bank's own institution code."


def test_not_toml(tmp_path: Path) -> None:
    write_config(tmp_path, "[node]\nid == 1\n")
    with pytest.raises(TomlError) as caught:
        load(tmp_path)
    assert caught.value.file.endswith("switch.toml")
    assert caught.value.line == 2


def test_not_utf_8(tmp_path: Path) -> None:
    write_config(tmp_path)
    (tmp_path / "routes" / "more.toml").write_bytes(b"# \xff\n")
    with pytest.raises(SettingsError, match=r"more.toml: not UTF-8 at byte 2"):
        load(tmp_path)


def test_directory_without_settings_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").touch()
    with pytest.raises(SettingsError, match=r"no switch.toml.*demo.toml"):
        load(tmp_path)


def test_places_of_several_routes_files_do_not_mix(tmp_path: Path) -> None:
    write_config(tmp_path)
    more = '# more\n\n[[routes]]\nprefix = "629902"\nissuer = "BANK01"\n'
    (tmp_path / "routes" / "more.toml").write_text(more, encoding="utf-8")
    settings, places = load_placed(tmp_path)
    assert settings.routes[2].prefix == "629902"
    assert places.find("routes.1.prefix") == (str(tmp_path / "routes" / "cards.toml"), 6, 1)
    assert places.find("routes.2.prefix") == (str(tmp_path / "routes" / "more.toml"), 4, 1)
    assert places.find("acquirers.0.sign_on").line == 4, "an absent key stands at its table"


def test_paths_of_tokens_are_beside_the_settings(tmp_path: Path) -> None:
    tokens = '\n[tokens]\nranges = [{ prefix = "629977", length = 16 }]\nindex_dir = "/i"\n'
    loaded = load(write_config(tmp_path, SWITCH + tokens)).tokens
    assert loaded is not None
    assert loaded.vault_file == str(tmp_path / "data/vault/vault.sqlite")
    assert loaded.index_dir == "/i"
    assert load(write_config(tmp_path)).tokens is None


def test_unknown_key_of_tokens_is_found_with_its_place(tmp_path: Path) -> None:
    tokens = '\n[tokens]\nranges = [{ prefix = "629977", length = 16, lenght = 1 }]\n'
    with pytest.raises(SettingsError, match='unknown key "lenght"') as caught:
        load(write_config(tmp_path, SWITCH + tokens))
    assert caught.value.help == 'did you mean "length"?'
    assert caught.value.line > 1
