"""The data plane: one process that holds links, engine and journal, and plugs them together.

Order of start: harden the process, settings, keys, dialects, journal and its recovery, then banks
are dialled, then acquirers are listened to. Whoever can reach us finds a switch that knows what it
owes.

Ends with 0 after a drain (SIGTERM), and with 3 when settings, keys or journal do not allow it to
run; the reason is the last event on stderr. Its supervisor starts the next one.
"""

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

from switch.constants import DRAIN_S_MAX, LANE_BITS, NODE_BITS, TXN_COUNTER_BITS
from switch.control.audit import Audit, audit_file
from switch.control.check import check_node
from switch.control.check_tls import RUNS_ALL_THE_SAME
from switch.control.holds import Holds, holds_file
from switch.control.place import socket_file
from switch.control.server import Server as ControlServer
from switch.crypto.keyfile import keys_absent, open_keys, sealing_key
from switch.crypto.links import Guard, Parameters, link_guard, open_link_keys
from switch.crypto.masters import create_demo_masters, open_masters
from switch.engine.engine import AcquirerRules, Engine
from switch.engine.reverse import IssuerRules
from switch.errors import SettingsError, TapswitchError
from switch.link.health import HealthRules
from switch.link.matcher import Matcher
from switch.link.session import Role, Rules, Session
from switch.link.window import Window
from switch.native import __version__, tap, walk
from switch.native import journal as journals
from switch.observe import log as observe_log
from switch.observe.catalogue import Members
from switch.observe.metrics import Metrics
from switch.observe.place import meter_file
from switch.runtime import ready
from switch.runtime.certificates import Certificates
from switch.runtime.clock import BusinessDay, monotonic_ns, wall_ms
from switch.runtime.dialer import Dialer
from switch.runtime.drain import drain
from switch.runtime.driver import Driver
from switch.runtime.fault import is_ours, places, reason
from switch.runtime.gate import Gate
from switch.runtime.gauges import Gauges
from switch.runtime.harden import end_with_parent, harden
from switch.runtime.listener import AcquirerConnection, BankConnection, Listening
from switch.runtime.member import Acquirer, Bank, Hold
from switch.runtime.taps import Taps
from switch.runtime.timers import Timers
from switch.runtime.upkeep import Upkeep
from switch.settings import schema
from switch.settings.load import load
from switch.settings.schema import Settings, split_address
from switch.wire import Dialect

__all__ = ["Worker", "main"]

log = structlog.get_logger("worker")

NAME: Final = "w0"
"""One worker decides per node for now; ids carry its lane all the same."""
LANE: Final = 0
MIB: Final = 1 << 20
STOPPED_BY_STORAGE: Final = 3
BANKS_FIRST_S: Final = 0.5
"""How long acquirers wait at start for the banks' first sign-on. A bank that is down must not
keep us closed."""

BANKS_FIRST_LOOKS: Final = 50

assert LANE < 1 << LANE_BITS


@dataclass(slots=True)
class Worker:
    """Everything one worker holds, assembled from settings. `run` serves until told to stop."""

    settings: Settings
    bound: dict[str, str] = field(default_factory=dict)
    """Addresses to listen on instead of those of the settings, by institution: a restart keeps
    its ports."""
    keys: journals.Keys = field(init=False)
    journal: journals.Journal = field(init=False)
    native: walk.Gate = field(init=False)
    driver: Driver = field(init=False)
    timers: Timers = field(init=False)
    upkeep: Upkeep = field(init=False)
    metrics: Metrics = field(init=False)
    gauges: Gauges = field(init=False)
    taps: Taps | None = field(init=False, default=None)
    guards: dict[str, Guard] = field(default_factory=dict)
    """Message codes, by member."""
    acquirers: dict[int, Acquirer] = field(default_factory=dict)
    banks: dict[int, Bank] = field(default_factory=dict)
    certificates: Certificates = field(init=False)
    servers: list[Listening] = field(default_factory=list)
    dialers: list[Dialer] = field(default_factory=list)
    control: ControlServer = field(init=False)
    holds: Holds = field(init=False)
    finished: bool = False
    _dialects: dict[str, Dialect] = field(default_factory=dict)
    _indexes: dict[str, int] = field(default_factory=dict)
    _set_zone: Callable[[], None] = field(init=False)
    """Follows a change of the business zone's offset."""

    # ------------------------------------------------------------------------------- assembly

    def open(self) -> None:
        """Everything that needs no loop: keys, dialects, journal.

        Raises: OperatorError, JournalError.
        """
        settings = self.settings
        for name, file in settings.dialects.items():
            self._dialects[name] = Dialect.compile(settings.dialect_text(name), file)
        self.certificates = Certificates(settings)
        self.keys = _keys(settings)
        self.guards = _guards(settings, self.keys)
        directory = Path(settings.node.data_dir) / "journal" / NAME
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.journal = journals.Journal.open(
            str(directory),
            self.keys,
            segment_bytes=settings.journal.segment_mib * MIB,
            pending_bytes_max=settings.journal.pending_mib * MIB,
        )

    def assemble(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gate, members and engine, as the journal left them. Nothing is sent yet."""
        settings = self.settings
        counters = settings.tokens.atc_entries_max if settings.tokens is not None else 0
        duplicates = walk.Duplicates(self.keys, settings.limits.duplicates_max, counters=counters)
        names = Members([a.id for a in settings.acquirers], [i.id for i in settings.issuers])
        self.metrics = Metrics(meter_file(settings.node.data_dir, NAME), names)
        self.native = walk.Gate(
            self.journal, duplicates, self.metrics.meter, settings.node.institution_code
        )
        self.native.configured(settings.digest)
        named = [(a.id, a.institution_code) for a in settings.acquirers]
        named += [(i.id, i.institution_code) for i in settings.issuers]
        for name, code in named:
            self._indexes[name] = self.native.institution(name, code)
        for acquirer in settings.acquirers:
            self.native.speaks(self._indexes[acquirer.id], self._dialects[acquirer.dialect])
        recovered = walk.recover(self.journal, self.keys, duplicates, self.native)
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
        engine = self._plug(duplicates, recovered)
        self._note_start(recovered)
        now_ns = monotonic_ns()
        self.driver.run(engine.recover(recovered, now_ns), now_ns)

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
        engine = Engine(
            gate,
            duplicates,
            walk.Routes([(r.prefix, self._indexes[r.issuer]) for r in settings.routes]),
            {self._indexes[i.id]: self._issuer_rules(i) for i in settings.issuers},
            {
                self._indexes[a.id]: AcquirerRules(a.undeliverable == "reverse")
                for a in settings.acquirers
            },
            _next_txn(settings.node.id, recovered.last_txn),
            taps,
        )
        self.gauges = Gauges(
            self.metrics,
            self.native,
            duplicates,
            self.acquirers,
            self.banks,
            taps,
            self.guards,
        )
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
            if name not in self._indexes
        }

    def _note_start(self, recovered: walk.Recovered) -> None:
        """Into the journal who goes on with it; into the log what was found in it."""
        self.journal.append(
            {
                "kind": "STARTED",
                "at_ms": wall_ms(),
                "config": self.settings.digest,
                "version": __version__,
                "boot": os.getpid(),
            }
        )
        if self.journal.torn is not None:
            file, offset, cut = self.journal.torn
            log.warning("journal.torn", file=file, offset=offset, cut_bytes=cut)
        in_doubt, owed = len(recovered.in_doubt), len(recovered.owed)
        log.info("journal.recovered", records=recovered.records, in_doubt=in_doubt, owed=owed)

    def _members(self, recovered: walk.Recovered) -> None:
        marks = recovered.marks
        for a in self.settings.acquirers:
            index = self._indexes[a.id]
            self.acquirers[index] = Acquirer(
                index,
                a.id,
                a.institution_code,
                a.in_flight_max,
                a.connections_max,
                _matcher(marks.get(a.id), 1),
                hold=self.holds.of(a.id).hold,
            )
        for i in self.settings.issuers:
            index = self._indexes[i.id]
            matcher = _matcher(marks.get(i.id), i.in_flight_max)
            hold = self.holds.of(i.id).hold
            self.banks[index] = Bank(
                index, i.id, matcher, i.connections, hold=hold, health=_health(i)
            )

    def _issuer_rules(self, issuer: schema.Issuer) -> IssuerRules:
        return IssuerRules(
            issuer.deadline_ms,
            issuer.reversal_retry_ms,
            issuer.reversal_retry_max_ms,
            issuer.reversal_attempts_max,
            self._dialects[issuer.dialect].reversal_final,
        )

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
        addresses = await self._open_links()
        data_dir = self.settings.node.data_dir
        audit = Audit(audit_file(data_dir), __version__)
        self.control = ControlServer(self, socket_file(data_dir), audit)
        await self.control.start()
        return addresses

    def _tick(self) -> None:
        self.driver.tick()
        if not self.driver.failed.done():
            self.upkeep.step()

    def _watch(self) -> None:
        self.upkeep.watch()
        self._set_zone()
        if self.taps is not None:
            self.taps.look()
        self.gauges.refresh(self.driver)
        self.certificates.look(monotonic_ns() / 1e9)

    async def finish(self) -> int:
        """Drains and closes the journal, or cuts everything off after a failure; the exit code."""
        self.finished = True
        await self.control.close()
        if not self.driver.failed.done():
            longest_ms = max(issuer.deadline_ms for issuer in self.settings.issuers)
            within_s = min(longest_ms / 1000 + 1.0, float(DRAIN_S_MAX))
            draining = asyncio.ensure_future(
                drain(self.driver, self.servers, self.dialers, within_s)
            )
            either: set[asyncio.Future[Any]] = {draining, self.driver.failed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            draining.cancel()
        self.timers.stop()
        if self.driver.failed.done():
            log.error("worker.failed", reason=self.driver.failed.result())
            # Neither waits for a peer. The journal is left as it is: a clean-stop record would lie.
            for server in self.servers:
                server.close()
            for dialer in self.dialers:
                await dialer.stop()
            return STOPPED_BY_STORAGE
        self.driver.stop()
        await self.upkeep.finish()
        self.journal.close()
        self.metrics.close()
        log.info("worker.stopped")
        return 0

    async def serve(self, told: "Told") -> int:
        """From start to end; says in between that it is ready. Returns the exit code."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        addresses = await self.start()
        # What stands now lives as long as the process: dialects, settings, modules, tables. Frozen,
        # it is never walked by the collector again. Hot Structs are gc=False, so a full collection
        # is rare and small; the wide first generation keeps young collections out of most ticks.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        meter = str(self.metrics.path)
        told.ready({"pid": os.getpid(), "worker": NAME, "meter": meter, **addresses})
        log.info("worker.ready", **addresses)
        waiting = asyncio.ensure_future(stopping.wait())
        either: set[asyncio.Future[Any]] = {waiting, self.driver.failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        told.withdraw()
        return await self.finish()

    async def _open_links(self) -> dict[str, dict[str, str]]:
        """Banks first; a short wait for their sign-on; then acquirers. Returns the bound
        addresses."""
        issuers: dict[str, str] = {}
        acquirers: dict[str, str] = {}
        for i in self.settings.issuers:
            factory = self._bank_factory(i)
            if i.mode == "accept":
                issuers[i.id] = await self._listen(i.id, i.listen, factory)
            else:
                pauses = (i.reconnect_min_ms, i.reconnect_max_ms)
                to = [split_address(address) for address in i.addresses]
                connect = self.certificates.dialling(i.id)
                dialer = Dialer(i.id, to, i.connections, pauses, factory, connect)
                if self.holds.of(i.id).hold is Hold.DRAINED:
                    dialer.hold()
                self.dialers.append(dialer)
        for dialer in self.dialers:
            dialer.start()
        for _ in range(BANKS_FIRST_LOOKS):
            if all(bank.ready or bank.hold for bank in self.banks.values()):
                break
            await asyncio.sleep(BANKS_FIRST_S / BANKS_FIRST_LOOKS)
        for a in self.settings.acquirers:
            acquirers[a.id] = await self._listen(a.id, a.listen, self._acquirer_factory(a))
        return {"acquirers": acquirers, "issuers": issuers}

    async def _listen(self, name: str, address: str, factory: Any) -> str:
        host, port = split_address(self.bound.get(name, address))
        try:
            server, at = await self.certificates.listening(name, factory, host, port)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port} for {name}: {error.strerror or error}",
                file=self.settings.file,
                help="is another process using it?",
            ) from None
        self.servers.append(server)
        return at

    def _acquirer_factory(self, a: schema.Acquirer) -> Any:
        acquirer = self.acquirers[self._indexes[a.id]]
        dialect = self._dialects[a.dialect]
        rules = Rules(Role.ACQUIRER, sign_on=a.sign_on, echo_idle_ms=a.echo_idle_s * 1000)
        frame_bytes_max = self.settings.limits.frame_bytes_max
        return lambda: AcquirerConnection(
            self.driver,
            acquirer,
            dialect,
            frame_bytes_max,
            Session(rules, acquirer.numbers),
            self.guards.get(a.id),
        )

    def _bank_factory(self, i: schema.Issuer) -> Any:
        bank = self.banks[self._indexes[i.id]]
        dialect = self._dialects[i.dialect]
        rules = Rules(
            Role.ISSUER,
            sign_on=i.sign_on,
            echo_idle_ms=i.echo_idle_s * 1000,
            watched=bank.health.suspect_ms > 0,
        )
        frame_bytes_max = self.settings.limits.frame_bytes_max
        return lambda: BankConnection(
            self.driver,
            bank,
            dialect,
            frame_bytes_max,
            Session(rules, bank.matcher),
            self.guards.get(i.id),
        )

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback raised. Type and place only: a text might quote what must not be
        logged."""
        error = context.get("exception")
        log.error("callback.raised", error=type(error).__name__, at=places(error))
        if error is not None and is_ours(error):
            # Something is half done: stop while the journal still tells the truth.
            self.driver.fail(reason(error))


@dataclass(slots=True)
class Told:
    """The two ways in which a starter learns that we are ready."""

    file: Path
    descriptor: int

    def ready(self, line: dict[str, Any]) -> None:
        """Says so, once."""
        ready.tell({"ready": True, **line}, self.file, self.descriptor)

    def withdraw(self) -> None:
        """Says that we are not any longer."""
        ready.withdraw(self.file)


def _matcher(mark: tuple[int, int] | None, in_flight_max: int) -> Any:
    """Numbers go on above the highest pair that the journal knows of the institution."""
    window = Window(mark[0], mark[1]) if mark is not None else Window()
    return Matcher(window, in_flight_max)


def _health(issuer: schema.Issuer) -> HealthRules:
    """When the bank's connections are fit. One that agreed on no echo is not tested by any."""
    return HealthRules(
        suspect_ms=issuer.suspect_ms,
        probe_ms=issuer.probe_ms,
        answered_share_min=issuer.answered_share_min,
        pause_min_ms=min(HealthRules().pause_min_ms, issuer.health_pause_max_ms),
        pause_max_ms=issuer.health_pause_max_ms,
        echo=issuer.echo_idle_s > 0,
    )


def _next_txn(node: int, last: int) -> int:
    """Node and lane in the upper bits; the counter goes on where the journal ended."""
    assert 0 < node < 1 << NODE_BITS
    counter = last & ((1 << TXN_COUNTER_BITS) - 1)
    return (node << LANE_BITS | LANE) << TXN_COUNTER_BITS | counter + 1


def _keys(settings: Settings) -> journals.Keys:
    """Opens the keys; makes demo keys where there are none. `check_node` has judged the
    addresses."""
    file, sealing_file = settings.keys.file, settings.keys.sealing_key_file
    if keys_absent(file, sealing_file):
        for path in (file, sealing_file):
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        journals.create_sealing_key(sealing_file)
        with sealing_key(sealing_file) as descriptor:
            journals.create_key_file(file, descriptor, demo=True)
    keys = open_keys(file, sealing_file)
    if keys.demo:
        log.warning(
            "keys.demo",
            warning="THESE ARE DEMO KEYS: whoever has this directory reads every card number in "
            "the journal. They are refused on any address that is not loopback.",
            check_values=keys.check_values,
        )
        _demo_masters(settings, keys)
    return keys


def _guards(settings: Settings, keys: journals.Keys) -> dict[str, Guard]:
    """The guard of every member with message codes. Raises: KeyFileError, UsageError."""
    macs = settings.macs()
    guards: dict[str, Guard] = {}
    if macs:
        opened = open_link_keys(settings.keys.link_keys_file, keys)
        for name, (_, mac) in macs.items():
            parameters = Parameters(mac.algorithm, mac.cipher, mac.chain, mac.form, mac.code_bytes)
            guards[name] = link_guard(parameters, opened, mac.key)
    return guards


def _demo_masters(settings: Settings, keys: journals.Keys) -> None:
    """Card master keys for the ranges of the tokens, where demo keys have none yet."""
    tokens = settings.tokens
    if tokens is not None and not Path(tokens.card_masters_file).exists():
        prefixes = dict.fromkeys(one.prefix for one in tokens.ranges)
        create_demo_masters(tokens.card_masters_file, keys, prefixes, wall_ms() // 1000)


def _refuse_faults(path: str) -> None:
    """Raises SettingsError for the first error that `tapswitch check` would name."""
    for placed in check_node(path):
        finding = placed.finding
        if finding.severity == "error" and finding.rule not in RUNS_ALL_THE_SAME:
            raise SettingsError(
                finding.problem,
                file=placed.file,
                line=placed.line,
                column=placed.column,
                key=finding.key,
                help=finding.help or f"tapswitch check {path}",
            )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m switch.apps.worker", description=__doc__)
    parser.add_argument("--config", required=True, help="configuration directory")
    parser.add_argument("--ready-fd", type=int, default=-1, help="descriptor for the ready line")
    parser.add_argument("--bind", action="append", default=[], metavar="NAME=HOST:PORT")
    parser.add_argument("--parent", type=int, default=0, help="end when this process has ended")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one worker to its end; returns the exit code."""
    options = _arguments(arguments)
    observe_log.configure(f"worker {NAME}")
    try:
        harden()
        if options.parent:
            end_with_parent(options.parent)
        _refuse_faults(options.config)
        settings = load(options.config)
        told = Told(Path(settings.node.data_dir) / "run" / "worker.json", options.ready_fd)
        worker = Worker(settings, dict(bind.split("=", 1) for bind in options.bind))
        worker.open()
        # Ours now that the journal is: before, it may have been the file of a worker that runs.
        told.withdraw()
        return uvloop.run(worker.serve(told))
    except TapswitchError as error:
        # The text of our own errors is written for operators; a traceback would add nothing.
        log.error("worker.refused", code=error.code, reason=str(error))  # noqa: TRY400
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
