"""`tapswitch reload`: everything that can be found out before anything is changed.

A reload has two phases. This is the first: read all files once, check them as `tapswitch check`
does, compile the dialects, open the sealed keys, compare with what is in force. It changes nothing,
and may run on another thread. The second is apps/reload.py.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from switch.control.check import Placed, check_placed
from switch.control.check_tls import RUNS_ALL_THE_SAME
from switch.control.diff import Change, bounced, compare, restarts
from switch.control.order import Answer, Node, Order
from switch.crypto.keyfile import Keys, keys_absent, open_keys
from switch.crypto.masters import CardMasters, open_masters
from switch.errors import KeyFileError, ReloadError, SettingsError
from switch.settings.load import Place, Places, parse
from switch.settings.schema import Settings
from switch.settings.sources import meaning, read_sources
from switch.wire import Dialect

__all__ = ["ChangeShown", "Prepared", "Reload", "ReloadBySignal", "Reloaded", "perform", "prepare"]

STORAGE: Final = "storage"
"""The rule that asks whether there is room to start: a node that runs has started."""


class Reload(Order, frozen=True, kw_only=True, tag="reload"):
    """Answered by `Reloaded`."""

    within_s = 120.0
    dry_run: bool = False
    """Only say what would be done."""
    wait: bool = False
    """Answer when all links are replaced, not as soon as all rules are in force."""


class ReloadBySignal(Reload, frozen=True, kw_only=True, tag="reload"):
    """What SIGHUP stands for. Nobody can send it as an order."""


class ChangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """One key that differs; see `switch.control.diff.Change`."""

    key: str
    effect: str
    before: str
    after: str
    bounces: list[str]
    note: str
    file: str
    line: int


class Reloaded(Answer, frozen=True, kw_only=True, tag="reloaded"):
    """What a reload did, or would do."""

    before: str
    """Hash of the configuration in force before it."""
    after: str
    changes: list[ChangeShown]
    bounces: list[str]
    """Members whose links are made anew, one after the other."""
    warnings: list[str]
    dry_run: bool


async def perform(order: Reload, node: Node) -> Reloaded:
    """Refuses with the first fault of the files, and changes nothing then."""
    cause = "SIGHUP" if isinstance(order, ReloadBySignal) else "order"
    return await node.reload(dry_run=order.dry_run, wait=order.wait, cause=cause)


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that is good in itself and can take the place of the one in force."""

    settings: Settings
    places: Places
    changes: list[Change]
    dialects: dict[str, Dialect]
    """Compiled; those whose meaning has not changed are the ones in force."""
    masters: CardMasters | None
    """Card master keys, read anew; None without tokens."""
    warnings: list[str]

    @property
    def bounces(self) -> list[str]:
        """Members whose links are bounced."""
        return bounced(self.changes)

    def report(self, before: str, *, dry_run: bool = False) -> Reloaded:
        """As the operator is told."""
        return Reloaded(
            before=before,
            after=self.settings.digest,
            changes=[self._shown(change) for change in self.changes],
            bounces=self.bounces,
            warnings=self.warnings,
            dry_run=dry_run,
        )

    def _shown(self, change: Change) -> ChangeShown:
        place = Place("") if change.removed else self.places.find(change.at)
        return ChangeShown(
            key=change.key,
            effect=change.effect.name.lower(),
            before=change.before,
            after=change.after,
            bounces=list(change.bounces),
            note=change.note,
            file=place.file,
            line=place.line,
        )


def prepare(old: Settings, keys: Keys, compiled: Mapping[str, Dialect]) -> Prepared:
    """Reads and checks the files that the configuration in force came from.

    Args:
        old: what is in force.
        keys: those of the node, open.
        compiled: the dialects in force.

    Raises:
        OperatorError: the first fault, with file, line and key (SettingsError, TomlError,
            DialectError, KeyFileError).
        ReloadError: a key differs that needs a restart.
    """
    settings, places = parse(read_sources(old.sources.origin))
    changes = compare(old, settings)
    warnings = _refuse_faults(settings, places)
    _refuse_restarts(changes, places)
    _refuse_other_roles(old, settings, places)
    _refuse_other_keys(settings, keys)
    dialects = {
        name: compiled[name] if _unchanged(name, old, settings) else _compile(name, settings)
        for name in settings.dialects
    }
    masters = None
    if settings.tokens is not None:
        masters = open_masters(settings.tokens.card_masters_file, keys)
    return Prepared(
        settings=settings,
        places=places,
        changes=changes,
        dialects=dialects,
        masters=masters,
        warnings=warnings,
    )


def _refuse_restarts(changes: list[Change], places: Places) -> None:
    refused = restarts(changes)
    if not refused:
        return
    first, place = refused[0], places.find(refused[0].at)
    more = f" (and {len(refused) - 1} more such keys)" if len(refused) > 1 else ""
    raise ReloadError(
        f"{first.key} cannot change while the node runs{more}: {first.before or 'absent'} is in "
        "force; nothing was changed",
        file=place.file,
        line=place.line,
        column=place.column,
        key=first.at,
        help="put it back and reload the rest, or restart the node; tapswitch config diff lists "
        "all",
    )


def _refuse_other_roles(old: Settings, new: Settings, places: Places) -> None:
    """An id that was a bank's does not become an acquirer's under what it has in flight."""
    banks = {one.id for one in old.issuers}
    acquirers = {one.id for one in old.acquirers}
    crossed = [f"acquirers.{n}.id" for n, one in enumerate(new.acquirers) if one.id in banks]
    crossed += [f"issuers.{n}.id" for n, one in enumerate(new.issuers) if one.id in acquirers]
    if crossed:
        place = places.find(crossed[0])
        raise ReloadError(
            "an id cannot pass from an acquirer to a bank, or back, while the node runs; nothing "
            "was changed",
            file=place.file,
            line=place.line,
            column=place.column,
            key=crossed[0],
            help="give the new member an id of its own",
        )


def _refuse_other_keys(settings: Settings, keys: Keys) -> None:
    """A key file that was exchanged under a running node would leave its journal unreadable."""
    files = settings.keys
    if open_keys(files.file, files.sealing_key_file).check_values != keys.check_values:
        raise ReloadError(
            "the key file holds other keys than the node runs with; nothing was changed",
            file=files.file,
            key="keys.file",
            help="bring back the file that the node was started with",
        )


def _refuse_faults(settings: Settings, places: Places) -> list[str]:
    """Raises the first error; returns the warnings."""
    keys = settings.keys
    if keys_absent(keys.file, keys.sealing_key_file):
        place = places.find("keys.file")
        raise KeyFileError(
            f"the key files are gone: {keys.file}, {keys.sealing_key_file}",
            file=place.file,
            line=place.line,
            column=place.column,
            key="keys.file",
            help="the node runs on with what it has, and will not start again without them",
        )
    placed = [one for one in check_placed(settings, places) if one.finding.rule != STORAGE]
    errors = [
        one
        for one in placed
        if one.finding.severity == "error" and one.finding.rule not in RUNS_ALL_THE_SAME
    ]
    if errors:
        raise _fault(errors)
    return [one.finding.problem for one in placed]


def _fault(errors: list[Placed]) -> SettingsError:
    first = errors[0]
    more = f" (and {len(errors) - 1} more: tapswitch check)" if len(errors) > 1 else ""
    return SettingsError(
        f"{first.finding.problem}{more}; nothing was changed",
        file=first.file,
        line=first.line,
        column=first.column,
        key=first.finding.key,
        help=first.finding.help,
    )


def _unchanged(name: str, old: Settings, new: Settings) -> bool:
    return name in old.dialects and meaning(old.dialect_text(name)) == meaning(
        new.dialect_text(name)
    )


def _compile(name: str, settings: Settings) -> Dialect:
    return Dialect.compile(settings.dialect_text(name), settings.dialects[name])
