"""What differs between two configurations, and what a reload must do about each key.

Pure: two `Settings` in, a list of changes out. Members, routes and ranges are told apart by their
ids, not by their place in the file, so that moving a table changes nothing. `tapswitch config diff`
prints the list; `tapswitch reload` follows it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from switch.settings.effect import EFFECTS, Effect
from switch.settings.example import toml
from switch.settings.schema import Acquirer, Issuer, Settings
from switch.settings.sources import meaning

__all__ = ["Change", "bounced", "compare", "flat", "restarts"]

TABLES: Final = (
    "node",
    "keys",
    "journal",
    "limits",
    "metrics",
    "tokens",
    "acquirers",
    "issuers",
    "routes",
)
_ORDER: Final = {effect: number for number, effect in enumerate(reversed(Effect))}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One key that differs."""

    key: str
    """Dotted, elements of lists by id: ``acquirers.ACQ01.timeout_ms``."""
    effect: Effect
    before: str = ""
    """As TOML; empty when the key, or its whole table, was not there."""
    after: str = ""
    bounces: tuple[str, ...] = ()
    """Members whose connections are made anew."""
    note: str = ""
    """What follows from it, where that is not plain."""
    at: str = ""
    """Dotted, elements by number: where it stands in the new files, or stood in the old ones."""
    removed: bool = False
    """`at` is a place in the old files."""


class Value(msgspec.Struct, frozen=True):
    """One key of a configuration, flattened."""

    key: str
    row: str
    """Its row in `EFFECTS`."""
    at: str
    value: Any


def compare(old: Settings, new: Settings) -> list[Change]:
    """Every difference, what disturbs most first; empty when nothing of meaning differs."""
    changes = [*_keys(old, new), *_dialects(old, new)]
    return sorted(changes, key=lambda change: _ORDER[change.effect])


def restarts(changes: Iterable[Change]) -> list[Change]:
    """Those that a reload refuses."""
    return [change for change in changes if change.effect is Effect.RESTART]


def bounced(changes: Iterable[Change]) -> list[str]:
    """Members whose links are bounced, each once."""
    return list(dict.fromkeys(name for change in changes for name in change.bounces))


def flat(settings: Settings) -> Iterator[Value]:
    """Every key in the order of the schema, tables before their keys; defaults too, no dialects."""
    for table in TABLES:
        value = getattr(settings, table)
        if isinstance(value, tuple):
            yield from _elements(value, table, table, table)
            continue
        yield Value(table, table, table, value)
        if value is not None:
            yield from _table(value, table, table, table)


def _table(struct: msgspec.Struct, key: str, row: str, at: str) -> Iterator[Value]:
    # Plain keys first, as TOML wants them.
    for name in sorted(struct.__struct_fields__, key=lambda name: _nested(getattr(struct, name))):
        value = getattr(struct, name)
        path = (f"{key}.{name}", f"{row}.{name}", f"{at}.{name}")
        if isinstance(value, msgspec.Struct):
            yield Value(*path, value)
            yield from _table(value, *path)
        elif value == () and f"{path[1]}.*" in EFFECTS:
            continue  # a list of tables without any
        elif _nested(value):
            yield from _elements(value, *path)
        else:
            yield Value(*path, value)


def _nested(value: Any) -> bool:
    """A table, or a list of tables."""
    if isinstance(value, tuple):
        return bool(value) and isinstance(value[0], msgspec.Struct)
    return isinstance(value, msgspec.Struct)


def _elements(values: Iterable[Any], key: str, row: str, at: str) -> Iterator[Value]:
    """Elements of a list of tables, by id. A second one of the same id is told by its number."""
    seen: set[str] = set()
    for number, element in enumerate(values):
        name = _name(element, number)
        name = f"{name}#{number}" if name in seen else name
        seen.add(name)
        path = (f"{key}.{name}", f"{row}.*", f"{at}.{number}")
        yield Value(*path, element)
        yield from _table(element, *path)


def _name(element: Any, number: int) -> str:
    for field in ("id", "prefix", "name"):
        if hasattr(element, field):
            return str(getattr(element, field))
    return str(number)


def _keys(old: Settings, new: Settings) -> Iterator[Change]:
    before = {value.key: value for value in flat(old)}
    after = {value.key: value for value in flat(new)}
    whole: set[str] = set()
    """Tables that are new or gone: one change speaks for all their keys."""
    for key in dict.fromkeys([*after, *before]):
        if _covered(key, whole):
            continue
        one, other = _there(before.get(key)), _there(after.get(key))
        if one is None or other is None:
            whole.add(key)
            if one is not other:
                yield _came_or_went(one, other, old, new)
        elif not isinstance(other.value, msgspec.Struct) and one.value != other.value:
            yield _changed(one, other, old, new)


def _there(value: Value | None) -> Value | None:
    """A table that may be absent, and is, is not there."""
    return None if value is None or value.value is None else value


def _covered(key: str, whole: set[str]) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:n]) in whole for n in range(1, len(parts)))


def _came_or_went(one: Value | None, other: Value | None, old: Settings, new: Settings) -> Change:
    value = one or other
    assert value is not None
    note = ""
    table = value.row.partition(".")[0]
    if value.row in {"acquirers.*", "issuers.*"}:
        note = (
            "a new member: its link opens"
            if one is None
            else "drained: what is in flight is finished, then its links close"
        )
        if one is not None and table == "issuers":
            note += "; reversals owed to it stay owed"
    effect = EFFECTS[value.row]
    return Change(
        key=value.key,
        effect=effect,
        bounces=_bounced(value.key, old, new) if effect is Effect.BOUNCE else (),
        before=_shown(one),
        after=_shown(other),
        note=note,
        at=value.at,
        removed=other is None,
    )


def _shown(value: Value | None) -> str:
    if value is None:
        return ""
    return _summary(value.value) if isinstance(value.value, msgspec.Struct) else toml(value.value)


def _summary(element: msgspec.Struct) -> str:
    """A table in one line: what tells it from its neighbours."""
    fields = ("issuer", "length", "dialect", "mode", "listen", "addresses")
    shown = {name: getattr(element, name) for name in fields if getattr(element, name, "")}
    return toml(shown) if shown else "set"


def _changed(one: Value, other: Value, old: Settings, new: Settings) -> Change:
    effect = EFFECTS[other.row]
    bounces: tuple[str, ...] = ()
    note = ""
    if effect is Effect.BOUNCE:
        bounces = _bounced(other.key, old, new)
        if _moot(other.key, old, new):
            effect, bounces, note = Effect.LIVE, (), "has no effect in this mode"
        elif not bounces:
            effect = Effect.LIVE
    return Change(
        key=other.key,
        effect=effect,
        before=toml(one.value),
        after=toml(other.value),
        bounces=bounces,
        note=note,
        at=other.at,
    )


def _bounced(key: str, old: Settings, new: Settings) -> tuple[str, ...]:
    """Whose links a changed key bounces: its member's; all that stay, for a key of the node."""
    table, _, rest = key.partition(".")
    if table in {"acquirers", "issuers"}:
        return (rest.partition(".")[0],)
    return _staying(old, new)


def _staying(old: Settings, new: Settings) -> tuple[str, ...]:
    acquirers = {one.id for one in old.acquirers}
    issuers = {one.id for one in old.issuers}
    return (
        *(one.id for one in new.acquirers if one.id in acquirers),
        *(one.id for one in new.issuers if one.id in issuers),
    )


def _moot(key: str, old: Settings, new: Settings) -> bool:
    """A key of the other mode of a bank's link, and the cap on connections that a bank makes."""
    table, name, field = (*key.split("."), "", "")[:3]
    if table != "issuers":
        return False
    modes = {bank.mode for settings in (old, new) for bank in settings.issuers if bank.id == name}
    if field == "listen":
        return modes == {"dial"}
    return field in {"addresses", "connections"} and modes == {"accept"}


def _dialects(old: Settings, new: Settings) -> Iterator[Change]:
    for name in dict.fromkeys([*new.dialects, *old.dialects]):
        key = f"dialects.{name}"
        before = old.dialect_text(name) if name in old.dialects else None
        after = new.dialect_text(name) if name in new.dialects else None
        if before == after:
            continue
        if before is None or after is None:
            yield Change(
                key=key,
                effect=Effect.LIVE,
                before="" if before is None else "there",
                after="" if after is None else "there",
                note="who speaks it is said by the members",
                at=key,
                removed=after is None,
            )
            continue
        same = meaning(before) == meaning(after)
        bounces = () if same else _speakers(name, old, new)
        note = "in other words only" if same else "requests in flight keep the old one"
        yield Change(
            key=key,
            effect=Effect.BOUNCE if bounces else Effect.LIVE,
            before="there",
            after="other words" if same else "changed",
            bounces=bounces,
            note=note if same or bounces else "no link speaks it",
            at=key,
        )


def _speakers(name: str, old: Settings, new: Settings) -> tuple[str, ...]:
    """Members that speak a dialect before and after."""
    spoken = _spoken(old)
    return tuple(
        member
        for member, dialect in _spoken(new).items()
        if dialect == name and spoken.get(member) == name
    )


def _spoken(settings: Settings) -> Mapping[str, str]:
    members: list[Acquirer | Issuer] = [*settings.acquirers, *settings.issuers]
    return {one.id: one.dialect for one in members}
