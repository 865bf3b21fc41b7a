"""The second phase of a reload: a configuration that was found good takes effect.

Whatever can fail comes first, and leaves everything as it is when it does: new listeners take their
addresses, the snapshot is written, the meter is drafted, and RECONFIGURED with the new hash is
durable. Then everything changes in one step between two ticks of the loop: no request sees half of
it. Afterwards, and as slowly as it needs, connections of older terms are replaced one by one, and
members that are none any more are drained.

What is in flight keeps its bank, its deadline, its business date and the dialects of its two
connections. A worker that is killed at any point comes back with the snapshot that stands then: the
old configuration whole, or the new one.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from switch.apps.links import Taken, dialled, terms_of
from switch.apps.rules import (
    Seal,
    acquirer_rules,
    circuit_of,
    health_of,
    issuer_rules,
    limits_of,
    new_acquirer,
    new_bank,
    remembered_s,
    routes_of,
    seals_of,
)
from switch.control.reload import Prepared, Reloaded, prepare
from switch.errors import OperatorError, ReloadError, TapswitchError
from switch.native import __version__
from switch.observe.catalogue import COMMIT_SERIES, Members
from switch.observe.metrics import Draft
from switch.runtime.clock import BusinessDay, wall_ms
from switch.runtime.turnover import Turnover
from switch.settings.schema import Acquirer, Issuer, Settings
from switch.settings.sources import in_force_file, put

if TYPE_CHECKING:
    from switch.apps.worker import Worker
    from switch.crypto.tls import Material

__all__ = ["Reloader"]

log = structlog.get_logger("config")

DURABLE_POLL_S: Final = 0.001
SWITCH_INTERVAL_S: Final = 0.0005
"""How long the first phase, on its own thread, may keep the interpreter from the loop at a time."""


class Reloader:
    """One per worker. One reload at a time; a further one waits for its turn."""

    def __init__(self, worker: "Worker", announce: Callable[[], None]) -> None:
        """`announce` tells the outside where members connect now."""
        self._worker = worker
        self._announce = announce
        self._lock = asyncio.Lock()
        self._generations: dict[str, int] = {}
        self._leaving: set[str] = set()
        self._closing: set[str] = set()
        self.turnover = Turnover(worker.driver, worker.links.stale)

    def stop(self) -> None:
        """The worker ends; its own drain sees to the connections."""
        self.turnover.stop()

    async def reload(
        self, *, dry_run: bool = False, wait: bool = False, cause: str = "order"
    ) -> Reloaded:
        """Brings the files that the configuration came from into force.

        Args:
            dry_run: only say what would be done.
            wait: return when all links are replaced, and not as soon as all rules are in force.
            cause: a word for log and journal.

        Raises:
            TapswitchError: nothing was changed; the reason is for an operator.
        """
        async with self._lock:
            try:
                done = await self._reload(dry_run, cause)
            except TapswitchError as error:
                if not dry_run:
                    self._worker.gauges.refused()
                    log.error("config.reload_refused", reason=str(error), cause=cause)  # noqa: TRY400
                raise
        if wait and not dry_run:
            await self.turnover.settled()
        return done

    async def _reload(self, dry_run: bool, cause: str) -> Reloaded:
        worker = self._worker
        before = worker.settings.digest
        with _short_turns():
            found = await asyncio.get_running_loop().run_in_executor(None, self._prepare)
        prepared = found.prepared
        # A key that was exchanged in its file bounces a link as well as a changed setting.
        bounces = list(dict.fromkeys([*prepared.bounces, *self._resealed(found)]))
        report = msgspec.structs.replace(prepared.report(before, dry_run=dry_run), bounces=bounces)
        if dry_run:
            return report
        opened = await self._listeners(prepared.settings)
        try:
            draft = self._draft(prepared.settings)
            await self._make_durable(prepared.settings, cause)
        except OSError as error:
            _close(opened)
            raise OperatorError(
                f"the new configuration cannot be kept: {error.strerror}; nothing was changed",
                file=str(error.filename or in_force_file(worker.settings.node.data_dir)),
                help="mend the file system",
            ) from None
        except BaseException:
            _close(opened)
            raise
        try:
            worker.metrics.succeed(draft)
            self._swap(found, bounces)
            await self._move(opened)
        except Exception as error:
            # Half of it is in force: the next worker takes up the snapshot, which is whole.
            worker.driver.fault(error)
            raise
        log.info(
            "config.reloaded",
            before=before,
            after=worker.settings.digest,
            changes=[change.key for change in prepared.changes],
            bounces=bounces,
            cause=cause,
        )
        return report

    def _prepare(self) -> "Found":
        """The first phase, on a thread of its own."""
        worker = self._worker
        prepared = prepare(worker.settings, worker.keys, worker.dialects)
        return Found(
            prepared,
            worker.certificates.prepare(prepared.settings),
            seals_of(prepared.settings, worker.keys, worker.terminals),
        )

    # --------------------------------------------------------------- what may fail: nothing yet

    async def _listeners(self, settings: Settings) -> dict[str, Taken]:
        """Takes the addresses that are new. Raises: SettingsError."""
        links = self._worker.links
        wanted = {one.id: one.listen for one in settings.acquirers}
        wanted |= {one.id: one.listen for one in settings.issuers if one.mode == "accept"}
        opened: dict[str, Taken] = {}
        try:
            for name, address in wanted.items():
                stands = links.servers.get(name)
                tls = name in settings.tls()
                if stands is None or stands.wanted != address or stands.tls != tls:
                    opened[name] = await self._take(name, address, wanted)
        except BaseException:
            _close(opened)
            raise
        return opened

    async def _take(self, name: str, address: str, wanted: dict[str, str]) -> Taken:
        """One address; where a member of ours listens there and gives it up, its very socket, so
        that nobody is turned away in between."""
        links = self._worker.links
        for other, stands in links.servers.items():
            freed = other == name or wanted.get(other) != address
            if freed and address in (stands.at, stands.wanted if other == name else ""):
                return stands.share(address)
        return await links.taken(name, address, self._worker.settings.sources.origin)

    def _draft(self, settings: Settings) -> Draft:
        return self._worker.metrics.draft(members_of(settings, self._worker.names))

    async def _make_durable(self, settings: Settings, cause: str) -> None:
        """The snapshot, and the record that says so. Raises: OSError, JournalError, ReloadError."""
        worker = self._worker
        loop = asyncio.get_running_loop()
        file = in_force_file(settings.node.data_dir)
        staged: Path = await loop.run_in_executor(None, settings.sources.stage, file)
        if worker.finished or worker.driver.failed.done():
            raise ReloadError("the node is stopping; nothing was changed")
        await self._record(settings.digest, cause)
        try:
            await loop.run_in_executor(None, put, staged, file)
        except OSError:
            await self._record(worker.settings.digest, "withdrawn")
            raise

    async def _record(self, digest: str, cause: str) -> None:
        """RECONFIGURED, durable. Raises: JournalError, ReloadError."""
        worker = self._worker
        record = {
            "kind": "RECONFIGURED",
            "at_ms": wall_ms(),
            "config": digest,
            "version": __version__,
            "reason": cause,
        }
        lsn = worker.journal.append(record)
        worker.driver.arm()
        while worker.journal.synced < lsn:
            if worker.driver.failed.done():
                raise ReloadError("the journal has failed; nothing was changed")
            await asyncio.sleep(DURABLE_POLL_S)

    # ------------------------------------------------------------------- the one step: no await

    def _resealed(self, found: "Found") -> list[str]:
        """Members that stay and whose message codes are made in another way, or with other keys."""
        before, after = self._worker.seals, found.seals
        return [
            name
            for name in sorted(ids_of(self._worker.settings) & ids_of(found.prepared.settings))
            if _made_from(before.get(name)) != _made_from(after.get(name))
        ]

    def _swap(self, found: "Found", bounces: list[str]) -> None:
        worker, prepared = self._worker, found.prepared
        old, settings = worker.settings, prepared.settings
        for name in bounces:
            self._bump(name)
        self._reseal(found.seals)
        worker.names = members_of(settings, worker.names)
        worker.native.remeter(worker.metrics.meter)
        worker.journal.measure(worker.metrics.meter, COMMIT_SERIES)
        worker.native.configured(settings.digest)
        worker.settings, worker.dialects = settings, prepared.dialects
        for acquirer in settings.acquirers:
            self._acquirer(acquirer)
        for issuer in settings.issuers:
            self._issuer(issuer)
        self._leaving |= ids_of(old) - ids_of(settings)
        self._adopt()
        links = worker.links
        links.terms = terms_of(settings, worker.dialects, self._generations)
        for connection in worker.driver.connections():
            links.renew(connection)
        worker.driver.gate.adopt(BusinessDay(settings.node.business_zone, settings.node.cutover))
        worker.driver.write_buffer_bytes_max = settings.limits.write_buffer_bytes_max
        worker.upkeep.adopt(settings.journal.retention_h)
        worker.driver.gate.remember(*remembered_s(settings))
        if worker.taps is not None and prepared.masters is not None:
            assert settings.tokens is not None
            worker.taps.adopt(prepared.masters.ring(), settings.tokens.atc_gap_max)
        worker.certificates.adopt(settings, found.material)
        worker.certificates.counted(ok=True)
        worker.gauges.in_force(settings.digest)

    def _reseal(self, seals: dict[str, Seal]) -> None:
        worker = self._worker
        for name in worker.guards.keys() - seals.keys():
            worker.gauges.unguarded(name)
            del worker.guards[name], worker.seals[name]
        for name, seal in seals.items():
            if _made_from(worker.seals.get(name)) != seal.made_from:
                worker.gauges.unguarded(name)
                worker.guards[name], worker.seals[name] = seal.guard, seal

    def _bump(self, name: str) -> None:
        self._generations[name] = self._generations.get(name, 0) + 1

    def _acquirer(self, acquirer: Acquirer) -> None:
        worker = self._worker
        index = worker.index(acquirer.id, acquirer.institution_code)
        member = worker.acquirers.get(index)
        if member is None:
            member = new_acquirer(index, acquirer, worker.driver.gate.returns(index))
            member.hold = worker.holds.of(acquirer.id).hold
            worker.native.speaks(index, worker.dialects[acquirer.dialect])
            worker.acquirers[index] = member
        member.institution_code = acquirer.institution_code
        member.in_flight_max = acquirer.in_flight_max
        member.lane.adopt(*limits_of(acquirer))
        member.connections_max = acquirer.connections_max
        member.arrivals.per_s_max = acquirer.connects_per_s_max
        self._stays(acquirer.id)

    def _issuer(self, issuer: Issuer) -> None:
        worker = self._worker
        index = worker.index(issuer.id, issuer.institution_code)
        member = worker.banks.get(index)
        if member is None:
            member = new_bank(index, issuer, worker.driver.gate.returns(index))
            kept = worker.holds.of(issuer.id)
            member.hold = kept.hold
            member.stand_in_suspended = kept.stand_in is not None
            worker.banks[index] = member
        member.retune(issuer.in_flight_max, health_of(issuer), circuit_of(issuer))
        member.connections_max = issuer.connections
        self._stays(issuer.id)

    def _stays(self, name: str) -> None:
        """A member that was about to leave comes back: its connections are replaced all the
        same."""
        self._worker.gauges.former.pop(self._worker.indexes[name], None)
        if name in self._leaving:
            self._leaving.discard(name)
            self._closing.discard(name)
            self.turnover.cancel(name)
            self._bump(name)

    def _adopt(self) -> None:
        """Engine maps of the members that are, and of those that still have something in flight:
        the latter keep the rules that they have."""
        worker = self._worker
        issuers = issuer_rules(worker.settings, worker.indexes, worker.dialects)
        acquirers = acquirer_rules(worker.settings, worker.indexes)
        leaving = {worker.indexes[name] for name in self._leaving}
        issuers |= {i: r for i, r in worker.bank_rules.items() if i in leaving & set(worker.banks)}
        acquirers |= {
            i: r for i, r in worker.acquirer_rules.items() if i in leaving & set(worker.acquirers)
        }
        worker.bank_rules, worker.acquirer_rules = issuers, acquirers
        worker.driver.engine.adopt(routes_of(worker.settings, worker.indexes), issuers, acquirers)

    # --------------------------------------------------------- as slowly as it needs: the links

    async def _move(self, opened: dict[str, Taken]) -> None:
        worker, links, settings = self._worker, self._worker.links, self._worker.settings
        for name, one in opened.items():
            await links.accept(name, one)
        for issuer in settings.issuers:
            await self._move_bank(issuer)
        for acquirer in settings.acquirers:
            member = worker.acquirers[worker.indexes[acquirer.id]]
            if any(links.stale(one) for one in member.connections.values()):
                self.turnover.replace_acquirer(member)
        for name in sorted(self._leaving):
            await self._leave(name)
        self._announce()

    async def _move_bank(self, issuer: Issuer) -> None:
        links = self._worker.links
        bank = self._worker.banks[self._worker.indexes[issuer.id]]
        if issuer.mode == "accept":
            await links.stop_dialling(issuer.id)
            more = None
        else:
            links.stop_listening(issuer.id)
            dialer = links.dialers.get(issuer.id) or links.dialer(bank, issuer)
            connect = self._worker.certificates.dialling(issuer.id)
            dialer.adopt(*dialled(issuer), connect)

            def more(extra: int) -> None:
                bank.connections_max = issuer.connections + extra
                to, count, pauses = dialled(issuer)
                dialer.adopt(to, count + extra, pauses, connect)

        if any(links.stale(one) for one in bank.connections.values()):
            self.turnover.replace_bank(bank, more)

    async def _leave(self, name: str) -> None:
        worker, links = self._worker, self._worker.links
        index = worker.indexes[name]
        links.stop_listening(name)
        await links.stop_dialling(name)
        if name in self._closing:
            return
        self._closing.add(name)
        acquirer, bank = worker.acquirers.get(index), worker.banks.get(index)
        if acquirer is not None:
            self.turnover.close_acquirer(acquirer, lambda: self._left(name))
        elif bank is not None:
            self.turnover.close_bank(bank, lambda: self._left(name))

    def _left(self, name: str) -> None:
        """Nothing of it is in flight and no connection stands. Reversals that are owed to it stay
        owed: parked, counted, and delivered when it is a member again."""
        worker = self._worker
        index = worker.indexes[name]
        self._leaving.discard(name)
        self._closing.discard(name)
        acquirer, bank = worker.acquirers.pop(index, None), worker.banks.pop(index, None)
        if bank is not None:
            worker.driver.gate.left(bank)
        member = acquirer or bank
        if member is not None:
            worker.gauges.removed(member)
        self._adopt()
        owed = worker.native.owed_to(index)
        if owed:
            log.warning("member.removed", member=name, reversals_owed=owed)
        else:
            log.info("member.removed", member=name)


class Found(NamedTuple):
    """What the first phase has read."""

    prepared: Prepared
    material: "Mapping[str, Material]"
    seals: dict[str, Seal]


def _made_from(seal: Seal | None) -> object:
    return None if seal is None else seal.made_from


def ids_of(settings: Settings) -> set[str]:
    """Ids of all members."""
    return {*(one.id for one in settings.acquirers), *(one.id for one in settings.issuers)}


def members_of(settings: Settings, before: Members | None = None) -> Members:
    """The members whose series are counted: those of before too, since a counter does not end; and
    so are rules of stand-in."""
    acquirers = [one.id for one in settings.acquirers]
    issuers = [one.id for one in settings.issuers]
    rules = {one.id: [rule.name for rule in one.stand_in] for one in settings.issuers}
    if before is not None:
        acquirers = list(dict.fromkeys([*before.acquirers, *acquirers]))
        issuers = list(dict.fromkeys([*before.issuers, *issuers]))
        for issuer, names in before.rules.items():
            rules[issuer] = list(dict.fromkeys([*names, *rules.get(issuer, ())]))
    return Members(acquirers, issuers, settings.digest, rules)


def _close(opened: dict[str, Taken]) -> None:
    for one in opened.values():
        one.give_up()


@contextlib.contextmanager
def _short_turns() -> Iterator[None]:
    """Threads change more often: the loop waits half a millisecond for the interpreter, not
    five."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
