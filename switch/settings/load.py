"""Reads a configuration directory into `Settings`; every fault names file, line, column and key.

Knows files, not their sense: what contradicts what is settings/check, what needs dialects, keys or
sockets is control/check.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from switch.errors import SettingsError, TomlError
from switch.native import codec
from switch.settings.example import table_of
from switch.settings.nearest import suggest
from switch.settings.schema import (
    Acquirer,
    Issuer,
    RouteFile,
    Settings,
    SwitchFile,
    TerminalSettings,
    Tls,
    TokenSettings,
)
from switch.settings.sources import Sources, read_sources

__all__ = ["Place", "Places", "description", "load", "load_placed", "parse"]

T = TypeVar("T", bound=msgspec.Struct)
Member = TypeVar("Member", Acquirer, Issuer)


class Place(NamedTuple):
    """Where a key stands; line and column from 1, 0 when unknown."""

    file: str
    line: int = 0
    column: int = 0


class Places:
    """Where each dotted key of the settings stands; elements of lists by index."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._places: dict[str, Place] = {}

    def enter(self, file: str, positions: dict[str, tuple[int, int]], renumber: int = 0) -> None:
        """Adds one file's keys; `renumber` is added to the index of ``routes.N``."""
        for key, (line, column) in positions.items():
            if renumber and key.startswith("routes."):
                _, index, *rest = key.split(".")
                key = ".".join(["routes", str(int(index) + renumber), *rest])  # noqa: PLW2901
            self._places.setdefault(key, Place(file, line, column))

    def exact(self, key: str) -> Place | None:
        """The key's own place; None when no file sets it."""
        return self._places.get(key)

    def find(self, key: str) -> Place:
        """The key's place, else that of the table around it, else the settings file."""
        while key:
            if key in self._places:
                return self._places[key]
            key = key.rpartition(".")[0]
        return Place(self.file)


def load(path: str | Path) -> Settings:
    """The settings of a configuration directory, of a settings file with its neighbours, or of a
    snapshot.

    Raises: SettingsError, TomlError (TSW-O0101, TSW-O0102).
    """
    return load_placed(path)[0]


def load_placed(path: str | Path) -> tuple[Settings, Places]:
    """As `load`, with the places that `check` needs for its findings."""
    return parse(read_sources(path))


def parse(sources: Sources) -> tuple[Settings, Places]:
    """As `load_placed`, of files that have been read."""
    file = sources.shown(sources.main)
    places = Places(file)
    switch = _convert(sources.texts[sources.main], file, SwitchFile, places, 0)
    routes: list[Any] = []
    for name in sources.names("routes"):
        text, shown = sources.texts[name], sources.shown(name)
        routes += _convert(text, shown, RouteFile, places, len(routes)).routes

    base = Path(sources.base)
    settings = Settings(
        file=file,
        digest=sources.digest,
        sources=sources,
        node=msgspec.structs.replace(switch.node, data_dir=str(base / switch.node.data_dir)),
        keys=msgspec.structs.replace(
            switch.keys,
            file=str(base / switch.keys.file),
            sealing_key_file=_sealing_path(base, switch.keys.sealing_key_file),
            link_keys_file=str(base / switch.keys.link_keys_file),
        ),
        journal=switch.journal,
        limits=switch.limits,
        metrics=switch.metrics,
        tokens=_token_paths(base, switch.tokens),
        terminals=_terminal_paths(base, switch.terminals),
        acquirers=tuple(_tls_paths(base, one) for one in switch.acquirers),
        issuers=tuple(_tls_paths(base, one) for one in switch.issuers),
        routes=tuple(routes),
        dialects={Path(name).stem: sources.shown(name) for name in sources.names("dialects")},
    )
    return settings, places


def _sealing_path(base: Path, name: str) -> str:
    return name if name.startswith("fd:") else str(base / name)


def _terminal_paths(base: Path, terminals: TerminalSettings | None) -> TerminalSettings | None:
    if terminals is None:
        return None
    return msgspec.structs.replace(terminals, file=str(base / terminals.file))


def _token_paths(base: Path, tokens: TokenSettings | None) -> TokenSettings | None:
    if tokens is None:
        return None
    return msgspec.structs.replace(
        tokens,
        vault_file=str(base / tokens.vault_file),
        index_dir=str(base / tokens.index_dir),
        card_masters_file=str(base / tokens.card_masters_file),
    )


def _tls_paths(base: Path, member: Member) -> Member:
    tls: Tls | None = member.tls
    if tls is None:
        return member
    absolute = msgspec.structs.replace(
        tls,
        certificate=str(base / tls.certificate),
        key=_sealing_path(base, tls.key),
        ca=str(base / tls.ca),
    )
    return msgspec.structs.replace(member, tls=absolute)


def _convert(text: str, file: str, schema: type[T], places: Places, renumber: int) -> T:
    try:
        values, positions = codec.parse_toml(text)
    except TomlError as error:
        raise TomlError(
            error.problem, file=file, line=error.line, column=error.column, help=error.help
        ) from None
    own = Places(file)
    own.enter(file, positions)
    _refuse_unknown(values, msgspec.inspect.type_info(schema), "", own)
    try:
        converted = msgspec.convert(values, schema, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(error, schema, own) from None
    places.enter(file, positions, renumber)
    return converted


def _refuse_unknown(values: Any, info: msgspec.inspect.Type, path: str, places: Places) -> None:
    """Unknown keys come first: a misspelt key explains the one that seems to be missing."""
    match info:
        case msgspec.inspect.Metadata(type=inner):
            _refuse_unknown(values, inner, path, places)
        case msgspec.inspect.UnionType(types=types):
            _refuse_unknown(values, table_of(types), path, places)
        case msgspec.inspect.StructType(fields=fields) if isinstance(values, dict):
            known = {field.encode_name: field.type for field in fields}
            for key, value in values.items():
                dotted = f"{path}.{key}" if path else key
                if key not in known:
                    raise _unknown(key, dotted, path, sorted(known), places)
                _refuse_unknown(value, known[key], dotted, places)
        case msgspec.inspect.VarTupleType(item_type=item) if isinstance(values, list):
            for index, value in enumerate(values):
                _refuse_unknown(value, item, f"{path}.{index}", places)
        case _:
            pass


def _unknown(key: str, dotted: str, path: str, known: list[str], places: Places) -> SettingsError:
    place = places.find(dotted)
    table = re.sub(r"\.\d+$", "", path) or "the file"
    return SettingsError(
        f'unknown key "{key}" in {table}',
        file=place.file,
        line=place.line,
        column=place.column,
        key=dotted,
        help=suggest(key, known),
    )


def _explained(
    error: msgspec.ValidationError, schema: type[msgspec.Struct], places: Places
) -> SettingsError:
    """msgspec's "Expected `int`, got `str` - at `$.limits.frame_bytes_max`" with the place."""
    text, _, where = str(error).partition(" - at `$")
    key = re.sub(r"\[(\d+)\]", r".\1", where.rstrip("`")).lstrip(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", text)
    if missing:
        table = f"[{re.sub(r'[.][0-9]+$', '', key)}]" if key else "the file"
        text = f'key "{missing[1]}" is missing in {table}'
    place = places.find(key)
    return SettingsError(
        text[:1].lower() + text[1:],
        file=place.file,
        line=place.line,
        column=place.column,
        key=key,
        help=description(schema, f"{key}.{missing[1]}" if missing and key else key),
    )


def description(schema: type[msgspec.Struct], key: str) -> str:
    """The description of a dotted key, '' when there is none."""
    info: msgspec.inspect.Type = msgspec.inspect.type_info(schema)
    description = ""
    for part in key.split("."):
        while isinstance(info, msgspec.inspect.Metadata):
            info = info.type
        if isinstance(info, msgspec.inspect.UnionType):
            info = table_of(info.types)
        if isinstance(info, msgspec.inspect.VarTupleType):
            info = info.item_type
            continue
        if not isinstance(info, msgspec.inspect.StructType):
            break
        field = next((f for f in info.fields if f.encode_name == part), None)
        if field is None:
            return ""
        info = field.type
        description = ""
        if isinstance(info, msgspec.inspect.Metadata):
            description = (info.extra_json_schema or {}).get("description", "")
    return description
