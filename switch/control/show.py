"""A configuration as it takes effect, key by key, each with where it comes from.

Secrets are never in the settings, only their paths; of a sealed file a fingerprint is shown, so
that two nodes can be compared without anyone reading it.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.control.diff import flat
from switch.settings.load import Places
from switch.settings.schema import Settings

__all__ = ["FINGERPRINTED", "Shown", "dialect_fingerprint", "shown"]

FINGERPRINTED: Final = frozenset({"keys.file", "tokens.card_masters_file"})
"""Keys that name a sealed file. The sealing key itself is not even opened."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One key, or the head of a table (`value` is None)."""

    key: str
    """Dotted, elements of lists by id."""
    row: str
    """Dotted, elements as stars."""
    value: Any
    table: bool = False
    file: str = ""
    """Where it is set; empty for a default."""
    line: int = 0
    fingerprint: str = ""


def shown(settings: Settings, places: Places) -> Iterator[Shown]:
    """Every key, defaults too, in an order in which a settings file could have them."""
    for value in flat(settings):
        table = isinstance(value.value, msgspec.Struct)
        if value.value is None:
            continue
        place = places.exact(value.at)
        yield Shown(
            key=value.key,
            row=value.row,
            value=None if table else value.value,
            table=table,
            file=place.file if place else "",
            line=place.line if place else 0,
            fingerprint=_fingerprint(value.value) if value.row in FINGERPRINTED else "",
        )


def _fingerprint(path: str) -> str:
    try:
        return f"sha256:{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def dialect_fingerprint(settings: Settings, name: str) -> str:
    """Of a dialect's text."""
    return f"sha256:{hashlib.sha256(settings.dialect_text(name).encode()).hexdigest()[:16]}"
