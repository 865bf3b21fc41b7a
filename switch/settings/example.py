"""The example settings file, generated from the schema: each key with meaning, limits, default.

`scripts/generate` writes config/switch.example.toml from it; a test fails when the file is stale.
"""

import textwrap
from typing import Any, Final

import msgspec

from switch.settings.schema import SwitchFile

__all__ = ["example_text", "table_of", "toml"]

HEADER: Final = """\
# Settings of a tapswitch node. Generated from switch/settings/schema.py by scripts/generate.
#
# Copy it to DIR/switch.toml, with dialects/ and routes/ beside it, and run `tapswitch check DIR`.
# A key that is commented out shows its default. Unknown keys are refused. A table that may be
# absent stands as #[table] with examples of its keys.
# Paths are relative to this file. ms, s, h and MiB are in the names of the keys.
"""

CHOSEN: Final[dict[str, list[dict[str, Any]]]] = {
    "node": [{"institution_code": "00000062990"}],
    "keys": [{}],
    "journal": [{}],
    "limits": [{}],
    "metrics": [{}],
    "tokens": [{"ranges": [{"prefix": "629977", "length": 16}]}],
    "terminals": [{}],
    "acquirers": [
        {"id": "ACQ01", "institution_code": "00000010001", "listen": "127.0.0.1:4001"},
        {"id": "ACQ02", "institution_code": "00000010002", "listen": "127.0.0.1:4002"},
    ],
    "issuers": [
        {
            "id": "BANK01",
            "institution_code": "00000020001",
            "mode": "dial",
            "addresses": ["127.0.0.1:5001", "127.0.0.1:5002"],
        },
        {
            "id": "BANK02",
            "institution_code": "00000020002",
            "mode": "accept",
            "listen": "127.0.0.1:4102",
        },
        {
            "id": "BANK03",
            "institution_code": "00000020003",
            "mode": "dial",
            "addresses": ["127.0.0.1:5003"],
        },
    ],
}
"""Values of the example, per table; the first element of a list of tables explains every key."""


OPTIONAL: Final[dict[str, dict[str, Any]]] = {
    "tls": {
        "certificate": "tls/switch.pem",
        "key": "tls/switch.key",
        "ca": "tls/peer-ca.pem",
        "names": ["host.peer.example"],
    },
    "mac": {
        "algorithm": "x9.19",
        "keys": "link",
        "key": "bank01",
        "cipher": "3des",
        "key_bytes": 16,
        "chain": "retail",
        "form": "binary",
        "code_bytes": 8,
    },
    "circuit": {
        "failed_share_max": 60,
        "failures_min": 20,
        "window_ms": 10_000,
        "unreachable_ms": 3_000,
        "pause_min_ms": 2_000,
        "pause_max_ms": 60_000,
        "probes": 8,
    },
    "saf": {
        "in_flight_max": 64,
        "per_s": 500,
        "horizon_h": 72,
    },
    "stand_in": {
        "name": "transit",
        "when": ["unreachable", "circuit", "timeout"],
        "cards": ["token"],
        "kinds": ["purchase"],
        "prefixes": ["6299"],
        "mccs": ["4111", "4131"],
        "processing_codes": ["00"],
        "entry_modes": ["07"],
        "currency": "156",
        "amount_minor_max": 2_000,
        "count_max": 10,
        "sum_minor_max": 6_000,
        "bank_sum_minor_max": 50_000_000,
    },
}
"""Values of tables that may be absent from the table around them."""


def example_text() -> str:
    """The whole file."""
    parts = [HEADER]
    info = msgspec.inspect.type_info(SwitchFile)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        struct, many = _table(field.type)
        head = f"[[{field.encode_name}]]\n" if many else f"[{field.encode_name}]\n"
        meaning = _comment(struct.cls.__doc__ or "")
        for index, chosen in enumerate(CHOSEN[field.encode_name]):
            keys = _keys(struct, chosen, explain=index == 0)
            if index == 0:
                keys += "".join(_optional(field.encode_name, one) for one in struct.fields)
            parts.append((meaning if index == 0 else "") + head + keys)
    return "\n".join(parts)


def _table(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.StructType, bool]:
    """The Struct of a table, and whether it may stand several times."""
    match _unwrapped(kind):
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.StructType() as struct):
            return struct, True
        case msgspec.inspect.StructType() as struct:
            return struct, False
        case msgspec.inspect.UnionType(types=types):
            return _table(table_of(types))
        case other:
            raise TypeError(f"a table of the settings cannot be {other}")


def table_of(types: tuple[msgspec.inspect.Type, ...]) -> msgspec.inspect.Type:
    """Of a table that may be absent, the table."""
    return next(one for one in types if not isinstance(one, msgspec.inspect.NoneType))


def _optional(outer: str, field: msgspec.inspect.Field) -> str:
    """A table inside a table, commented out; '' for a field that is none."""
    if not _is_table(field):
        return ""
    struct, many = _table(field.type)
    name = field.encode_name
    head = f"#[[{outer}.{name}]]\n" if many else f"#[{outer}.{name}]\n"
    lines = ["#\n", _comment(struct.cls.__doc__ or ""), head]
    for key in struct.fields:
        lines.append(_comment(_explanation(key)))
        lines.append(f"#{key.encode_name} = {toml(OPTIONAL[name][key.encode_name])}\n")
    return "".join(lines)


def _is_table(field: msgspec.inspect.Field) -> bool:
    match _unwrapped(field.type):
        case msgspec.inspect.UnionType(types=types):
            return isinstance(table_of(types), msgspec.inspect.StructType)
        case msgspec.inspect.VarTupleType(item_type=msgspec.inspect.StructType()):
            return not field.required
        case _:
            return False


def _keys(struct: msgspec.inspect.StructType, chosen: dict[str, Any], *, explain: bool) -> str:
    lines = []
    for field in struct.fields:
        name = field.encode_name
        if _is_table(field):
            continue
        if explain:
            lines.append(_comment(_explanation(field)))
        if name in chosen:
            lines.append(f"{name} = {toml(chosen[name])}\n")
        elif explain:
            lines.append(f"# {name} = {toml(field.default)}\n")
    return "".join(lines)


def _explanation(field: msgspec.inspect.Field) -> str:
    description = ""
    if isinstance(field.type, msgspec.inspect.Metadata):
        description = (field.type.extra_json_schema or {}).get("description", "")
    limits = _limits(_unwrapped(field.type))
    return f"{description} {limits}".strip()


def _limits(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.IntType(ge=int() as low, le=int() as high):
            return f"({low} to {high})"
        case msgspec.inspect.LiteralType(values=values):
            return f"({' | '.join(toml(value) for value in values)})"
        case _:
            return ""


def _unwrapped(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    return kind


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(" ".join(text.split()), 96))


def toml(value: Any) -> str:
    """A value as a settings file would have it."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(element) for element in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower()
