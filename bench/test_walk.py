"""The whole walk of an authorisation without sockets: what the loop's thread computes for it.

Chunk in, decode, claim, route, record, the bank's leg; its answer in, matched, recorded, the
acquirer's leg. Both records are durable before anything is released, as always; the time counted is
this thread's CPU, so that the disk and the journal's own thread are not in it. The bank is the
native one of the load generator, and its 0.3 µs an answer are.
"""

import select
import time
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.floor.durable import open_journal
from switch.engine.deliver import IssuerRules
from switch.engine.engine import AcquirerRules, Engine
from switch.link.matcher import Matcher
from switch.link.window import Window
from switch.model.tally import Tally
from switch.native import journal, load, walk
from switch.runtime.clock import BusinessDay, monotonic_ns, wall_s
from switch.runtime.gate import Gate
from switch.runtime.member import Acquirer, Bank
from switch.sim.steering import load_dialect
from switch.wire import Framer

BATCH = 64
FIRST_TXN = 1 << 56 | 1


class World:
    """A worker's parts without its loop: one acquirer and one bank, a connection to each."""

    def __init__(self, keys: journal.Keys, log: journal.Journal) -> None:
        self.log = log
        dialect = load_dialect(None)
        duplicates = walk.Duplicates(keys, 1 << 20)
        self.native = native = walk.Gate(log, duplicates, None, "90000001")
        self.acquirer = native.institution("ACQ01", "10000001")
        bank = native.institution("BANK01", "20000001")
        self.terminal = native.attach(self.acquirer, dialect)
        self.host = native.attach(bank, dialect)
        self.requests, self.replies = Framer(dialect), Framer(dialect)
        self.matcher: Matcher[Any, Any] = Matcher(Window(), 1_024)
        numbers: Matcher[Any, Any] = Matcher(Window(), 1)
        acquirers = {self.acquirer: Acquirer(self.acquirer, "ACQ01", "10000001", 9_999, 1, numbers)}
        host = Bank(bank, "BANK01", self.matcher, 1, ready=[self.host], tallies=[Tally()])
        host.serving = host.ready
        banks = {bank: host}
        self.noted: list[str] = []
        gate = Gate(
            native,
            duplicates,
            log,
            acquirers,
            banks,
            BusinessDay("Asia/Shanghai", "23:00"),
            self.note,
        )
        self.engine = Engine(
            gate,
            duplicates,
            walk.Routes([("629900", bank)]),
            {bank: IssuerRules(20_000, 5_000, 60_000, 10, dialect.reversal_final)},
            {self.acquirer: AcquirerRules(False)},
            FIRST_TXN,
        )

    def note(self, what: str, _txn: int) -> None:
        self.noted.append(what)

    def authorise(self, chunk: bytes) -> bytes:
        """Requests in, answers out."""
        now, now_s = monotonic_ns(), wall_s()
        request, terminal, acquirer = self.engine.request, self.terminal, self.acquirer
        for message in self.requests.feed(chunk, now):
            assert not request(message, terminal, acquirer, now, now_s)  # type: ignore[arg-type]
        asked = self.durable()
        now = monotonic_ns()
        match, reply = self.matcher.match, self.engine.reply
        for message in self.replies.feed(load.answers(asked[self.host]), now):
            txn = match(message)  # type: ignore[arg-type]
            assert txn is not None
            assert not reply(txn, message, now)  # type: ignore[arg-type]
        return self.durable()[self.terminal]

    def durable(self) -> dict[int, bytes]:
        """Commits, waits for the disk, releases."""
        self.native.commit()
        while self.log.synced < self.log.appended:
            assert select.select([self.log.fileno], [], [], 10)[0], "the journal stands still"
            self.log.acknowledge()
        return dict(self.native.release(monotonic_ns()))


@pytest.mark.benchmark(timer=time.thread_time)
def test_walk(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """64 authorisations that arrive together."""
    with open_journal(str(tmp_path)) as (keys, log):
        world = World(keys, log)
        serials = iter(range(1, 1 << 30, BATCH))

        def chunk() -> tuple[tuple[bytes], dict[str, object]]:
            return (load.request(next(serials), BATCH)[0],), {}

        answers = benchmark.pedantic(  # type: ignore[no-untyped-call]
            world.authorise, setup=chunk, rounds=200, warmup_rounds=20
        )
        assert answers.count(b"0210") >= BATCH
        assert not world.noted
        assert world.matcher.in_flight == {}
        appended = log.appended
    assert appended % (2 * BATCH) == 0
