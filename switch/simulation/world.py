"""One seed, one world, one run: warm-up, faults, healing, rest, and the audit of what is left."""

import asyncio
import contextlib
import gc
import random
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.errors import JournalError
from switch.native import hook, simulation
from switch.simulation import mutants
from switch.simulation.aims import Aims
from switch.simulation.audit import REST_S, WARM_S, audit
from switch.simulation.cast import acquirers_of, banks_of, gateway_of
from switch.simulation.chance import Choices, rounded
from switch.simulation.crowd import charging
from switch.simulation.fold import Recorded, fold
from switch.simulation.ground import (
    Shared,
    shared,
)
from switch.simulation.guard import guarded
from switch.simulation.ledgers import Asked
from switch.simulation.loop import DeadlockError, EndlessError, VirtualLoop
from switch.simulation.network import Network, Weather
from switch.simulation.node import Node
from switch.simulation.operator import Operator, told_orders
from switch.simulation.oracles import Broken, Evidence, judge
from switch.simulation.ordeals import DAMAGE, Ordeals
from switch.simulation.plan import Plan, Script, noise, stream
from switch.simulation.ports import START_NS
from switch.simulation.register import Register
from switch.simulation.rest import impossible, restless, standing
from switch.simulation.script import scripts
from switch.simulation.token_rules import Tokens
from switch.simulation.trace import Trace
from switch.simulation.vault import left_of

__all__ = ["Outcome", "World", "run"]

SECOND: Final = 1_000_000_000
LOOK_S: Final = 0.05
TURNS_PER_TRANSACTION: Final = 4_000
HOUR_S: Final = 3_600
TIMED: Final = ("kill", "power_cut", "gateway_kill", "stop", "clock_step", "checkpoint")
"""Faults of process and clock, beside those of the disk."""
HALTS: Final = frozenset({"sync_error", "sync_dropped", "write_error", "no_space"})
"""Faults of the disk after which a node may stop by itself."""


class Outcome(msgspec.Struct):
    """What came of a seed."""

    seed: int
    journal: str
    """SHA-256 of the journal's durable image at the end."""
    end_ns: int
    transactions: int
    requests: int
    """That acquirers sent, reversals and repeats included."""
    records: int
    lives: int
    broken: list[Broken]
    counts: dict[str, int]
    """What happened how often: faults, and states in which they struck."""


class World:
    """Everything that a seed makes. `run` once."""

    def __init__(
        self, plan: Plan, ground: Shared | None = None, trace: Trace | None = None
    ) -> None:
        self.plan = plan
        self.ground = ground or shared()
        self.trace = trace
        self.broken: list[Broken] = []
        self.counts: Counter[str] = Counter()
        self.asked = Asked()
        self.step_s = 0
        self.stepped = False
        self.ended: list[tuple[str, str]] = []
        self.loop = VirtualLoop(START_NS, self._advanced, self._raised, self._after)
        self.loop.turns_max = TURNS_PER_TRANSACTION * plan.transactions + 2_000_000
        weather = Weather(plan.latency_us)
        for name in ("split", "delay", "stall", "reset", "half_open"):
            setattr(weather, name, plan.faults.get(name, 0.0))
        self.choices = Choices(plan.choices)
        self.network = Network(self.loop, noise(plan, "net"), weather, self.choices)
        self.loop.plug(self.network)
        self.network.struck = self.struck
        self._waits = noise(plan, "restart")
        self.disk = simulation.Disk(plan.seed & 0xFFFF_FFFF)
        write_us, _, create_us = plan.disk_us
        self.disk.speed(write_us=write_us, create_us=create_us, spread=0.0 if plan.still else 0.5)
        self.wallet = self.ground.wallet(plan)
        self.gateway = gateway_of(self)
        self.operator = Operator(self, self.gateway) if self.gateway is not None else None
        self.node = Node(
            self.loop,
            self.network,
            self.ground.settings(plan),
            self.ground.keys,
            self.ground.dialect,
            self.disk,
            self._pump,
            self._sync_s,
            lambda: 0.02 + 0.3 * self._waits.random(),
            self._node_ended,
            self._cut,
        )
        self.banks = banks_of(self)
        self.acquirers = acquirers_of(self)
        self._disk_rng = noise(plan, "disk")
        self.scripts: list[Script] = []
        """What acquirers were asked to do."""
        self._syncs = self._cuts = 0
        if trace is not None:
            trace.plug(self)
        self.aims = Aims(self, plan.aims)
        self.ordeals = Ordeals(self)
        self._turn = 0
        self.audited = 0
        """Number of the next transaction that nobody planned."""

    # -- what the loop tells ----------------------------------------------------------------------

    def _wall_ns(self, now_ns: int) -> int:
        return self.plan.start_s * SECOND + (now_ns - START_NS) + self.step_s * SECOND

    def wall_ns(self) -> int:
        """The wall clock of now."""
        return self._wall_ns(self.loop.now_ns)

    def _advanced(self, now_ns: int) -> None:
        simulation.set_now(now_ns, self._wall_ns(now_ns))

    def _raised(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, hook.Crashed):
            return  # `_after` looks for it.
        if isinstance(error, JournalError) and self.disk_failed():
            return  # The process is about to stop by it.
        text = context.get("message", "")
        if error is not None:
            at = traceback.extract_tb(error.__traceback__)[-2:]
            frames = " > ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in at)
            text = f"{text}: {type(error).__name__}: {error} ({frames})"
        self.breaks("raised", text)

    def _after(self) -> None:
        point = hook.reached()
        if point is not None:
            hook.arm("")
            self.aims.crashed(point)

    def breaks(self, rule: str, text: str) -> None:
        """Something that must not be."""
        self.broken.append(Broken(rule, text))

    def note(self, what: str) -> None:
        """Something that happened, for the trace."""
        if self.trace is not None:
            self.trace.note(what)

    # -- the node ---------------------------------------------------------------------------------

    def _pump(self, kick: Callable[[], None]) -> Any:
        pump = simulation.Pump(
            self.disk,
            self.ground.keys,
            segment_bytes=self.plan.segment_bytes,
            pending_bytes_max=1 << 20,
            kick=kick,
        )
        pump.here = self.plan.here
        return pump

    def _sync_s(self) -> float:
        """How long the device takes to make a group durable."""
        took = self.plan.disk_us[1] * (0.5 + self._disk_rng.random())
        drawn, how = self._disk_rng.random(), 0.2 + 2 * self._disk_rng.random()
        if self.network.foul:
            self._syncs += 1
            slow = drawn < self.plan.faults.get("slow_disk", 0.0) * 0.02
            more_us = float(round(1_000 * self.plan.deadline_ms * how))
            where = f"sync/{self._syncs}"
            what, by = self.choices.of(where, "slow_disk" if slow else "", (more_us,))
            if what:
                self.counts["slow_disk"] += 1
                took += by[0]
        return took * 1e-6

    def _cut(self) -> None:
        """The power is cut: the disk keeps what it draws, or what the plan says."""
        self._cuts += 1
        kept, _ = self.choices.of(f"power/{self._cuts}", "")
        if kept == "keep_all":
            self.disk.crash(self.disk.unsynced())
        elif kept == "keep_none":
            self.disk.crash([])
        else:
            self.disk.crash()

    def _node_ended(self, how: str, why: str) -> None:
        self.note(f"node ended: {how} {why}")
        self.counts[f"node_{how}"] += 1
        self.ended.append((how, why))
        allowed = how == "stopped" or (how in {"failed", "refused"} and self.disk_failed())
        if how == "refused" and self.ordeals.refused():
            return
        if not allowed:
            self.breaks("halt", f"the node ended by itself: {how} {why}")

    def disk_failed(self) -> bool:
        """A fault of the disk has struck."""
        counts = self.disk.counts()
        return any(counts.get(name, 0) for name in _INJECTED)

    def power_cut(self, *, power: bool = True, why: str = "") -> None:
        """The node is killed now; without power, its gateway too."""
        if power:
            self.kill_gateway("with the power")
        if self.node.life is None:
            return
        self.note(f"{'power cut' if power else 'kill'} {why}")
        self.counts["power_cut" if power else "kill"] += 1
        self.struck("power_cut" if power else "kill")
        self.node.kill(power=power)

    def kill_gateway(self, why: str) -> None:
        """Its process ends now; the worker's does not."""
        if self.gateway is not None and self.gateway.life is not None:
            self.counts["gateway_kill"] += 1
            if self.operator is not None and self.operator.open:
                self.counts["gateway_kill while ordered"] += 1
            self.note(f"the gateway is killed {why}")
            self.gateway.kill()

    def struck(self, fault: str) -> None:
        """Notes in which state the switch was when a fault struck."""
        worker = self.node.worker
        if worker is None or not self.node.up:
            self.counts[f"{fault} while starting"] += 1
            return
        if worker.driver.engine.in_flight:
            self.counts[f"{fault} while in flight"] += 1
        if worker.driver.engine.owed_count:
            self.counts[f"{fault} while reversals owed"] += 1
        if worker.journal.appended > worker.journal.synced:
            self.counts[f"{fault} while records not durable"] += 1

    # -- the run ----------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """From begin to end; never raises for what a world may bring about."""
        plan = self.plan
        try:
            self.loop.run_until_complete(self._main())
        except (DeadlockError, EndlessError) as error:
            self.breaks("rest", str(error))
        outcome = Outcome(
            plan.seed,
            self.disk.image_hash(),
            self.loop.now_ns - START_NS,
            plan.transactions,
            sum(self._requests()),
            0,
            self.node.lives,
            [],
            {},
        )
        with contextlib.suppress(Exception):
            self.node.kill(power=False)
        recorded = self._judge()
        outcome.records = recorded
        outcome.broken = self.broken
        outcome.counts = self._counted()
        self._close()
        return outcome

    def explicit(self) -> Plan:
        """This world with everything told that was drawn: it runs to the same end."""
        told = {one.where: one for one in self.choices.made}
        return self.plan.without(
            script=tuple(self.scripts),
            choices=tuple(told.values()),
            span_us=self.span_us,
            faults={},
            transactions=len(self.scripts),
        )

    def _requests(self) -> Iterator[int]:
        for slot in self.asked.slots.values():
            yield from (len(body.sent) for body in slot.bodies.values())
            yield from (len(undoing.sent) for undoing in slot.undoings)

    async def _main(self) -> None:
        self._begin()
        if not await self.until(self.warm, WARM_S):
            self.breaks("rest", "the world does not come up")
            return
        await self._safety()
        self._heal()
        rested = await self.until(self.at_rest, REST_S)
        if not rested:
            self.breaks("rest", f"not at rest {REST_S} s after healing: {restless(self)}")
        await asyncio.sleep(0.3)
        if rested:
            self._caps()
            self.standing = standing(self)
            await audit(self)

    standing: frozenset[int] = frozenset()

    def _begin(self) -> None:
        for index, bank in enumerate(self.banks.values()):
            bank.open(dial=self.plan.accepts and index == self.plan.banks - 1)
        if self.gateway is not None:
            self.gateway.start()
        self.node.start()
        for acquirer in self.acquirers:
            acquirer.start()

    async def until(self, done: Callable[[], bool], within_s: float) -> bool:
        """Whether it was done within so much virtual time."""
        give_up = self.loop.time() + within_s
        while not done():
            if self.loop.time() > give_up:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def warm(self) -> bool:
        """The node is up, and every acquirer signed on."""
        return self.node.up and all(one.pick(0) is not None for one in self.acquirers)

    async def _safety(self) -> None:
        plan = self.plan
        self.note("faults from here")
        self.network.foul = True
        self.aims.arm()
        self.scripts = list(scripts(plan))
        last_us = self.scripts[-1].at_us if self.scripts else 0
        self.span_us = max(plan.span_us, last_us)
        self._schedule(max(self.span_us, 200_000))
        begun = self.loop.time()
        for script in self.scripts:
            await self._sleep_until(begun + script.at_us * 1e-6)
            if self.trace is not None:
                self.trace.begins(script)
            self.acquirers[script.acquirer].begin(script)
            self._caps()
        await self._sleep_until(begun + self.span_us * 1e-6)
        await asyncio.sleep(plan.deadline_ms * 1e-3)

    span_us = 0
    """How long faults struck, before the last request had had its time."""

    async def _sleep_until(self, when: float) -> None:
        if when > self.loop.time():
            await asyncio.sleep(when - self.loop.time())

    def _schedule(self, span_us: int) -> None:
        """What happens to process, disk and clock, and when."""
        later = self.loop.call_later
        self._schedule_orders(span_us)
        if self.choices.told:
            for one in self.choices.under("world/"):
                self.choices.of(one.where, "")
                later(one.how[0] * 1e-6, self._happens, one.what, one.how[1])
            return
        rng = stream(self.plan.seed, "world")
        timed = (*TIMED, *sorted(HALTS), *DAMAGE)
        for name in timed:
            times, when = rng.random(), [(rng.random(), rounded(rng.random())) for _ in range(3)]
            wanted = self.plan.faults.get(name, 0.0)
            count = int(wanted) + (times < wanted - int(wanted)) if wanted else 0
            for place, (at, how) in enumerate(when[:count]):
                at_us = round(at * span_us)
                self.choices.of(f"world/{name}/{place}", name, (float(at_us), how))
                later(at_us * 1e-6, self._happens, name, how)

    def _schedule_orders(self, span_us: int) -> None:
        operator = self.operator
        if operator is None:
            return
        if self.choices.told:
            wanted = [(int(o.where[6:]), o.what, o.how) for o in self.choices.under("order/")]
        else:
            drawn = told_orders(self.plan, span_us)
            wanted = [(place, what, how) for place, (what, how) in enumerate(drawn)]
        for place, what, how in wanted:
            self.choices.of(f"order/{place:03d}", what, how)
            self.loop.call_later(how[0] * 1e-6, operator.begin, place, what, how)

    def _happens(self, name: str, how: float) -> None:
        if self.network.healed:
            return
        self.note(f"fault: {name}")
        if name == "kill":
            self.power_cut(power=False, why="at a time")
        elif name == "power_cut":
            self.power_cut(why="at a time")
        elif name == "gateway_kill":
            self.kill_gateway("at a time")
        elif name == "stop":
            self.counts["stop"] += 1
            self.struck(name)
            self.node.stop()
        elif name == "clock_step":
            self.counts["clock_step"] += 1
            self.struck(name)
            self.stepped = True
            self.step_s += (HOUR_S, -HOUR_S, 61, -2)[int(how * 4)]
            self._advanced(self.loop.now_ns)
        elif name == "checkpoint":
            self.ordeals.checkpoint(how)
        elif name in DAMAGE:
            self.ordeals.damage(name, how)
        elif name == "no_space":
            self._room_ns = 0
            self.disk.capacity_bytes = sum(self.disk.files().values()) + int(how * 20_000)
            self.loop.call_later(0.2 + how, self._room)
        else:
            self.disk.fail(name, 1 + int(how * 20))

    def _room(self) -> None:
        self.disk.capacity_bytes = None
        alone = not any(self.plan.knows(name) for name in HALTS - {"no_space"})
        self._room_ns = self.loop.now_ns if alone else 0

    _room_ns = 0

    def _heal(self) -> None:
        self.note("healed")
        self._room_ns = self._room_ns or self.loop.now_ns
        self.network.foul = False
        self.network.healed = True
        self.aims.disarm()
        hook.arm("")
        self.disk.mend()
        self.disk.capacity_bytes = None
        for bank in self.banks.values():
            bank.heal()
        for acquirer in self.acquirers:
            acquirer.heal()

    # -- rest -------------------------------------------------------------------------------------

    def at_rest(self) -> bool:
        """Nothing is open, in flight or owed, and every line is back."""
        return not restless(self)

    def _caps(self) -> None:
        """Nothing grows beyond its cap, and nothing happened that cannot."""
        for rule, text in impossible(self):
            self.breaks(rule, text)

    # -- what is left -----------------------------------------------------------------------------

    def _judge(self) -> int:
        """Reads what is left, and compares."""
        try:
            archive = self.disk.archive()
            self.counts["segment removed"] += len(archive.files()) - len(self.disk.files())
            self.records = archive.records(self.ground.keys)
            recorded = fold(self.records)
            findings = self.disk.verify(self.ground.keys)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            self.breaks("J1", f"the journal cannot be read: {error}")
            return 0
        self.recorded = recorded
        if self.broken and any(one.rule == "rest" for one in self.broken):
            return recorded.records
        evidence = Evidence(
            self.plan,
            self.asked,
            self.banks,
            recorded,
            findings,
            self.standing,
            self.stepped,
            any(self.plan.knows(name) for name in HALTS),
            bool(self.node.shed.total()),
            self._tokens(),
            self.node.starts_ns,
            self._room_ns,
        )
        self.broken += judge(evidence)
        return recorded.records

    def _tokens(self) -> Tokens | None:
        """What is known of tokens, and what vault and index are left as."""
        if self.wallet is None:
            return None
        if self.operator is None or self.gateway is None:
            return Tokens(Register())
        left = left_of(self.gateway.directory, self.ground.keys)
        return Tokens(self.operator.register, self.gateway.tending, left)

    recorded: Recorded | None = None
    records: Sequence[dict[str, Any]] = ()
    """What the switch left behind."""

    def _counted(self) -> dict[str, int]:
        counts = self.counts + self.network.counts
        counts.update({f"shed: {why}": count for why, count in self.node.shed.items()})
        counts.update({f"stand-in: {fit}": n for fit, n in self.node.stand_ins.items()})
        if self.operator is not None:
            counts += self.operator.counts
        for bank in self.banks.values():
            counts += bank.counts
        for acquirer in self.acquirers:
            counts += acquirer.counts
        for name, count in self.disk.counts().items():
            counts[f"disk: {name}"] += count
        return dict(counts)

    def _close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        if self.gateway is not None:
            self.gateway.clear()
            shutil.rmtree(self.gateway.directory, ignore_errors=True)
        self.node.clear()
        self.loop.close()


_INJECTED: Final = (
    "read_error", "write_error", "sync_error", "sync_dropped", "create_no_space", "lost_write",
    "misdirected_write", "failed",
)  # fmt: skip


def run(
    plan: Plan,
    trace: Trace | None = None,
    made: Callable[["World"], None] | None = None,
) -> Outcome:
    """Runs one world in this process. Deterministic: the same plan, the same outcome. `made` gets
    the world, for whoever wants to look at it afterwards."""
    ground = shared()
    before = random.getstate()
    simulation.begin(plan.seed & 0xFFFF_FFFF_FFFF_FFFF, START_NS, plan.start_s * SECOND)
    random.seed(plan.seed)
    collects = gc.isenabled()
    gc.disable()
    try:
        with mutants.applied(plan.mutant), guarded(), contextlib.ExitStack() as stack:
            world = World(plan, ground, trace)
            if plan.crowd:
                world.counts["crowd"] += 1
                stack.enter_context(charging(world.loop))
            if made is not None:
                made(world)
            return world.run()
    finally:
        if collects:
            gc.enable()
        hook.arm("")
        simulation.end()
        random.setstate(before)
