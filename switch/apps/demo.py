"""The whole system on one machine: switch, three banks, two fleets of terminals, one screen.

It makes a directory of its own, fills in config/demo.toml, starts everything on free loopback ports
and lets sales flow. At the end it stops offering, lets the banks heal, waits until nothing is open,
stops the switch and compares the three ledgers. Nothing is left running, however it ends: children
live on this process's stdin pipes and on its life.
"""

import asyncio
import contextlib
import math
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.live import Live

import switch
from switch import native
from switch.apps.children import Child
from switch.apps.conservation import Report, compare
from switch.apps.issuing import issue_tokens
from switch.apps.node import Node
from switch.apps.screen import LinkRow, Snapshot, closing, plain, screen
from switch.apps.tail import Tail
from switch.errors import OperatorError
from switch.settings.load import load
from switch.settings.schema import Acquirer, Issuer, Settings
from switch.sim.ledger import read_bookings, read_sales

__all__ = ["Demo", "Options", "Rate", "render_config", "warnings"]

CONFIG: Final = Path(switch.__file__).resolve().parent.parent / "config"
DRAIN_S: Final = 15.0
"""How long the system may take to come to rest; several deadlines of config/demo.toml."""
INTERRUPTED: Final = 130
CONSERVATION_FAILED: Final = 6

LATE: Final = 1.3
"""A late answer comes after this many deadlines of its bank."""
FLEET_CONNECTIONS: Final = 4
SHOWN: Final = (0.5, 0.99)
"""Percentiles on the screen."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says."""

    seconds: float | None = None
    """None: until Ctrl-C."""
    rate: float = 100.0
    """Sales a second, all acquirers together."""
    mixture: str = "demo"
    """What the terminals buy and how they behave, as `tapswitch sim terminal --mixture` has it."""
    tokens: int = 100_000
    """Tokens that the vault issues at the start; 0: plain cards only."""
    as_json: bool = False
    keep: Path | None = None
    """Leave configuration, ledgers and journal in this new directory."""


def render_config(directory: Path, addresses: Mapping[str, str], config: Path = CONFIG) -> None:
    """Makes a configuration directory of config/demo.toml, addresses replaced as mapped."""
    text = (config / "demo.toml").read_text(encoding="utf-8")
    for placeholder, address in addresses.items():
        text = text.replace(f'"{placeholder}"', f'"{address}"')
    directory.mkdir(parents=True)
    (directory / "switch.toml").write_text(text, encoding="utf-8")
    shutil.copytree(config / "dialects", directory / "dialects")
    (directory / "routes").mkdir()
    shutil.copy(config / "routes" / "demo.toml", directory / "routes" / "demo.toml")


def warnings(profile: str) -> dict[str, str]:
    """What must be said loudly: a few words for the screen, and all of it."""
    said = {
        "DEVELOPMENT KEYS": "DEVELOPMENT KEYS, made for this demonstration; never for real cards"
    }
    if profile != "release":
        said[f"{profile.upper()} BUILD"] = (
            f"{profile.upper()} BUILD of the extension: many times slower, no figure of it means"
            " anything; run `make setup`"
        )
    return said


class Demo:
    """One demonstration from start to exit code."""

    def __init__(self, options: Options, directory: Path) -> None:
        self._options = options
        self._directory = directory
        self._ledgers = directory / "ledgers"
        self._tokens = directory / "tokens.csv"
        self._logs = directory / "logs"
        self._banks: dict[str, Child] = {}
        self._fleets: dict[str, Child] = {}
        self._node: Node | None = None
        self._tail: Tail | None = None
        self._began = time.monotonic()
        self._flowed = 0.0
        self._rates: dict[str, Rate] = {}
        self._end = asyncio.Event()
        self._abort = asyncio.Event()
        self._console = Console(stderr=True)

    async def run(self) -> int:
        """Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        work = asyncio.create_task(self._work())
        aborted = asyncio.create_task(self._abort.wait())
        try:
            await asyncio.wait({work, aborted}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                self._say("stopped without a comparison")
                return INTERRUPTED
            return work.result()
        finally:
            aborted.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work
            await self._leave_nothing()

    def _signalled(self) -> None:
        """The first time: come to rest and compare. The second time: end at once."""
        (self._abort if self._end.is_set() else self._end).set()

    async def _work(self) -> int:
        await self._start()
        interrupted = await self._flow()
        rested = await self._rest()
        await self._stop()
        report = self._compare()
        return self._conclude(report, rested, interrupted)

    # The course of events.

    async def _start(self) -> None:
        for warning in warnings(native.BUILD_PROFILE).values():
            self._say(f"WARNING: {warning}")
        for directory in (self._ledgers, self._logs):
            directory.mkdir(parents=True)
        plan = load(CONFIG / "demo.toml")
        addresses = {}
        for issuer in plan.issuers:
            if issuer.mode == "dial":
                ready = await self._start_bank(plan, issuer, "--listen", "127.0.0.1:0")
                addresses[issuer.addresses[0]] = "{}:{}".format(*ready["listen"])
        config = self._directory / "config"
        render_config(config, addresses)
        await self._issue(config)
        self._node = Node(config, self._logs)
        ready = await self._node.start()
        for issuer in plan.issuers:
            if issuer.mode == "accept":
                await self._start_bank(plan, issuer, "--dial", ready["issuers"][issuer.id])
        self._tail = Tail(self._node.records)
        for number, acquirer in enumerate(plan.acquirers):
            await self._start_fleet(plan, acquirer, str(number), ready["acquirers"][acquirer.id])
        if metrics := await self._node.metrics():
            self._say(f"metrics at http://{metrics}/metrics")
        self._began = time.monotonic()

    async def _issue(self, config: Path) -> None:
        """Has the vault issue the tokens, and says how long that takes."""
        count = self._options.tokens
        if not count:
            return
        began = time.monotonic()
        told = f"issuing {count:,} tokens"
        if not self._console.is_terminal:
            self._say(told)
        with self._console.status(told):
            issued = await issue_tokens(config, self._tokens, count, self._logs / "import.log")
        self._say(f"issued {issued:,} tokens in {time.monotonic() - began:.1f} s")

    async def _start_bank(self, plan: Settings, issuer: Issuer, *where: str) -> dict[str, Any]:
        prefixes = [route.prefix for route in plan.routes if route.issuer == issuer.id]
        arguments = [
            "issuer",
            *("--name", issuer.id, "--institution-code", issuer.institution_code),
            *("--ledger", str(self._ledgers / f"{issuer.id}.jsonl"), *where),
            *("--connections", str(issuer.connections)),
            *("--late-ms", str(LATE * issuer.deadline_ms)),
            *(part for prefix in prefixes for part in ("--prefix", prefix)),
        ]
        child = Child(issuer.id, arguments, self._logs / f"{issuer.id}.log")
        self._banks[issuer.id] = child
        return await child.start()

    async def _start_fleet(
        self, plan: Settings, acquirer: Acquirer, lane: str, address: str
    ) -> None:
        rate = self._options.rate / len(plan.acquirers)
        # A terminal is busy for a deadline when its bank is silent; these are enough for that.
        terminals = max(200, int(rate * 4))
        arguments = [
            "terminal",
            *("--name", acquirer.id, "--institution-code", acquirer.institution_code),
            *("--ledger", str(self._ledgers / f"{acquirer.id}.jsonl"), "--connect", address),
            *("--connections", str(FLEET_CONNECTIONS), "--lane", lane),
            *("--rate", str(rate), "--terminals", str(terminals)),
            *("--mixture", self._options.mixture),
            *("--patience-ms", str(acquirer.terminal_timeout_ms)),
            *(part for route in plan.routes for part in ("--prefix", route.prefix)),
        ]
        if self._options.tokens:
            part = f"{lane}/{len(plan.acquirers)}"
            arguments += ["--tokens", str(self._tokens), "--part", part]
            arguments += ["--node", str(self._directory / "config")]
        child = Child(acquirer.id, arguments, self._logs / f"{acquirer.id}.log")
        self._fleets[acquirer.id] = child
        await child.start()

    async def _flow(self) -> bool:
        """Lets sales flow and shows them; True when it was told to end before its time."""
        until = self._began + (self._options.seconds or math.inf)
        with self._show() as show:
            while not self._end.is_set() and time.monotonic() < until:
                left = until - time.monotonic()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end.wait(), min(1.0, left))
                self._alive()
                # What is left of the last second would show a rate of nothing.
                if left >= 1.0:
                    show(self._snapshot())
        self._flowed = time.monotonic() - self._began
        return self._end.is_set()

    async def _rest(self) -> bool:
        """Stops offering, heals the banks, and waits until nothing is open anywhere."""
        self._say("coming to rest: nothing new is offered, the banks heal, what is open ends")
        for fleet in self._fleets.values():
            fleet.order("pause")
        for bank in self._banks.values():
            bank.order("heal")
        open_work = "a simulator does not report"
        try:
            async with asyncio.timeout(DRAIN_S):
                while True:
                    open_work = await self._open_work()
                    if not open_work:
                        return True
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self._say(f"not at rest after {DRAIN_S:.0f} s: {open_work}")
            return False

    async def _open_work(self) -> str:
        """What is still open, in words; empty at rest."""
        assert self._tail is not None
        fleets = [await fleet.report() for fleet in self._fleets.values()]
        banks = [await bank.report() for bank in self._banks.values()]
        self._tail.poll()
        counts = {
            # A status line may be older than the order to pause.
            "fleets still offering": sum(status["offering"] for status in fleets),
            "sales under way": sum(status["in_flight"] for status in fleets),
            "answers at banks": sum(status["waiting"] for status in banks),
            "requests in flight": self._tail.in_flight,
            "reversals owed": self._tail.owed,
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)

    async def _stop(self) -> None:
        """In the order in which nobody misses anybody."""
        assert self._node is not None
        await asyncio.gather(*(fleet.stop() for fleet in self._fleets.values()))
        self._node.look()
        code = await self._node.stop()
        if code:
            self._say(f"the switch ended with exit code {code}")
        await asyncio.gather(*(bank.stop() for bank in self._banks.values()))

    async def _leave_nothing(self) -> None:
        """Whatever still runs ends now."""
        children = (*self._fleets.values(), *self._banks.values())
        for child in children:
            child.kill()
        if self._node is not None:
            await self._node.kill()
        await asyncio.gather(*(child.stop() for child in children))

    def _alive(self) -> None:
        """Raises OperatorError when a part has ended by itself."""
        assert self._node is not None
        self._node.check()
        for child in (*self._fleets.values(), *self._banks.values()):
            child.check()

    # What is said.

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def _show(self) -> Iterator[Callable[[Snapshot], None]]:
        """The live screen on a terminal, plain lines elsewhere."""
        if not self._console.is_terminal:
            yield lambda snapshot: self._say(plain(snapshot))
            return
        with Live(console=self._console, auto_refresh=False, screen=False) as live:
            yield lambda snapshot: live.update(screen(snapshot), refresh=True)

    def _snapshot(self) -> Snapshot:
        assert self._tail is not None
        assert self._node is not None
        self._tail.poll()
        self._node.look()
        fleets = [fleet.status for fleet in self._fleets.values()]
        declined: Counter[str] = Counter()
        for status in fleets:
            declined.update(status.get("declined", {}))
        rates = [
            self._rates.setdefault(name, Rate()).take(fleet.status)
            for name, fleet in self._fleets.items()
        ]
        return Snapshot(
            elapsed_s=time.monotonic() - self._began,
            rate=sum(rates),
            offered=_sum(fleets, "offered"),
            taps=_sum(fleets, "taps"),
            approved=_sum(fleets, "approved"),
            declined=declined,
            unknown=_sum(fleets, "unknown"),
            repeats=_sum(fleets, "repeats"),
            in_flight=self._tail.in_flight,
            reversals_done=self._tail.settled,
            reversals_waiting=self._tail.owed,
            ours_us=self._node.ours.since_last(*SHOWN),
            bank_us=self._node.bank.since_last(*SHOWN),
            refused=self._node.refused,
            links=[
                *map(_fleet_row, self._fleets.values()),
                *(_bank_row(self._banks[name]) for name in sorted(self._banks)),
            ],
            warnings=list(warnings(native.BUILD_PROFILE)),
        )

    def _compare(self) -> Report:
        assert self._node is not None
        node = self._node
        sales = [self._ledgers / f"{name}.jsonl" for name in self._fleets]
        banks = {name: self._ledgers / f"{name}.jsonl" for name in self._banks}
        return compare(
            lambda: (line for path in sales for line in read_sales(path)),
            lambda: node.records(0),
            {name: partial(read_bookings, path) for name, path in banks.items()},
        )

    def _taps(self) -> dict[str, Any]:
        """What devices did and found, and why the switch refused taps."""
        assert self._node is not None
        fleets = [fleet.status for fleet in self._fleets.values()]
        tricks: Counter[str] = Counter()
        proofs: Counter[str] = Counter()
        for status in fleets:
            tricks.update(status.get("tricks", {}))
            proofs.update(status.get("proofs", {}))
        return {
            "tokens": self._options.tokens,
            "offered": _sum(fleets, "taps"),
            "genuine": self._node.genuine,
            "refused": dict(sorted(self._node.refused.items())),
            "tricks": dict(sorted(tricks.items())),
            "unexpected": _sum(fleets, "unexpected"),
            "proofs": dict(sorted(proofs.items())),
        }

    def _conclude(self, report: Report, rested: bool, interrupted: bool) -> int:
        assert self._node is not None
        broken_rules = self._node.verify()
        ok = report.ok and rested and not broken_rules
        p50, p99, p999 = self._node.ours.since_start(0.5, 0.99, 0.999)
        summary = {
            name: getattr(report, name)
            for name in ("offered", "approved", "declined", "timed_out", "cancelled", "reversed")
        } | {
            "latency_ours_us": {"p50": p50, "p99": p99, "p999": p999},
            "taps": self._taps(),
            "conservation": {
                "ok": ok,
                "rested": rested,
                "approvals_acquirer": report.approvals_acquirer,
                "approvals_journal": report.approvals_journal,
                "holds_issuer": report.holds_issuer,
                "broken_rules": broken_rules,
                "findings_total": report.findings_total,
                "findings": [msgspec.to_builtins(finding) for finding in report.findings],
            },
            "seconds": round(self._flowed, 1),
            "native": native.BUILD_PROFILE,
        }
        if self._options.as_json:
            sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        else:
            findings = [f"{finding.rule}: {finding.text}" for finding in report.findings]
            findings += [f"journal {rule['rule']}: {rule['problem']}" for rule in broken_rules]
            sys.stdout.write(closing(summary, findings) + "\n")
        sys.stdout.flush()
        if not ok:
            return CONSERVATION_FAILED
        return INTERRUPTED if interrupted else 0


class Rate:
    """Sales a second between a fleet's last two different status lines, by its own clock."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._offered = 0
        self._rate = 0.0

    def take(self, status: Mapping[str, Any]) -> float:
        at_s, offered = status.get("at_s", 0.0), status.get("offered", 0)
        if at_s > self._at_s:
            self._rate = (offered - self._offered) / (at_s - self._at_s)
            self._at_s, self._offered = at_s, offered
        return self._rate


def _sum(statuses: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(status.get(name, 0) for status in statuses)


def _fleet_row(child: Child) -> LinkRow:
    status = child.status
    return LinkRow(
        child.name,
        "acquirer",
        FLEET_CONNECTIONS,
        status.get("connected", 0),
        status.get("in_flight", 0),
        status.get("offered", 0),
        status.get("owed", 0),
        (status.get("p50_us", 0), status.get("p99_us", 0)),
    )


def _bank_row(child: Child) -> LinkRow:
    status = child.status
    return LinkRow(
        child.name,
        "bank",
        status.get("connections", 0),
        status.get("signed_on", 0),
        status.get("waiting", 0),
        status.get("requests", 0),
        status.get("reversals", 0),
        (status.get("p50_us", 0), status.get("p99_us", 0)),
    )


def run(options: Options) -> int:
    """The command: makes the directory, runs, and clears away unless told to keep."""
    if options.keep is not None:
        try:
            options.keep.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            raise OperatorError("exists already", file=str(options.keep)) from None
        return asyncio.run(Demo(options, options.keep).run())
    directory = Path(tempfile.mkdtemp(prefix="tapswitch-demo-"))
    good = False
    try:
        code = asyncio.run(Demo(options, directory).run())
        good = code in (0, INTERRUPTED)
    finally:
        if good:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            sys.stderr.write(f"left for you to look at: {directory}\n")
    return code
