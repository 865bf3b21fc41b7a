"""TOML comes with the place of every key."""

import pytest

from switch.errors import TomlError
from switch.native import codec


def test_values_are_plain_and_every_key_has_its_place() -> None:
    values, places = codec.parse_toml(
        "a = 1\n[b]\nc = [1.5, {x = true}]\nd = 2024-01-01\n[[e]]\nid = 'x'\n"
    )
    assert values == {"a": 1, "b": {"c": [1.5, {"x": True}], "d": "2024-01-01"}, "e": [{"id": "x"}]}
    assert places["b.c.1.x"] == (3, 12)
    assert places["e.0.id"] == (6, 1)


def test_a_fault_names_line_and_column() -> None:
    with pytest.raises(TomlError) as caught:
        codec.parse_toml("a = 1\nb == 2\n")
    assert (caught.value.line, caught.value.column) == (2, 4)
