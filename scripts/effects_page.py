# ruff: noqa: INP001 - scripts are no package
"""The page of what a reload does about each key of the settings, from switch/settings/effect.py."""

from switch.settings.effect import EFFECTS, schema_keys
from switch.settings.load import description
from switch.settings.schema import RouteFile, SwitchFile

HEADER = """\
# What a reload does about each key

Generated from switch/settings/effect.py by scripts/generate. A star stands for any element of a
list; a row that ends in one is about adding and removing an element. See
[the guide](../guides/reload.md).

| key | effect | meaning |
|---|---|---|
"""

ELEMENTS = {
    "dialects.*": "A file in dialects/: changed in more than words, every link that speaks it.",
    "acquirers.*": "A member that comes or goes.",
    "issuers.*": "A member that comes or goes.",
    "routes.*": "A route that comes or goes.",
    "tokens": "Tokens at all.",
    "tokens.ranges.*": "A range that comes or goes.",
}


def effects_text() -> str:
    """The page."""
    rows = []
    for key in schema_keys():
        schema = RouteFile if key.startswith("routes") else SwitchFile
        meaning = ELEMENTS.get(key) or description(schema, key)
        rows.append(f"| `{key}` | {EFFECTS[key]} | {meaning.replace('|', '/')} |\n")
    return HEADER + "".join(rows)
