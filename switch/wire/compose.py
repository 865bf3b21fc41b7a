"""Messages that people write down, to bytes: ``name=value``, TOML, or the JSON that decode gives.

A field is named by its canonical name (``pan``) or number (``2``), a sub-field or tag behind a dot
(``original_data.stan``, ``60.1``, ``55.9F26``); ``mti`` or ``0`` is the message type. What is
written is test data: card numbers are of 6299xx, anything else is refused.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from switch.errors import CaptureError, EncodeError, UsageError
from switch.native import codec, describe
from switch.wire import Dialect
from switch.wire.anatomy import SCHEMA
from switch.wire.source import Source

__all__ = ["Composed", "compose", "from_json", "from_pairs", "from_text", "from_toml", "unframed"]


class Composed(NamedTuple):
    """A message in names and values."""

    mti: str
    values: dict[str, str]
    header: dict[str, str]
    """Digits of TPDU and header by part, where the dialect has them."""


def from_text(dialect: Dialect, text: str, name: str) -> list[Composed]:
    """The messages of a file: JSON of decode, TOML, or lines of ``name=value``.

    Raises CaptureError: it is none of them, or a value in it is hidden.
    """
    if text.lstrip().startswith("{"):
        return from_json(dialect, text, name)
    lines = [x for line in text.splitlines() if (x := line.strip()) and not x.startswith("#")]
    quoted = any(x.startswith("[") or ("=" in x and x[-1] in "\"'}") for x in lines)
    return [from_toml(dialect, text, name) if quoted else from_pairs(dialect, lines)]


def from_json(dialect: Dialect, text: str, name: str) -> list[Composed]:
    """The messages of ``decode -o json``. Raises CaptureError for a value that is hidden there."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        raise CaptureError(f"{name} is not JSON: {error}") from error
    if not isinstance(whole, dict) or whole.get("schema") != SCHEMA:
        raise CaptureError(f"{name} is not what `tapswitch decode -o json` gives ({SCHEMA})")
    return [_from_frame(dialect, frame, name) for frame in whole["frames"]]


def _from_frame(dialect: Dialect, frame: dict[str, Any], name: str) -> Composed:
    values: dict[str, str] = {}
    whole: set[str] = set()
    hidden: list[str] = []
    for row in frame["fields"]:
        field, _, part = row["number"].partition(".")
        if field == "0" or field in whole:
            continue
        if not part and not row["hidden"]:
            whole.add(field)
            values[row["name"]] = row["value"]
        elif row["hidden"]:
            hidden.append(row["name"])
        else:
            values[row["name"]] = row["value"]
    # A field that is hidden as a whole is complete when all its parts are there.
    parts = {value.partition(".")[0] for value in values if "." in value}
    lost = [x for x in hidden if "." in x or x not in parts]
    if lost:
        raise CaptureError(
            f"{name}: {', '.join(lost)} is hidden there",
            help="decode test data (card numbers of 6299xx) with --unmask",
        )
    return Composed(frame["mti"], values, dict(frame.get("header", {})))


def from_pairs(dialect: Dialect, pairs: Iterable[str]) -> Composed:
    """``mti=0200 pan=6299… 4=000000001000 55.9F36=0001``. Raises CaptureError."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise CaptureError("a field is not of the form name=value")
        if key.strip() in values:
            raise CaptureError(f"{key.strip()} is given twice")
        values[key.strip()] = value.strip()
    return _named(dialect, values)


def from_toml(dialect: Dialect, text: str, name: str) -> Composed:
    """Keys as in `from_pairs`; sub-fields may stand in a table (``[icc]``), TPDU and header in
    ``[header]``. Raises CaptureError and TomlError."""
    values, _ = codec.parse_toml(text)
    fields = values.pop("fields", {})
    return _named(dialect, values | fields)


def _named(dialect: Dialect, values: Mapping[str, Any]) -> Composed:
    names = _names(dialect)
    mti, header = "", {}
    found: dict[str, str] = {}
    for key, value in values.items():
        if key in {"mti", "0"}:
            mti = str(value)
        elif key == "header" and isinstance(value, dict):
            header = dict(_flat(value))
        elif key.startswith(("tpdu.", "header.")):
            header[key] = str(value)
        elif isinstance(value, dict):
            for part, text in _flat(value):
                found[_name(names, f"{key}.{part}")] = text
        else:
            found[_name(names, key)] = str(value)
    if not mti:
        raise CaptureError("the message has no type", help='give mti = "0200"')
    return Composed(mti, found, header)


def _flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            out += _flat(value, f"{before}{key}.")
        else:
            out.append((before + key, str(value)))
    return out


def _names(dialect: Dialect) -> dict[str, str]:
    """Canonical name by number, sub-fields too."""
    return {row["number"]: row["name"] for row in dialect.fields()}


def _name(names: Mapping[str, str], key: str) -> str:
    """The canonical name of a key that a person wrote."""
    if key in names:
        return names[key]
    field, dot, part = key.partition(".")
    return names.get(field, field) + dot + part


def compose(dialect: Dialect, message: Composed) -> bytes:
    """The framed message.

    Raises CaptureError: a value does not fit its field, or a card number is not of the test range.
    """
    frame = _encode(dialect, message)
    why = describe.not_bare(dialect.decode_frame(frame))
    if why and not why.startswith("no account number"):
        raise CaptureError(f"not written: {why}", help="encode writes test messages only")
    return frame


def unframed(source: Source, frame: bytes) -> bytes:
    """The body of a frame: without length, TPDU and header."""
    length = describe.length(source.framing, frame)
    assert length is not None, "our own frame has its length"
    return frame[length[0] + source.preface_bytes :]


def _encode(dialect: Dialect, message: Composed) -> bytes:
    try:
        return dialect.encode(message.mti, message.values, message.header)
    except EncodeError as error:
        raise CaptureError(str(error), help=_help(dialect, error.path)) from error
    except UsageError as error:
        raise CaptureError(str(error)) from error


def _help(dialect: Dialect, path: str) -> str:
    """The nearest name that there is, for one that there is not."""
    from difflib import get_close_matches

    known = [row["name"] for row in dialect.fields()]
    near = get_close_matches(path, known, n=1, cutoff=0.6) if path not in known else []
    return f'did you mean "{near[0]}"?' if near else ""
