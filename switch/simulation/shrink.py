"""A failing world made small: fewer transactions, fewer faults, a plainer and shorter world.

Everything that the seed drew is told first (`World.explicit`), so that taking one thing away moves
nothing else. Then lists are cut by delta debugging, from halves down to single lines, and the
shape of the world is made plain, until nothing more can go or the time is up. What is kept breaks
the same rule; of rules that say little (a halt, an assertion) it says the same too.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from switch.simulation.case import KEPT, Case
from switch.simulation.chance import Choice
from switch.simulation.oracles import VAGUE, Broken, chief
from switch.simulation.plan import DATES_S, MIDDLE, Aim, Plan, Script
from switch.simulation.script import KINDS
from switch.simulation.swarm import Result

__all__ = ["BUDGET_S", "Runner", "Shrinker", "Size", "shrink", "size_of"]

BUDGET_S: Final = 60.0
"""Real seconds for one failure."""
SLOWER: Final = 4.0
"""A smaller world that takes so many times as long as the first hangs."""
SECONDS_MIN: Final = 5.0
SAY_S: Final = 2.0
ROUNDS_MAX: Final = 4
LENGTH: Final = len("bank/") + 11 + len("/020")

Thing = TypeVar("Thing")


class Runner(Protocol):
    """Who runs cases: `switch.simulation.swarm.Pool`."""

    @property
    def jobs(self) -> int:
        """How many at once."""

    def many(self, cases: Sequence[Case], seconds: float) -> list[Result]:
        """Runs them side by side."""


class Size(msgspec.Struct, frozen=True):
    """How much there is of a world."""

    transactions: int
    faults: int
    """Those that strike, cuts that are aimed, and what acquirers do."""
    virtual_s: float

    def __str__(self) -> str:
        return (
            f"{self.transactions} transaction{'s' * (self.transactions != 1)},"
            f" {self.faults} fault{'s' * (self.faults != 1)}, {self.virtual_s:.3f} s"
        )


def size_of(result: Result) -> Size:
    """Of a world in which a rule was broken."""
    plan = result.plan
    assert plan is not None, "a world that broke no rule is not measured"
    rude = sum(len(script.faults) for script in plan.script or ())
    struck = sum(one.what not in KEPT for one in plan.choices or ())
    faults = struck + len(plan.aims) + rude
    return Size(len(plan.script or ()), faults, result.outcome.end_ns / 1e9)


def shrink(
    runner: Runner,
    result: Result,
    seconds: float = BUDGET_S,
    say: Callable[[str], None] = lambda _line: None,
    clock: Callable[[], float] = time.monotonic,
) -> "Shrinker":
    """Makes a failing world small within so many real seconds; `say` is told how far it is."""
    shrinker = Shrinker(runner, result, seconds, say, clock)
    shrinker.run()
    return shrinker


class Shrinker:
    """One failure. `best` is the smallest world so far that fails in the same way."""

    def __init__(
        self,
        runner: Runner,
        result: Result,
        seconds: float,
        say: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._say = say
        self._clock = clock
        self.first = result
        self.best = result
        self._mark = _mark(chief(result.outcome.broken))
        self._begun = clock()
        self._until = self._begun + seconds
        self._said = self._begun
        self._run_s = SECONDS_MIN
        self.runs = 0
        self.same = False
        """The world as it was told ends as the drawn one did."""

    @property
    def took_s(self) -> float:
        """Real seconds so far."""
        return self._clock() - self._begun

    @property
    def _plan(self) -> Plan:
        plan = self.best.plan
        assert plan is not None
        return plan

    # -- trying -----------------------------------------------------------------------------------

    def _left(self) -> bool:
        return self._clock() < self._until

    def _try(self, plans: Sequence[Plan]) -> int:
        """Place of the first that still fails, which is the best from now on; -1: none does."""
        now = self._clock()
        if now - self._said >= SAY_S:
            self._said = now
            self._say(
                f"shrinking {self._mark[0]}: {size_of(self.best)} after {self.runs} runs,"
                f" {now - self._begun:.0f} s"
            )
        seed, mutant = self.first.case.seed, self.first.case.mutant
        step = self._runner.jobs
        for first in range(0, len(plans), step):
            if not self._left():
                return -1
            some = plans[first : first + step]
            cases = [Case(seed, plan.transactions, (), mutant, plan) for plan in some]
            self.runs += len(cases)
            for place, found in enumerate(self._runner.many(cases, self._run_s)):
                if any(_mark(one) == self._mark for one in found.outcome.broken):
                    self.best = found
                    return first + place
        return -1

    def _plainer(self, **changes: Any) -> bool:
        plan = self._plan.without(**changes)
        return plan != self._plan and self._try([plan]) >= 0

    def _list(self, items: Sequence[Thing], build: Callable[[list[Thing]], Plan]) -> None:
        """The fewest items of a list: none, then halves off, then quarters, … then each."""
        kept = list(items)
        if not kept or self._try([build([])]) >= 0:
            return
        size = max(len(kept) // 2, 1)
        while self._left():
            place = 0
            while place < len(kept):
                spans = range(place, len(kept), size)[: self._runner.jobs]
                cut = [kept[:at] + kept[at + size :] for at in spans]
                cut = [one for one in cut if len(one) < len(kept)]
                found = self._try([build(one) for one in cut])
                if not self._left():
                    return
                if found < 0:
                    place += size * len(spans)
                else:
                    kept, place = cut[found], spans[found]
            if size == 1:
                return
            size //= 2

    # -- the way down -----------------------------------------------------------------------------

    def run(self) -> None:
        """All of it."""
        explicit = self.first.plan
        if explicit is None:
            return
        begun = self._clock()
        if self._try([explicit]) < 0:
            return
        self._run_s = max(SECONDS_MIN, SLOWER * (self._clock() - begun))
        self.same = self.best.outcome.journal == self.first.outcome.journal
        self._suspects()
        self._plainer(still=True)
        before = None
        for _ in range(ROUNDS_MAX):
            if before == self._plan or not self._left():
                break
            before = self._plan
            self._kinds()
            self._transactions()
            self._faults()
            self._shape()
            self._shorter()
        self._cuts()

    def _suspects(self) -> None:
        """The transactions that the rule names are mostly enough."""
        script = self._plan.script or ()
        for count in (1, 3, len(self.best.suspects)):
            named = frozenset(self.best.suspects[:count])
            few = tuple(one for one in script if one.number in named)
            if few and len(few) < len(script) and self._with_scripts(few):
                return

    def _with_scripts(self, script: Sequence[Script]) -> bool:
        return self._try([_told(self._plan, script)]) >= 0

    def _kinds(self) -> None:
        """Whole kinds of faults off."""
        if self._plainer(choices=(), aims=()):
            return
        choices = self._plan.choices or ()
        for room in dict.fromkeys(one.where.partition("/")[0] for one in choices):
            kept = tuple(one for one in self._plan.choices or () if not one.where.startswith(room))
            self._plainer(choices=kept)
        for what in dict.fromkeys(one.what for one in self._plan.choices or ()):
            kept = tuple(one for one in self._plan.choices or () if one.what != what)
            self._plainer(choices=kept)

    def _transactions(self) -> None:
        plan = self._plan
        self._list(plan.script or (), lambda some: _told(self._plan, some))

    def _faults(self) -> None:
        """Each fault, each aim, each rudeness of an acquirer."""
        self._list(self._plan.choices or (), lambda some: self._plan.without(choices=tuple(some)))
        self._list(self._plan.aims, lambda some: self._plan.without(aims=tuple(some)))
        for place, aim in enumerate(self._plan.aims):
            self._earlier(place, aim)
        script = self._plan.script or ()
        rude = [(one.number, name) for one in script for name in one.faults]
        self._list(rude, lambda some: _rude(self._plan, frozenset(some)))

    def _earlier(self, place: int, aim: Aim) -> None:
        """A cut at the first moment of its kind that still does it, and at once."""
        for changes in (
            {"nth": 1, "delay_us": 0}, {"nth": 1}, {"nth": 2}, {"nth": aim.nth // 2},
            {"nth": aim.nth - 1}, {"delay_us": 0}, {"power": False},
        ):  # fmt: skip
            aims = list(self._plan.aims)
            if changes.get("nth", 1) < 1 or changes.get("nth", 0) > aims[place].nth:
                continue
            aims[place] = msgspec.structs.replace(aims[place], **changes)
            self._plainer(aims=tuple(aims))

    def _shape(self) -> None:
        """A plainer world, and plainer transactions."""
        for changes in _PLAINER:
            self._plainer(**changes)
        for change in _SIMPLER:
            script = tuple(change(one) for one in self._plan.script or ())
            if script != self._plan.script and not self._with_scripts(script):
                for place in range(len(script)):
                    mixed = list(self._plan.script or ())
                    if place < len(mixed) and mixed[place] != script[place]:
                        mixed[place] = script[place]
                        self._with_scripts(mixed)
        for one in ("acquirers", "banks", "links", "bank_links"):
            for count in range(1, getattr(self._plan, one)):
                if self._try([_fewer(self._plan, one, count)]) >= 0:
                    break

    def _shorter(self) -> None:
        """In less time."""
        for share in (0.0, 0.1, 0.5):
            plan = _faster(self._plan, share)
            if plan != self._plan and self._try([plan]) >= 0 and not share:
                break
        last_us = max((one.at_us for one in self._plan.script or ()), default=0)
        if self._plan.span_us > last_us:
            self._plainer(span_us=0)

    def _cuts(self) -> None:
        """What a disk keeps at a power cut is said, and drawn no more."""
        at_once = any(one.where.startswith("world/") for one in self._plan.choices or ())
        if not (at_once or self._plan.aims or self._mark[0].startswith("J")):
            return
        for number in range(1, self.best.outcome.lives + 1):
            where = f"power/{number}"
            choices = tuple(one for one in self._plan.choices or () if one.where != where)
            plans = [
                self._plan.without(choices=(*choices, Choice(where, kept)))
                for kept in ("keep_none", "keep_all")
            ]
            self._try(plans)


def _mark(broken: Broken) -> tuple[str, str]:
    """What two failures must share to be the same: the rule, or its words without numbers."""
    text = re.sub(r"\d+", "#", broken.text)[:120] if broken.rule in VAGUE else ""
    return broken.rule, text


def _told(plan: Plan, script: Sequence[Script]) -> Plan:
    """With these transactions; what banks do with them follows when they change."""
    before = {one.number: _place(one) for one in plan.script or ()}
    places = {before[one.number]: _place(one) for one in script if one.number in before}
    choices = tuple(
        msgspec.structs.replace(one, where=places[one.where[:LENGTH]] + one.where[LENGTH:])
        if one.where[:LENGTH] in places
        else one
        for one in plan.choices or ()
    )
    return plan.without(script=tuple(script), transactions=len(script), choices=choices)


def _place(script: Script) -> str:
    """Where the choices of its bank begin."""
    return f"bank/{script.number:06d}{script.amount % 100_000:05d}/{KINDS[script.kind].mti[:3]}"


def _rude(plan: Plan, kept: frozenset[tuple[int, str]]) -> Plan:
    return _told(
        plan,
        [
            msgspec.structs.replace(
                one, faults=tuple(name for name in one.faults if (one.number, name) in kept)
            )
            for one in plan.script or ()
        ],
    )


def _fewer(plan: Plan, what: str, count: int) -> Plan:
    """Fewer acquirers, banks or connections; transactions move to those that are left."""
    script = plan.script or ()
    if what in {"acquirers", "banks"}:
        name = what[:-1]
        script = tuple(
            msgspec.structs.replace(one, **{name: getattr(one, name) % count}) for one in script
        )
    elif what == "links":
        script = tuple(msgspec.structs.replace(one, link=one.link % count) for one in script)
    return plan.without(**{what: count}, script=script)


def _faster(plan: Plan, share: float) -> Plan:
    """Transactions closer together, and what happens at a time earlier in proportion."""
    script = tuple(
        msgspec.structs.replace(one, at_us=int(one.at_us * share)) for one in plan.script or ()
    )
    choices = tuple(
        msgspec.structs.replace(one, how=(float(int(one.how[0] * share)), *one.how[1:]))
        if one.where.startswith("world/")
        else one
        for one in plan.choices or ()
    )
    span_us = int(plan.span_us * share)
    return plan.without(script=script, choices=choices, span_us=span_us)


_PLAINER: Final[tuple[dict[str, Any], ...]] = (
    {"still": True},
    {"taps": 0.0},
    {"accepts": False},
    {"undeliverable": "keep"},
    {"here": False},
    {"segment_bytes": 262_144},
    {"start_s": DATES_S[0]},
    {"grain_s": 1},
    {"stans": 2_000},
    {"terminals": 1},
    {"in_flight_max": 512},
    {"latency_us": (100, 100)},
    {"disk_us": (10, 100, 300)},
    {"gap_us": 1_000},
)


def _simpler(**changes: Any) -> Callable[[Script], Script]:
    return lambda one: msgspec.structs.replace(one, **changes)


_SIMPLER: Final[tuple[Callable[[Script], Script], ...]] = (
    _simpler(tap=False),
    _simpler(kind="purchase"),
    _simpler(at=MIDDLE),
    _simpler(link=0),
    _simpler(card=0),
    _simpler(amount=100),
)
