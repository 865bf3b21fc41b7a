"""The data plane: one process that holds links, engine and journal, and plugs them together.

Order of start: harden the process, settings, keys, dialects, journal and its recovery, then banks
are dialled, then acquirers are listened to. Whoever can reach us finds a switch that knows what it
owes.

Ends with 0 after a drain (SIGTERM), and with 3 when settings, keys or journal do not allow it to
run; the reason is the last event on stderr. Its supervisor starts the next one.
"""

import asyncio
import contextlib
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

from switch.apps.drill import arm
from switch.apps.ground import REAL, Ground, journal_directory
from switch.apps.handover import Heir, inherited
from switch.apps.links import Links, terms_of
from switch.apps.reload import Reloader, members_of
from switch.apps.rules import (
    Seal,
    acquirer_rules,
    issuer_rules,
    new_acquirer,
    new_bank,
    remembered_s,
    routes_of,
    seals_of,
    window_of,
)
from switch.apps.start import checked, compare_with_files, where_before
from switch.apps.told import Told, next_txn, open_with_room, parsed, terminals_of
from switch.constants import DRAIN_S_MAX
from switch.control.approvals import Approvals
from switch.control.audit import Audit, audit_file
from switch.control.holds import Holds, holds_file
from switch.control.place import socket_file
from switch.control.reload import ReloadBySignal, Reloaded
from switch.control.server import Server as ControlServer
from switch.crypto.links import Guard
from switch.crypto.masters import open_masters
from switch.crypto.terminals import Terminals
from switch.engine.deliver import IssuerRules
from switch.engine.engine import AcquirerRules, Engine
from switch.errors import OperatorError, OrderError, TapswitchError
from switch.link.window import Window
from switch.native import __version__, hook, tap, walk
from switch.native import journal as journals
from switch.observe import log as observe_log
from switch.observe.catalogue import COMMIT_SERIES, Members
from switch.observe.metrics import Metrics
from switch.observe.place import meter_file, sweep
from switch.runtime import garbage
from switch.runtime.accept import DESCRIPTORS_KEPT, raise_descriptor_limit
from switch.runtime.certificates import Certificates
from switch.runtime.clock import BusinessDay, monotonic_ns, wall_ms
from switch.runtime.desk import Desk
from switch.runtime.dialer import Dialer
from switch.runtime.drain import drain
from switch.runtime.driver import Driver
from switch.runtime.fault import is_ours, places, reason
from switch.runtime.gate import Gate
from switch.runtime.gauges import Gauges
from switch.runtime.harden import end_with_parent, harden
from switch.runtime.member import Acquirer, Bank
from switch.runtime.taps import Taps
from switch.runtime.timers import Timers
from switch.runtime.upkeep import Upkeep
from switch.settings.schema import Settings
from switch.settings.sources import in_force_file
from switch.wire import Dialect

__all__ = ["Worker", "main"]

log = structlog.get_logger("worker")

NAME: Final = "w0"
"""One worker decides per node for now; ids carry its lane all the same."""
STOPPED_BY_STORAGE: Final = 3
BANKS_LOOK_S: Final = 0.01
BANKS_FIRST_LOOKS: Final = 50
"""Half a second: how long acquirers wait at start for the banks' first sign-on. A bank that is down
must not keep us closed."""
BANKS_NEAR_LOOKS: Final = 200
"""The same for one that has taken our connection: on a busy machine its sign-on takes a while, and
what came meanwhile would be refused for nothing."""
ANSWERED_S: Final = 2.0
"""How long the end waits for the answer to the order that brought it about."""
INCIDENTS_EVERY_S: Final = 60.0
"""How often the audit is told what members did that must be known; see `runtime.faults`."""


@dataclass(slots=True)
class Worker:
    """Everything one worker holds, assembled from settings. `run` serves until told to stop."""

    settings: Settings
    bound: dict[str, str] = field(default_factory=dict)
    """Addresses to listen on instead of those of the settings, by institution: a restart keeps
    its ports."""
    ground: Ground = REAL
    keys: journals.Keys = field(init=False)
    journal: journals.Journal = field(init=False)
    native: walk.Gate = field(init=False)
    driver: Driver = field(init=False)
    timers: Timers = field(init=False)
    upkeep: Upkeep = field(init=False)
    metrics: Metrics = field(init=False)
    gauges: Gauges = field(init=False)
    taps: Taps | None = field(init=False, default=None)
    seals: dict[str, Seal] = field(default_factory=dict)
    terminals: Terminals | None = field(init=False, default=None)
    desk: Desk | None = field(init=False, default=None)
    guards: dict[str, Guard] = field(default_factory=dict)
    """Message codes, by member."""
    acquirers: dict[int, Acquirer] = field(default_factory=dict)
    banks: dict[int, Bank] = field(default_factory=dict)
    certificates: Certificates = field(init=False)
    control: ControlServer = field(init=False)
    holds: Holds = field(init=False)
    approvals: Approvals = field(default_factory=Approvals)
    links: Links = field(init=False)
    finished: bool = False
    dialects: dict[str, Dialect] = field(default_factory=dict)
    indexes: dict[str, int] = field(default_factory=dict)
    """Institution index by id, of former members too."""
    names: Members = field(init=False)
    """Whose series are counted, former members' too."""
    bank_rules: dict[int, IssuerRules] = field(init=False)
    acquirer_rules: dict[int, AcquirerRules] = field(init=False)
    reloader: Reloader = field(init=False)
    told: Told | None = None
    _set_zone: Callable[[], None] = field(init=False)
    """Follows a change of the business zone's offset."""
    _reloading: asyncio.Future[None] | None = None
    inherited: dict[str, list[socket.socket]] = field(default_factory=dict)
    """Listeners of a predecessor, by member."""
    heir: Heir | None = None
    """Keeps our listeners for the next one; None: nobody comes after us."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _leaving: asyncio.Future[None] | None = None
    _opening_ns: int = 0
    """When the journal began to be opened."""
    _telling: asyncio.Future[None] | None = None
    _incidents_at_s: float = math.inf

    @property
    def dialers(self) -> list[Dialer]:
        """Of the banks that we dial."""
        return list(self.links.dialers.values())

    # ------------------------------------------------------------------------------- assembly

    def open(self) -> None:
        """Everything that needs no loop: keys, dialects, journal.

        Raises: OperatorError, JournalError.
        """
        if not self.dialects:
            self.prepare()
        self._opening_ns = monotonic_ns()
        self.journal = self.ground.journal(self.settings, NAME, self.keys)

    def prepare(self) -> None:
        """What can be had while a predecessor still has the journal. Raises: OperatorError."""
        settings = self.settings
        for name, file in settings.dialects.items():
            self.dialects[name] = self.ground.dialect(settings, name, file)
        self.certificates = Certificates(settings)
        self.keys = self.ground.keys(settings)
        self.terminals = terminals_of(settings, self.keys)
        self.seals = seals_of(settings, self.keys, self.terminals)
        self.guards = {name: seal.guard for name, seal in self.seals.items()}

    def assemble(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gate, members and engine, as the journal left them. Nothing is sent yet."""
        settings = self.settings
        counters = settings.tokens.atc_entries_max if settings.tokens is not None else 0
        duplicates = walk.Duplicates(
            self.keys,
            settings.limits.duplicates_max,
            counters=counters,
            stand_in_cards=settings.limits.stand_in_cards_max,
        )
        if self.terminals is not None:
            duplicates.register(self.terminals)
        self.names = members_of(settings)
        self.metrics = Metrics(meter_file(settings.node.data_dir, NAME), self.names)
        self.journal.measure(self.metrics.meter, COMMIT_SERIES)
        self.native = walk.Gate(
            self.journal, duplicates, self.metrics.meter, settings.node.institution_code
        )
        self.native.configured(settings.digest)
        named = [(a.id, a.institution_code) for a in settings.acquirers]
        named += [(i.id, i.institution_code) for i in settings.issuers]
        for name, code in named:
            self.index(name, code)
        for acquirer in settings.acquirers:
            self.native.speaks(self.indexes[acquirer.id], self.dialects[acquirer.dialect])
        recovered = walk.recover(self.journal, self.keys, duplicates, self.native)
        hook.reach("worker.recovered")
        self.holds = Holds.load(holds_file(settings.node.data_dir))
        self._members(recovered)
        self.driver = Driver(
            loop,
            self.journal,
            self.native,
            self.acquirers,
            self.banks,
            settings.limits.write_buffer_bytes_max,
        )
        if self.terminals is not None and settings.terminals is not None:
            self.desk = Desk(self.terminals, settings.terminals.file, self.keys, self.driver)
        self.links = Links(
            self.driver,
            self.acquirers,
            self.banks,
            self.indexes,
            self.certificates,
            self.guards,
            self.bound,
            self.desk,
            self.inherited,
            take=self.ground.take,
        )
        self.links.terms = terms_of(settings, self.dialects, {})
        engine = self._plug(duplicates, recovered)
        self._note_start(recovered)
        hook.reach("worker.started")
        now_ns = monotonic_ns()
        self.driver.run(engine.recover(recovered, now_ns, wall_ms()), now_ns)
        hook.reach("worker.resumed")

    def index(self, name: str, code: str) -> int:
        """Index of an institution, the same as ever for one that was known."""
        self.indexes[name] = index = self.native.institution(name, code)
        return index

    def _plug(self, duplicates: walk.Duplicates, recovered: walk.Recovered) -> Engine:
        """The engine over its ports, tied to the driver."""
        settings = self.settings
        self.taps = taps = self._taps(duplicates)
        business_day = BusinessDay(settings.node.business_zone, settings.node.cutover)
        self._set_zone = lambda: duplicates.zone(business_day.offset_s(wall_ms()))
        self._set_zone()
        gate = Gate(
            self.native,
            duplicates,
            self.journal,
            self.acquirers,
            self.banks,
            business_day,
            self._noted,
            self._former(recovered),
        )
        gate.remember(*remembered_s(settings))
        self.bank_rules = issuer_rules(settings, self.indexes, self.dialects)
        self.acquirer_rules = acquirer_rules(settings, self.indexes)
        engine = Engine(
            gate,
            duplicates,
            routes_of(settings, self.indexes),
            self.bank_rules,
            self.acquirer_rules,
            next_txn(settings.node.id, recovered.last_txn),
            taps,
        )
        self.gauges = Gauges(
            self.metrics, self.native, duplicates, self.acquirers, self.banks, taps, self.guards
        )
        self.gauges.in_force(settings.digest)
        self.driver.plug(gate, engine, self.gauges)
        self.certificates.start(self.gauges)
        return engine

    def _taps(self, duplicates: walk.Duplicates) -> Taps | None:
        """The verdict on taps; None when the settings know no tokens."""
        tokens = self.settings.tokens
        if tokens is None:
            return None
        masters = open_masters(tokens.card_masters_file, self.keys)
        ranges = [(one.prefix, one.length) for one in tokens.ranges]
        verifier = tap.Verifier(
            tokens.index_dir, self.keys, masters.ring(), ranges, tokens.atc_gap_max, duplicates
        )
        if verifier.why:
            log.warning("index.unavailable", why=verifier.why, help="the gateway builds it")
        return Taps(verifier)

    def _former(self, recovered: walk.Recovered) -> dict[int, Window]:
        """The numbers of those whom the journal knows and the settings no more."""
        return {
            self.native.institution(name, ""): Window(*mark)
            for name, mark in recovered.marks.items()
            if name not in self.indexes
        }

    def _note_start(self, recovered: walk.Recovered) -> None:
        """Into the journal who goes on with it, under which configuration; into the log what was
        found in it."""
        self.journal.append(
            {
                "kind": "STARTED",
                "at_ms": wall_ms(),
                "config": self.settings.digest,
                "version": __version__,
                "boot": self.ground.boot(),
            }
        )
        if self.journal.torn is not None:
            file, offset, cut = self.journal.torn
            log.warning("journal.torn", file=file, offset=offset, cut_bytes=cut)
        in_doubt, owed = len(recovered.in_doubt), len(recovered.owed)
        log.info(
            "journal.recovered",
            records=recovered.records,
            in_doubt=in_doubt,
            owed=owed,
            took_ms=(monotonic_ns() - self._opening_ns) // 1_000_000,
        )

    def _keep_settings(self) -> None:
        """What works is what a successor comes up with. Raises: OperatorError."""
        kept = in_force_file(self.settings.node.data_dir)
        try:
            self.settings.sources.keep(kept)
        except OSError as error:
            raise OperatorError(
                f"the configuration in force cannot be kept: {error.strerror}",
                file=str(kept),
                help="mend the file system",
            ) from None

    def _members(self, recovered: walk.Recovered) -> None:
        marks = recovered.marks
        for a in self.settings.acquirers:
            index = self.indexes[a.id]
            self.acquirers[index] = new_acquirer(index, a, window_of(marks.get(a.id)))
            self.acquirers[index].hold = self.holds.of(a.id).hold
        for i in self.settings.issuers:
            index = self.indexes[i.id]
            self.banks[index] = new_bank(index, i, window_of(marks.get(i.id)))
            kept = self.holds.of(i.id)
            self.banks[index].hold = kept.hold
            self.banks[index].stand_in_suspended = kept.stand_in is not None

    def _noted(self, what: str, _txn: int) -> None:
        self.driver.counts[what] += 1

    # -------------------------------------------------------------------------------- serving

    async def start(self) -> dict[str, dict[str, str]]:
        """Takes up what the journal left, dials, listens; returns the bound addresses."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unhandled)
        self.assemble(loop)
        self.driver.start()
        self.upkeep = Upkeep(
            self.driver, self.native, self.journal, self.settings.journal.retention_h
        )
        self.timers = Timers(
            loop, self._tick, self.driver.tick_links, self._watch, self.gauges.late
        )
        self.timers.start()
        self._descriptors()
        addresses = await self._open_links()
        self.reloader = Reloader(self, self._announce)
        if self.ground.orders:
            await self._take_orders()
        return addresses

    async def _take_orders(self) -> None:
        self._keep_settings()
        data_dir = self.settings.node.data_dir
        audit = Audit(audit_file(data_dir), __version__)
        self.control = ControlServer(self, socket_file(data_dir), audit)
        await self.control.start()
        self._incidents_at_s = monotonic_ns() / 1e9 + INCIDENTS_EVERY_S

    def _descriptors(self) -> None:
        """As many as there are places for connections, if the system lets us."""
        limit, members = raise_descriptor_limit(), self.settings
        places = sum(one.connections_max for one in members.acquirers)
        places += sum(one.connections for one in members.issuers)
        if places + DESCRIPTORS_KEPT > limit:
            log.warning(
                "descriptors.few",
                descriptors_max=limit,
                places=places,
                kept=DESCRIPTORS_KEPT,
                help="connections above it are closed at once: raise LimitNOFILE of the unit",
            )

    def _tick(self) -> None:
        self.driver.tick()
        garbage.look()
        if not self.driver.failed.done():
            self.upkeep.step()

    def _watch(self) -> None:
        self.upkeep.watch()
        self._set_zone()
        if self.taps is not None:
            self.taps.look()
        if self.desk is not None:
            self.desk.look()
        self.gauges.refresh(self.driver)
        now_s = monotonic_ns() / 1e9
        self.certificates.look(now_s)
        if now_s >= self._incidents_at_s:
            self._incidents_at_s = now_s + INCIDENTS_EVERY_S
            if self._telling is None or self._telling.done():
                self._telling = asyncio.ensure_future(self.control.incidents())

    async def finish(self) -> int:
        """Drains and closes the journal, or cuts everything off after a failure; the exit code."""
        self.finished = True
        if self.ground.orders:
            await self.control.close(last_word=not self.driver.failed.done())
        self.reloader.stop()
        servers = [opened.server for opened in self.links.servers.values()]
        dialers = self.dialers
        if not self.driver.failed.done():
            longest_ms = max(issuer.deadline_ms for issuer in self.settings.issuers)
            within_s = min(longest_ms / 1000 + 1.0, float(DRAIN_S_MAX))
            draining = asyncio.ensure_future(drain(self.driver, servers, dialers, within_s))
            either: set[asyncio.Future[Any]] = {draining, self.driver.failed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
        self.timers.stop()
        if self.driver.failed.done():
            log.error("worker.failed", reason=self.driver.failed.result())
            self.gauges.journal_failed()
            # Neither waits for a peer. The journal is left as it is: a clean-stop record would lie.
            for server in servers:
                server.close()
            for dialer in dialers:
                await dialer.stop()
            return STOPPED_BY_STORAGE
        self.driver.stop()
        await self.upkeep.finish()
        hook.reach("worker.drained")
        self.journal.close()
        failed = self.journal.failure
        self.metrics.close()
        if failed is not None:
            # Its last group, behind all that has left: nothing is lost, but the disk is not sound.
            log.error("worker.failed", reason=failed)
            return STOPPED_BY_STORAGE
        log.info("worker.stopped")
        return 0

    async def serve(self, told: Told) -> int:
        """From start to end; says in between that it is ready. Returns the exit code."""
        stopping = self._stopping
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await self.start()
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        garbage.take_over()
        self.told = told
        self._bequeath()
        told.ready(self._line())
        log.info("worker.ready", **self.links.addresses(self.settings))
        await loop.run_in_executor(None, compare_with_files, self.settings)
        waiting = asyncio.ensure_future(stopping.wait())
        either: set[asyncio.Future[Any]] = {waiting, self.driver.failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        told.withdraw()
        return await self.finish()

    def _line(self) -> dict[str, Any]:
        meter = str(self.metrics.path)
        addresses = self.links.addresses(self.settings)
        return {"pid": os.getpid(), "worker": NAME, "meter": meter, **addresses}

    def _announce(self) -> None:
        """Members may connect elsewhere now."""
        if self.told is not None and not self.finished:
            self._bequeath()
            self.told.ready(self._line())

    def _bequeath(self) -> None:
        if self.heir is not None:
            self.heir.give({name: one.server.sockets for name, one in self.links.servers.items()})

    async def restart(self) -> None:
        """See `switch.control.restart`."""
        if self.heir is None:
            raise OrderError(
                "this worker has no supervisor that would start the next one",
                help="start nodes with `tapswitch run`",
            )
        await self.heir.replace()
        self._leaving = asyncio.ensure_future(self._leave())

    async def _leave(self) -> None:
        """Ends, when whoever ordered it has his answer."""
        with contextlib.suppress(TimeoutError):
            await self.control.answered(ANSWERED_S)
        self._stopping.set()

    async def reload(self, *, dry_run: bool, wait: bool, cause: str = "order") -> Reloaded:
        """See `switch.apps.reload`."""
        return await self.reloader.reload(dry_run=dry_run, wait=wait, cause=cause)

    def _hang_up(self) -> None:
        """SIGHUP: a reload, of which the log tells the outcome."""
        self._reloading = asyncio.ensure_future(self._reload_by_signal())

    async def _reload_by_signal(self) -> None:
        await self.control.by_signal(ReloadBySignal(), "SIGHUP")

    async def _open_links(self) -> dict[str, dict[str, str]]:
        """Banks first; a short wait for their sign-on; then acquirers. Returns the bound
        addresses."""
        settings, links = self.settings, self.links
        for i in settings.issuers:
            if i.mode == "accept":
                await self._accept(i.id, i.listen)
            else:
                links.dialer(self.banks[self.indexes[i.id]], i).start()
        for look in range(BANKS_NEAR_LOOKS):
            missing = [bank for bank in self.banks.values() if not (bank.ready or bank.hold)]
            near = any(bank.connections for bank in missing)
            if not missing or (look >= BANKS_FIRST_LOOKS and not near):
                break
            await asyncio.sleep(BANKS_LOOK_S)
        for a in settings.acquirers:
            await self._accept(a.id, a.listen)
        for sockets in self.inherited.values():
            # Of members that are none any more.
            for one in sockets:
                one.close()
        return links.addresses(settings)

    async def _accept(self, name: str, address: str) -> None:
        await self.links.accept(name, await self.links.taken(name, address, self.settings.file))

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback raised. Type and place only: a text might quote what must not be
        logged."""
        error = context.get("exception")
        log.error("callback.raised", error=type(error).__name__, at=places(error))
        if error is not None and is_ours(error):
            # Something is half done: stop while the journal still tells the truth.
            self.driver.fail(reason(error))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one worker to its end; returns the exit code."""
    options = parsed(__doc__, arguments)
    observe_log.configure(f"worker {NAME}")
    # Before there is anything to reload, it must not end us.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        harden()
        arm()
        if options.parent:
            end_with_parent(options.parent)
        settings = checked(options.config)
        told = Told(Path(settings.node.data_dir) / "run" / "worker.json", options.ready_fd)
        bound = dict(bind.split("=", 1) for bind in options.bind)
        if settings.sources.is_snapshot:
            bound |= where_before(told.file)
        if not options.parent:
            sweep()
        worker = Worker(settings, bound)
        worker.inherited = inherited(options.listening)
        worker.heir = Heir(options.heir_fd) if options.heir_fd >= 0 else None
        if options.wait_fd >= 0:
            worker.prepare()
            told.prepared()
            if not os.read(options.wait_fd, 1):
                return 0  # The starter thought better of it.
        open_with_room(worker.open, journal_directory(settings, NAME), told)
        # Ours now that the journal is: before, it may have been the file of a worker that runs.
        told.withdraw()
        return uvloop.run(worker.serve(told))
    except TapswitchError as error:
        # The text of our own errors is written for operators; a traceback would add nothing.
        log.error("worker.refused", code=error.code, reason=str(error))  # noqa: TRY400
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
