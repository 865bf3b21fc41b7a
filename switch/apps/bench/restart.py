"""How long a node is away that is killed with a full day in its journal.

The day is made by real traffic. Then the whole node is killed (SIGKILL, worker and supervisor), so
that nothing is put in order before, and started again by `tapswitch run`. The clock runs from that
command to the first approval in an acquirer's hands: interpreter, keys, replay, the bank's sign-on,
the acquirer's connection and sign-on, two durable records and the bank are all in it.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from switch.apps.bench import systems
from switch.apps.bench.measure import fault_of
from switch.apps.bench.plan import Plan
from switch.client.acquirer import Policy
from switch.crypto.keyfile import open_keys
from switch.errors import UnreachableError
from switch.journal.reader import Reader, open_reader
from switch.native import load
from switch.settings.load import load as load_settings
from switch.sim.pay import Sale, pay
from switch.sim.steering import load_dialect, parse_address

__all__ = ["FIRST_ANSWER_S_MAX", "RECORDS", "Restart", "measure_restart"]

RECORDS: Final = 1_000_000
FIRST_ANSWER_S_MAX: Final = 5.0
DEPTH: Final = 32
FILL_MS: Final = 1_000
READY_S_MAX: Final = 60.0
FILL_S_MAX: Final = 600.0
"""A machine that needs longer to fill a day's journal says nothing about its start."""


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """One start. Seconds since `tapswitch run` was called."""

    records: int
    """Replayed."""
    ready_s: float
    """Links are open on both sides."""
    answered_s: float
    """The first approval has arrived."""
    replay_s: float
    """Of that, opening and replaying the journal, by the worker's own clock."""
    in_doubt: int
    owed: int


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """A start over a day's journal, and one over an empty journal beside it."""

    bench: str = "restart"
    records: int
    """In the journal when it was killed, all of them replayed."""
    checkpoint: int
    """Record from which the replay starts; 0: the first."""
    journal_mib: int
    empty: Once
    starts: list[Once]
    limit_s: float = FIRST_ANSWER_S_MAX
    worst_s: float
    ok: bool


def measure_restart(
    records: int, starts: int, directory: Path, say: Callable[[str], None]
) -> Restart:
    """Raises: UnreachableError, OperatorError."""
    plan = Plan(tokens=0)
    bank = load.Bank()
    try:
        (home := directory / "empty").mkdir()
        with systems.node(bank, plan, home) as node:
            _kill(node)
        empty = _start(home)
        say(f"empty journal: first answer after {empty.answered_s:.2f} s")
        (home := directory / "full").mkdir()
        with systems.node(bank, plan, home) as node:
            _fill(node, plan, home, records, say)
            _kill(node)
        found = []
        for _ in range(starts):
            found.append(_start(home))
            said = f"ready {found[-1].ready_s:.2f} s, of that replay {found[-1].replay_s:.2f} s"
            say(f"first answer after {found[-1].answered_s:.2f} s ({said})")
    finally:
        bank.close()
    summary = _reader(home).summary()
    worst = max(one.answered_s for one in found)
    return Restart(
        records=found[0].records,
        checkpoint=summary["checkpoint_lsn"],
        journal_mib=sum(f.stat().st_size for f in home.glob("data/journal/w0/*.seg")) >> 20,
        empty=empty,
        starts=found,
        worst_s=worst,
        ok=worst <= FIRST_ANSWER_S_MAX and found[0].records >= records,
    )


def _reader(home: Path) -> Reader:
    keys = load_settings(home / "config").keys
    return open_reader(
        home / "data" / "journal" / "w0", open_keys(keys.file, keys.sealing_key_file)
    )


def _fill(
    node: systems.System, plan: Plan, home: Path, records: int, say: Callable[[str], None]
) -> None:
    """Authorisations until the journal holds so many records."""
    began = time.monotonic()
    generator = load.Generator(node.address, plan.connections, issuer=systems.CARDS, pid=node.pid)
    generator.sign_on()
    try:
        while (there := _reader(home).summary()["last_lsn"]) < records:
            if time.monotonic() - began > FILL_S_MAX:
                raise UnreachableError(f"only {there:,} records after {FILL_S_MAX:.0f} s")
            # Two records each; the last round is no longer than it must be.
            rate = there / (time.monotonic() - began) or 1.0
            left_ms = int((records - there) / rate * 1_000) + 100
            outcome = generator.closed(DEPTH, warm_ms=0, measure_ms=min(FILL_MS, left_ms))
            if fault := fault_of(outcome):
                raise UnreachableError(f"the switch did not answer every request: {fault}")
    finally:
        generator.close()
    say(f"{there:,} records after {time.monotonic() - began:.0f} s of traffic")


def _kill(node: systems.System) -> None:
    """Supervisor first, so that it starts no successor."""
    for pid in (node.tree, node.pid):
        os.kill(pid, signal.SIGKILL)


def _start(home: Path) -> Once:
    """One start to its first answer; killed again then."""
    log = home / "switch.log"
    before = log.stat().st_size
    told_in = home / "data" / "run" / "worker.json"
    # What the killed one has left.
    told_in.unlink(missing_ok=True)
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            systems.run_command(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    worker = 0
    try:
        while not told_in.exists():
            if process.poll() is not None or time.monotonic() - began > READY_S_MAX:
                raise UnreachableError(f"it did not start again: {_log(log, before)[-1500:]}")
            time.sleep(0.005)
        ready = time.monotonic()
        told = systems.ready_of(home)
        worker = told["pid"]
        sale = Sale(institution_code=systems.ACQUIRER_CODE, prefix=systems.CARDS, amount_minor=1234)
        address = parse_address(told["acquirers"]["ACQ01"])
        paid = pay(load_dialect(None), address, Policy(1), sale)
        answered = time.monotonic()
        if paid.code != "00":
            raise UnreachableError(f"the first answer was {paid.code or 'none'}")
    finally:
        for pid in (process.pid, worker):
            if pid:
                os.kill(pid, signal.SIGKILL)
        process.wait()
    lines = [json.loads(line) for line in _log(log, before).splitlines() if line.startswith("{")]
    (recovered,) = [line for line in lines if line.get("event") == "journal.recovered"]
    return Once(
        records=recovered["records"],
        ready_s=round(ready - began, 2),
        answered_s=round(answered - began, 2),
        replay_s=recovered["took_ms"] / 1000,
        in_doubt=recovered["in_doubt"],
        owed=recovered["owed"],
    )


def _log(log: Path, after: int) -> str:
    with log.open("rb") as file:
        file.seek(after)
        return file.read().decode(errors="replace")
