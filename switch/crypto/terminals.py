"""The registry of terminals: a sealed file beside the node's keys. All work with a key is native.

A terminal is named by its acquirer and its number (field 41). What rests of it is its merchant,
what it can do, and its master key, sealed by itself; work keys are made when they are used.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.crypto.keyfile import Keys
from switch.crypto.links import Components, LinkKeys
from switch.errors import KeyFileError, UsageError
from switch.native import terminal

__all__ = [
    "COLUMNS",
    "PAGE",
    "Device",
    "Given",
    "Registry",
    "TerminalRow",
    "Terminals",
    "add_terminal",
    "bring_terminals",
    "generate_terminals",
    "open_registry",
    "read_import",
    "retire_terminal",
    "terminal_rows",
]

Registry = terminal.Registry
Terminals = terminal.Terminals
Device = terminal.Device

PAGE: Final = 4_096
"""Rows that are taken from the registry at a time."""
COLUMNS: Final = ("terminal_id", "merchant_id", "master_key", "check_value", "capability", "zone")
"""Of a file to import; the first three must be there."""


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A terminal as somebody enters it."""

    acquirer: str
    terminal_id: str
    merchant_id: str
    capability: str = ""
    """Field 60.4, what it can read; empty for any."""
    zone: str = ""
    check_value: str = ""
    """Of its master key, eight hexadecimal digits; empty for whatever it has."""

    @property
    def row(self) -> tuple[str, str, str, str, str, str]:
        """As native code takes it."""
        return (
            self.acquirer,
            self.terminal_id,
            self.merchant_id,
            self.capability,
            self.zone,
            self.check_value,
        )


class TerminalRow(msgspec.Struct, frozen=True):
    """All that is known of a terminal but its master key."""

    acquirer: str
    terminal_id: str
    merchant_id: str
    capability: str
    zone: str
    check_value: str
    added_s: int
    retired_s: int
    """Unix seconds; 0 while it is in use."""


def open_registry(file: str, keys: Keys) -> Registry:
    """Opens the file. Raises: KeyFileError."""
    return Registry.open(file, keys)


def terminal_rows(registry: Registry) -> Iterator[TerminalRow]:
    """Every terminal, retired ones included, by acquirer and number."""
    for start in range(0, len(registry), PAGE):
        yield from msgspec.convert(registry.rows(start, PAGE), list[TerminalRow])


def add_terminal(
    file: str, keys: Keys, given: Given, key: Components, at_s: int, *, replace: bool = False
) -> None:
    """Enters one terminal. Raises: KeyFileError."""
    _directory(file)
    Registry.add(file, keys, given.row, key, at_s, replace=replace)


def bring_terminals(
    file: str,
    keys: Keys,
    given: Sequence[tuple[Given, str]],
    transport: tuple[LinkKeys, str],
    at_s: int,
    *,
    replace: bool = False,
) -> int:
    """Enters terminals whose master keys came under a transport key: all of them, or none. Returns
    how many. Raises: KeyFileError, UsageError."""
    _directory(file)
    rows = [(one.row, key) for one, key in given]
    return Registry.bring(file, keys, rows, *transport, at_s, replace=replace)


def generate_terminals(file: str, keys: Keys, given: Sequence[Given], at_s: int) -> int:
    """Enters terminals with random master keys, which nobody else has; demo keys only."""
    _directory(file)
    return Registry.generate(file, keys, [one.row for one in given], at_s)


def retire_terminal(file: str, keys: Keys, acquirer: str, terminal_id: str, at_s: int) -> None:
    """Takes a terminal out of use for good. Raises: KeyFileError."""
    Registry.retire(file, keys, acquirer, terminal_id, at_s)


def read_import(path: Path, acquirer: str) -> list[tuple[Given, str]]:
    """Terminals and their sealed master keys from CSV with a head line, or from NDJSON, by the name
    of the file. Raises: KeyFileError naming the line."""
    text = path.read_text(encoding="utf-8")
    found = []
    for line, values in _ndjson(text) if path.suffix != ".csv" else _csv(text):
        unknown = set(values) - set(COLUMNS)
        if unknown or not all(values.get(name) for name in COLUMNS[:3]):
            problem = f"line {line}: a terminal has {', '.join(COLUMNS)}; the first three must be"
            raise KeyFileError(problem, file=str(path), line=line)
        key = values.pop("master_key")
        try:
            found.append((msgspec.convert({"acquirer": acquirer, **values}, Given), key))
        except (msgspec.ValidationError, UsageError) as error:
            raise KeyFileError(f"line {line}: {error}", file=str(path), line=line) from None
    return found


def _csv(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(text.splitlines())
    for values in reader:
        yield reader.line_num, {name: value or "" for name, value in values.items() if name}


def _ndjson(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                values = json.loads(line)
            except ValueError:
                values = None
            yield number, values if isinstance(values, dict) else {}


def _directory(file: str) -> None:
    Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
