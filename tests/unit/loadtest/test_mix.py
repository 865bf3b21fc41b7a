"""A mix is checked before anything starts; the day's curve is what its points say."""

from pathlib import Path

import pytest

from loadtest.mix import MIXES, Curve, find, share_at
from switch.errors import SettingsError

NAMES = sorted(path.stem for path in MIXES.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_mix_that_is_shipped_is_one(name: str) -> None:
    mix = find(name)
    assert mix.title
    assert mix.terminal or mix.gate


def test_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADTEST_MIX", "gates")
    assert find().title == find("gates").title
    assert find("plain").title != find().title


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("title = 'x'", "neither"),
        ("title = 'x'\n[terminal]\nrate = 0", "not a mix"),
        ("title = 'x'\n[terminal]\nrates = 1", "not a mix"),
        ("title = 'x'\narrivals = 'evn'\n[gate]", "no arrivals"),
        ("title = 'x'\n[gate]\namount_minor = [100, 9001]", "must rise"),
        ("title = 'x'\n[gate]\nmcc = '41'", "not a mix"),
        ("title = 'x'\n[gate]\n[curve]\npoints = [[0, 1], [12, 1]]", "from hour 0 to hour 24"),
        ("title = ", "not a mix"),
    ],
)
def test_what_is_wrong_is_told_with_its_file(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=problem) as caught:
        find(str(file))
    assert str(file) in str(caught.value)


def test_a_name_that_is_not_there_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(SettingsError, match="mixed"):
        find("mixd")


def test_the_curve_is_straight_between_its_points() -> None:
    curve = Curve(seconds=240, points=[(0, 0.0), (8, 1.0), (24, 0.2)])
    assert share_at(curve, 0) == 0
    assert share_at(curve, 40) == pytest.approx(0.5)
    assert share_at(curve, 80) == pytest.approx(1.0)
    assert share_at(curve, 160) == pytest.approx(0.6)
    assert share_at(curve, 240) is None
