"""`tapswitch check`: what would fail at run time, before it does.

Runs the cross rules of settings/check, then those that need more than settings: dialects compile
and have the legs that their institutions need, keys can be opened and are no demo keys on an
address that others reach, certificates are fit and do not end soon, the data directory can be
written.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from switch.control.check_secrets import check_secrets
from switch.control.check_stand_in import check_stand_in
from switch.control.check_tls import check_certificates
from switch.crypto.keyfile import Keys, keys_absent, open_keys
from switch.crypto.links import Parameters, link_guard, open_link_keys
from switch.crypto.masters import Usage, open_masters, rows
from switch.crypto.terminals import open_registry, terminal_rows
from switch.errors import DialectError, KeyFileError, OperatorError, UsageError
from switch.settings.check import Finding, check_settings, is_loopback
from switch.settings.load import Places, load_placed
from switch.settings.schema import Acquirer, Settings
from switch.wire import Dialect

__all__ = ["Placed", "check_node", "check_placed"]

ACQUIRER_LEGS: Final[tuple[str, ...]] = ("answer", "reversal_answer", "network", "network_answer")
TERMINAL_LEGS: Final = ("answer", "reversal_answer", "network_answer")
"""Of an acquirer whose terminals sign on by themselves: its link says nothing on its own."""
ISSUER_LEGS: Final[tuple[str, ...]] = (
    "request",
    "reversal",
    "advice",
    "network",
    "network_answer",
)
TOKEN_LEGS: Final = ("tap",)
"""Of an issuer, on a node with tokens."""


class Placed(msgspec.Struct, frozen=True):
    """A finding and where to mend it; line and column from 1, 0 when there is none."""

    finding: Finding
    file: str
    line: int
    column: int


def check_node(path: str | Path) -> list[Placed]:
    """All findings of a configuration directory or settings file, errors and warnings.

    Raises: SettingsError, TomlError when the settings cannot be read at all.
    """
    settings, places = load_placed(path)
    return check_placed(settings, places)


def check_placed(settings: Settings, places: Places) -> list[Placed]:
    """As `check_node`, for settings that are loaded already."""
    placed = [_place(finding, places) for finding in check_settings(settings)]
    compiled: dict[str, Dialect] = {}
    for name, file in settings.dialects.items():
        try:
            compiled[name] = Dialect.compile(settings.dialect_text(name), file)
        except DialectError as error:
            placed.append(_from_error("dialects", error))
    findings = [
        *_legs(settings, compiled),
        *_sealable(settings, compiled),
        *_keys(settings),
        *check_secrets(settings),
        *check_certificates(settings),
        *check_stand_in(settings, compiled),
        *_storage(settings),
    ]
    return placed + [_place(finding, places) for finding in findings]


def _place(finding: Finding, places: Places) -> Placed:
    place = places.find(finding.key)
    return Placed(finding, place.file, place.line, place.column)


def _from_error(rule: str, error: OperatorError) -> Placed:
    finding = Finding("error", rule, error.key, error.problem, error.help)
    return Placed(finding, error.file, error.line, error.column)


def _is_asked(acquirer: Acquirer) -> bool:
    """We ask it whether it is there: then its dialect must be able to say so."""
    return bool(acquirer.echo_idle_s) and not _of_terminals(acquirer)


def _legs(settings: Settings, compiled: dict[str, Dialect]) -> Iterator[Finding]:
    members = [
        (f"acquirers.{i}", a.dialect, ACQUIRER_LEGS if _is_asked(a) else TERMINAL_LEGS)
        for i, a in enumerate(settings.acquirers)
    ]
    issuer_legs = ISSUER_LEGS + (TOKEN_LEGS if settings.tokens else ())
    members += [(f"issuers.{i}", b.dialect, issuer_legs) for i, b in enumerate(settings.issuers)]
    for key, name, legs in members:
        dialect = compiled.get(name)
        for leg in legs if dialect else ():
            assert dialect is not None
            try:
                dialect.leg(leg)
            except (DialectError, UsageError):
                yield Finding(
                    "error",
                    "dialects",
                    f"{key}.dialect",
                    f'dialect "{name}" has no leg "{leg}"',
                    f"add [legs.{leg}] to {settings.dialects[name]}",
                )


def _of_terminals(acquirer: Acquirer) -> bool:
    return acquirer.mac is not None and acquirer.mac.keys == "terminal"


def _exposed(settings: Settings) -> list[tuple[str, str]]:
    """(dotted key, address) of every address on which somebody else can reach us or we them."""
    addresses = settings.listens()
    for i, bank in enumerate(settings.issuers):
        addresses += [(f"issuers.{i}.addresses.{j}", a) for j, a in enumerate(bank.addresses)]
    exposed = []
    for key, address in addresses:
        try:
            if not is_loopback(address):
                exposed.append((key, address))
        except ValueError:
            continue  # the rule "addresses" has said so
    return exposed


def _keys(settings: Settings) -> Iterator[Finding]:
    exposed = _exposed(settings)
    where = f"{exposed[0][1]} ({exposed[0][0]}) is not loopback" if exposed else ""
    keys = settings.keys
    if keys_absent(keys.file, keys.sealing_key_file):
        if exposed:
            yield Finding(
                "error", "keys", "keys.file", f"there are no keys yet, and {where}", _MAKE_KEYS
            )
        else:
            yield Finding(
                "warning",
                "keys",
                "keys.file",
                "there are no keys yet: DEMO keys will be made at the first start",
                "good for loopback only",
            )
        return
    try:
        opened = open_keys(keys.file, keys.sealing_key_file)
    except KeyFileError as error:
        key = "keys.file" if error.file == keys.file else "keys.sealing_key_file"
        yield Finding("error", "keys", key, error.problem, error.help)
        return
    if opened.demo and exposed:
        yield Finding("error", "keys", "keys.file", f"these are DEMO keys, and {where}", _MAKE_KEYS)
    yield from _masters(settings, opened)
    yield from _link_keys(settings, opened)
    yield from _registry(settings, opened)


def _masters(settings: Settings, keys: Keys) -> Iterator[Finding]:
    """Every range of tokens has a key that proves its taps."""
    tokens = settings.tokens
    if tokens is None:
        return
    key = "tokens.card_masters_file"
    if keys.demo and not Path(tokens.card_masters_file).exists():
        problem = "there are no card master keys yet: DEMO ones will be made at the first start"
        yield Finding("warning", "card_masters", key, problem)
        return
    try:
        found = rows(open_masters(tokens.card_masters_file, keys))
    except KeyFileError as error:
        yield Finding("error", "card_masters", key, error.problem, error.help)
        return
    used = [row.prefix for row in found if row.usage is Usage.CRYPTOGRAM and not row.retired_s]
    for i, one in enumerate(tokens.ranges):
        if not any(one.prefix.startswith(p) or p.startswith(one.prefix) for p in used):
            yield Finding(
                "warning",
                "card_masters",
                f"tokens.ranges.{i}.prefix",
                f"no card master key in use is for tokens {one.prefix}: their taps are declined",
                "tapswitch keys card-master add",
            )


def _link_keys(settings: Settings, keys: Keys) -> Iterator[Finding]:
    """Every link with message codes has the key that its table names, of its cipher."""
    macs = {name: (key, mac) for name, (key, mac) in settings.macs().items() if mac.keys == "link"}
    if not macs:
        return
    try:
        opened = open_link_keys(settings.keys.link_keys_file, keys)
    except KeyFileError as error:
        help_ = error.help or "tapswitch keys link add NAME"
        yield Finding("error", "mac", "keys.link_keys_file", error.problem, help_)
        return
    for key, mac in macs.values():
        parameters = Parameters(mac.algorithm, mac.cipher, mac.chain, mac.form, mac.code_bytes)
        try:
            link_guard(parameters, opened, mac.key)
        except (KeyFileError, UsageError) as error:
            problem = error.problem if isinstance(error, KeyFileError) else str(error)
            help_ = error.help if isinstance(error, KeyFileError) else ""
            yield Finding("error", "mac", f"{key}.key", problem, help_)


def _registry(settings: Settings, keys: Keys) -> Iterator[Finding]:
    """The registry opens, and every acquirer of terminals has some."""
    if settings.terminals is None:
        return
    file = settings.terminals.file
    wanting = {a.id: i for i, a in enumerate(settings.acquirers) if _of_terminals(a)}
    if Path(file).exists():
        try:
            for row in terminal_rows(open_registry(file, keys)):
                wanting.pop(row.acquirer, None)
        except KeyFileError as error:
            yield Finding("error", "mac", "terminals.file", error.problem, error.help)
            return
    for name, i in wanting.items():
        problem = f"{name} has no terminals yet: whoever signs on is answered 97"
        help_ = "tapswitch terminal add, or import"
        yield Finding("warning", "mac", f"acquirers.{i}.mac.keys", problem, help_)


def _sealable(settings: Settings, compiled: dict[str, Dialect]) -> Iterator[Finding]:
    """A link with message codes speaks a dialect that says where they stand."""
    dialects = {a.id: a.dialect for a in settings.acquirers}
    dialects |= {b.id: b.dialect for b in settings.issuers}
    for name, (key, _) in settings.macs().items():
        dialect = compiled.get(dialects[name])
        if dialect is not None and not dialect.sealable:
            yield Finding(
                "error",
                "mac",
                key,
                f'dialect "{dialect.name}" does not say which messages carry a code',
                f"add [mac] to {settings.dialects[dialect.name]}",
            )


_MAKE_KEYS: Final = "make real ones: tapswitch keys create"


def _storage(settings: Settings) -> Iterator[Finding]:
    directory = Path(settings.node.data_dir)
    existing = next(p for p in (directory, *directory.parents) if p.exists())
    if not existing.is_dir():
        yield Finding("error", "storage", "node.data_dir", f"{existing} is not a directory")
        return
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Finding("error", "storage", "node.data_dir", f"{existing} cannot be written by us")
        return
    status = os.statvfs(existing)
    free_mib = status.f_bavail * status.f_frsize >> 20
    wanted_mib = 3 * settings.journal.segment_mib
    if free_mib < wanted_mib:
        # A node that goes on with a journal waits for room by itself; refusing would help nobody.
        goes_on = any((directory / "journal").glob("*/*.seg"))
        yield Finding(
            "warning" if goes_on else "error",
            "storage",
            "node.data_dir",
            f"{free_mib} MiB are free, the journal needs {wanted_mib} MiB to start",
            "three segments: the current one, the next, and one that a checkpoint frees",
        )
