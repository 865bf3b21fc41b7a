"""Every key of the settings says what a reload does about it."""

from switch.settings.effect import EFFECTS, schema_keys


def test_every_key_has_a_row_in_the_table_of_effects() -> None:
    missing = sorted(set(schema_keys()) - set(EFFECTS))
    assert not missing, (
        f"{missing}: say in switch/settings/effect.py whether a reload takes them up live, by "
        "bouncing the member's links, or not without a restart"
    )


def test_the_table_of_effects_has_no_row_without_a_key() -> None:
    assert not sorted(set(EFFECTS) - set(schema_keys()))
