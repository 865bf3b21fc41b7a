"""A whole small world of real processes and sockets, to be broken: a worker (bare, or with its
supervisor), simulated banks and terminals with ledgers of their own, and a network on each side
that fails on purpose. At its end the three ledgers are compared.

The simulators run on the test's loop: what is tested is the process in the middle.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from switch.apps.conservation import Report, compare
from switch.apps.tail import Tail
from switch.client.acquirer import Acquirer, Policy
from switch.crypto.keyfile import open_keys
from switch.journal.reader import Keys, Reader, open_reader
from switch.sim.cards import APPROVING, DEMO, Mixture, Wallet
from switch.sim.issuer import Issuer, IssuerPlan
from switch.sim.ledger import Ledger, read_bookings, read_sales
from switch.sim.network import Relay
from switch.sim.steering import load_dialect
from switch.sim.terminal import HABITS, Fleet, FleetPlan
from switch.wire.source import Source
from tests.support.node import Node
from tests.support.peer import ACQUIRER_CODE, until
from tests.support.tree import ROOT

__all__ = ["BareNode", "World", "world"]

REST_S: Final = 60.0
ENDED_S: Final = 60.0
FILE: Final = ROOT / "config" / "dialects" / "iso87-ascii.toml"
SOURCE: Final = Source(FILE, FILE.read_text(encoding="utf-8"))


class BareNode(Node):
    """A worker without a supervisor: when it ends, it stays ended until it is started again."""

    wrapped: tuple[str, ...] = ()
    """A command that is given the worker's command line, such as strace."""

    def command(self) -> list[str]:
        return [
            *self.wrapped, sys.executable, "-m", "switch.apps.worker",
            "--config", str(self.directory),
        ]  # fmt: skip

    async def launch(self) -> asyncio.subprocess.Process:
        """Starts it and does not wait for it to be ready."""
        self.ready_file.unlink(missing_ok=True)
        with self.output.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            )
        return self.process

    async def start(self) -> "BareNode":
        process = await self.launch()
        await until(lambda: bool(self.told()) or process.returncode is not None, what="ready")
        assert process.returncode is None, self.text()[-2000:]
        return self

    async def stop(self) -> int:
        # Not to what it is wrapped in: strace would let go of it and leave it running.
        os.kill(self.worker_pid, signal.SIGTERM)
        return await self.ended()

    async def ended(self, within_s: float = ENDED_S) -> int:
        """Waits for its end; the exit code, negative for a signal."""
        assert self.process is not None
        async with asyncio.timeout(within_s):
            return await self.process.wait()


class World:
    """See `world`."""

    def __init__(
        self,
        directory: Path,
        node: Node,
        issuers: dict[str, Issuer],
        bank_nets: list[Relay],
        seed: int,
    ) -> None:
        self.directory = directory
        self.node = node
        self.issuers = issuers
        self.bank_nets = bank_nets
        """The network between switch and each bank; up is towards the bank."""
        self.acquirer_net = Relay(("127.0.0.1", 1), source=SOURCE, rng=Random(seed))
        """Between terminals and switch; up is towards the switch."""
        self.fleet: Fleet
        self.acquirer: Acquirer
        self.begun = False
        """Terminals sell."""
        self._tail = Tail(self.records)

    @property
    def bare(self) -> BareNode:
        """The node as a worker alone."""
        assert isinstance(self.node, BareNode)
        return self.node

    @property
    def bank_net(self) -> Relay:
        return self.bank_nets[0]

    @property
    def journal(self) -> Path:
        """The worker's journal directory."""
        return self.node.data / "journal" / "w0"

    def keys(self) -> Keys:
        from switch.settings.load import load

        settings = load(self.node.directory)
        return open_keys(settings.keys.file, settings.keys.sealing_key_file)

    def reader(self) -> Reader:
        return open_reader(self.journal, self.keys())

    def records(self, after: int = 0) -> Iterator[Mapping[str, Any]]:
        """The journal as it stands, also while it is written."""
        return self.reader().records(after=after)

    async def start(self) -> None:
        """Starts the node, or its next life, and lets terminals reach it."""
        await self.node.start()
        self.reach()

    def reach(self) -> None:
        """Terminals connect to where the node listens now."""
        host, _, port = self.node.acquirer.rpartition(":")
        self.acquirer_net.to = (host, int(port))

    async def begin(self, *, wait: bool = True) -> None:
        """Terminals connect and sell. `wait` False: the node may not live long enough for that."""
        self.begun = True
        self.acquirer.start()
        if wait:
            await self.acquirer.ready()
        self.fleet.start()

    async def sold(self, count: int, within_s: float = 60.0) -> None:
        """Waits until so many more sales have been answered."""
        done = self.answered + count
        await until(lambda: self.answered >= done, within_s, f"{count} sales answered")

    @property
    def answered(self) -> int:
        """Sales that have been answered so far."""
        status = self.fleet.status()
        return int(status["approved"] + sum(status["declined"].values()))

    @property
    def accepted(self) -> int:
        """Requests that the journal has as accepted and not answered, as it stands."""
        self._tail.poll()
        return self._tail.in_flight

    def resume(self) -> None:
        """After a rest: terminals sell again, banks misbehave again."""
        for issuer in self.issuers.values():
            issuer.bank.healed = False
        self.fleet.resume()

    async def rest(self, within_s: float = REST_S) -> None:
        """Nothing new is offered, banks and networks heal, and all that is open comes to its
        end."""
        self.fleet.pause()
        for issuer in self.issuers.values():
            issuer.heal()
        for relay in (self.acquirer_net, *self.bank_nets):
            relay.heal()
        await until(
            lambda: not self.fleet.status()["in_flight"] and not self.fleet.status()["owed"],
            within_s,
            "terminals at rest",
        )
        await until(
            lambda: not any(issuer.status()["waiting"] for issuer in self.issuers.values()),
            within_s,
            "banks at rest",
        )

        def quiet() -> bool:
            self._tail.poll()
            return not (self._tail.in_flight or self._tail.owed)

        await until(quiet, within_s, "the journal at rest")

    def compare(self) -> Report:
        """The three ledgers as they stand."""
        ledgers = self.directory / "ledgers"
        return compare(
            lambda: read_sales(ledgers / "ACQ01.jsonl"),
            self.records,
            {
                name: (lambda name=name: read_bookings(ledgers / f"{name}.jsonl"))  # type: ignore[misc]
                for name in self.issuers
            },
        )

    def agree(self) -> Report:
        """At rest: nothing was lost, made or doubled, and the journal keeps the rules."""
        report = self.compare()
        assert report.ok, "\n".join(
            f"{one.rule}: {one.text}\n  A {one.acquirer}\n  S {one.journal}\n  I {one.issuer}"
            for one in report.findings[:3]
        )
        assert report.offered > 0
        assert self.reader().verify() == []
        return report

    async def conserved(self) -> Report:
        """Comes to rest, stops the node, and finds that the three ledgers agree."""
        await self.rest()
        assert await self.node.stop() == 0, self.node.text()[-2000:]
        return self.agree()


@contextlib.asynccontextmanager
async def world(
    directory: Path,
    *,
    seed: int = 1,
    rate: float = 80.0,
    banks: int = 1,
    mixture: Mixture = APPROVING,
    habits: Mapping[Any, float] | None = None,
    supervised: bool = False,
    patience_s: float = 1.5,
    reversal_retry_s: float = 0.2,
    late_ms: float = 800,
    started: bool = True,
    **node: Any,
) -> AsyncIterator[World]:
    """A world at work: terminals sell `rate` times a second from the start on.

    `node` goes to `tests.support.node.Node`; deadlines are 600 ms unless it says otherwise.
    """
    dialect = load_dialect(None)
    ledgers = directory / "ledgers"
    ledgers.mkdir()
    async with contextlib.AsyncExitStack() as stack:
        # Last of all: sockets that were closed need a few turns of the loop to be gone.
        stack.push_async_callback(asyncio.sleep, 0.05)
        issuers: dict[str, Issuer] = {}
        nets: list[Relay] = []
        for number in range(banks):
            name = f"BANK{number + 1:02d}"
            ledger = stack.enter_context(Ledger(ledgers / f"{name}.jsonl"))
            plan = IssuerPlan(
                name,
                f"2000{number + 1}",
                (f"6299{number:02d}",),
                listen=("127.0.0.1", 0),
                fast_ms=(1, 8),
                slow_share=0.01,
                slow_ms=150,
                late_ms=late_ms,
            )
            issuer = Issuer(plan, dialect, ledger, Random(seed + number))
            await issuer.start()
            stack.push_async_callback(issuer.stop)
            assert issuer.address is not None
            net = Relay(issuer.address, source=SOURCE, rng=Random(seed))
            await net.start()
            stack.push_async_callback(net.stop)
            issuers[name] = issuer
            nets.append(net)
        addresses = ["{}:{}".format(*net.address) for net in nets if net.address is not None]
        kind = Node if supervised else BareNode
        place = directory / "node"
        # A test may have mounted its data directory already.
        place.mkdir(exist_ok=True)
        made = World(directory, kind(place, addresses, **node), issuers, nets, seed)
        stack.push_async_callback(made.node.end)
        # Shown by pytest when the test fails.
        stack.callback(lambda: sys.stdout.write(_text(made.node)))
        await made.acquirer_net.start()
        stack.push_async_callback(made.acquirer_net.stop)
        assert made.acquirer_net.address is not None
        policy = Policy(2, reversal_retry=reversal_retry_s, reconnect_max=0.1)
        made.acquirer = Acquirer(
            dialect, [made.acquirer_net.address], ACQUIRER_CODE, policy, Random(seed + 7)
        )
        sales = stack.enter_context(Ledger(ledgers / "ACQ01.jsonl"))
        chosen = HABITS if habits is None and mixture is DEMO else (habits or {})
        fleet = FleetPlan(
            "ACQ01", ACQUIRER_CODE, "A",
            rate=rate, terminals=max(100, int(rate * 5)), patience=patience_s, habits=chosen,
        )  # fmt: skip
        prefixes = [f"6299{number:02d}" for number in range(banks)]
        wallet = Wallet(prefixes, mixture, Random(seed + 9))
        made.fleet = Fleet(fleet, made.acquirer, wallet, sales, Random(seed + 11))
        stack.push_async_callback(made.acquirer.stop)
        stack.push_async_callback(made.fleet.stop)
        if started:
            await made.start()
            await made.begin()
        yield made


def _text(node: Node) -> str:
    return node.text()[-6000:] if node.output.exists() else "not started\n"
