"""A failing world is made small: against made-up worlds whose cause is known, and within a time."""

from collections.abc import Callable, Sequence
from typing import Any

from switch.simulation.case import Case
from switch.simulation.chance import Choice
from switch.simulation.oracles import Broken
from switch.simulation.plan import Aim, Plan, draw
from switch.simulation.script import scripts
from switch.simulation.shrink import Shrinker, shrink, size_of
from switch.simulation.swarm import Result
from switch.simulation.world import Outcome

CHOICES = tuple(
    Choice(f"net/4100.1.to/{n}", "delay" if n % 2 else "reset", (9.0,)) for n in range(40)
)
KILLS = tuple(Choice(f"world/kill/{n}", "kill", (1_000.0 * n, 0.5)) for n in range(3))
PLAN = draw(7, 60).without(
    script=tuple(scripts(draw(7, 60))),
    choices=CHOICES + KILLS,
    aims=(Aim("request_sent", 40, 90, power=True), Aim("reply_read", 3, 0, power=False)),
    faults={},
    span_us=90_000,
    acquirers=3,
    banks=3,
)  # fmt: skip


class Worlds:
    """Runs nothing: a world breaks its rule when `why` finds what it takes."""

    jobs = 2

    def __init__(self, why: Callable[[Plan], list[Broken]]) -> None:
        self.why = why
        self.ran = 0
        self.now = 0.0

    def many(self, cases: Sequence[Case], seconds: float) -> list[Result]:
        """A second each."""
        self.ran += len(cases)
        self.now += 1.0
        return [self.one(case) for case in cases]

    def one(self, case: Case) -> Result:
        """What comes of a case."""
        plan = case.plan
        assert plan is not None
        broken = self.why(plan)
        end_ns = plan.span_us * 1_000
        outcome = Outcome(case.seed, "j", end_ns, plan.transactions, 0, 0, 2, broken, {})
        return Result(case, outcome, plan=plan if broken else None)


def made_small(
    why: Callable[[Plan], list[Broken]], seconds: float = 1e9
) -> tuple[Shrinker, Worlds]:
    """Of the plan above."""
    worlds = Worlds(why)
    first = worlds.one(Case(7, 60, (), "", PLAN))
    return shrink(worlds, first, seconds, clock=lambda: worlds.now), worlds


def needs(plan: Plan, numbers: set[int], places: set[str]) -> bool:
    """Whether all of that is there."""
    there = {one.number for one in plan.script or ()}
    return numbers <= there and places <= {one.where for one in plan.choices or ()}


def test_what_is_not_needed_goes_and_what_is_needed_stays() -> None:
    places = {"net/4100.1.to/13", "world/kill/1"}
    shrinker, _ = made_small(
        lambda plan: [Broken("M4", "x")] if needs(plan, {11, 42}, places) else []
    )
    plan: Any = shrinker.best.plan
    assert [one.number for one in plan.script] == [11, 42]
    assert {one.where for one in plan.choices if one.what != "keep_none"} == places
    assert plan.aims == ()
    assert (plan.acquirers, plan.banks, plan.links) == (1, 1, 1)
    assert plan.still
    assert all(not one.faults and one.amount == 100 and one.at_us == 0 for one in plan.script)
    size = size_of(shrinker.best)
    assert (size.transactions, size.faults, size.virtual_s) == (2, 2, 0.0)


def test_an_aim_is_brought_forward() -> None:
    shrinker, _ = made_small(
        lambda plan: [Broken("M4", "x")] if any(a.at == "request_sent" for a in plan.aims) else []
    )
    plan: Any = shrinker.best.plan
    assert plan.aims == (Aim("request_sent", 1, 0, power=False),)
    assert plan.script == ()


def test_another_rule_is_another_failure() -> None:
    def why(plan: Plan) -> list[Broken]:
        full = len(plan.script or ()) > 30
        return [Broken("M4", "x")] if full else [Broken("M1", "y")]

    shrinker, _ = made_small(why)
    assert len(shrinker.best.plan.script or ()) == 31  # type: ignore[union-attr]
    assert {one.rule for one in shrinker.best.outcome.broken} == {"M4"}


def test_of_a_rule_that_says_little_the_words_must_agree_but_not_the_numbers() -> None:
    def why(plan: Plan) -> list[Broken]:
        count = len(plan.script or ())
        return [Broken("halt", f"failed at LSN {count}" if count > 9 else "something else")]

    shrinker, _ = made_small(why)
    assert len(shrinker.best.plan.script or ()) == 10  # type: ignore[union-attr]


def test_it_ends_when_its_time_is_up_and_keeps_the_best_so_far() -> None:
    shrinker, worlds = made_small(
        lambda plan: [Broken("M4", "x")] if needs(plan, {11, 42}, set()) else [], seconds=12.0
    )
    assert worlds.now <= 13.0
    assert shrinker.runs == worlds.ran
    assert {11, 42} <= {one.number for one in shrinker.best.plan.script or ()}  # type: ignore[union-attr]


def test_a_world_that_does_not_fail_when_it_is_told_is_left_as_it_is() -> None:
    worlds = Worlds(lambda _plan: [])
    outcome = Outcome(7, "j", 0, 60, 0, 0, 1, [Broken("M4", "x")], {})
    first = Result(Case(7), outcome, plan=PLAN)
    assert shrink(worlds, first, 60.0).best is first


def test_progress_is_told() -> None:
    told: list[str] = []
    worlds = Worlds(lambda plan: [Broken("M4", "x")] if needs(plan, {11}, set()) else [])
    first = worlds.one(Case(7, 60, (), "", PLAN))
    shrink(worlds, first, 60.0, told.append, lambda: worlds.now)
    assert told
    assert all("shrinking M4" in line and "transaction" in line for line in told)


def test_choices_of_a_bank_follow_their_transaction() -> None:
    one = next(
        one for one in PLAN.script or () if one.kind == "authorisation" and one.amount != 100
    )
    plan = PLAN.without(script=(one,))
    where = f"bank/{one.number:06d}{one.amount:05d}/010/0"
    plan = plan.without(choices=(Choice(where, "late", (1.0, 0.5, 0.5)),), transactions=1)

    def why(plan: Plan) -> list[Broken]:
        script, choices = plan.script or (), plan.choices or ()
        if len(script) != 1 or len(choices) != 1:
            return []
        one = script[0]
        mti = "020" if one.kind == "purchase" else "010"
        named = f"bank/{one.number:06d}{one.amount:05d}/{mti}/0"
        return [Broken("M4", "x")] if choices[0].where == named else []

    worlds = Worlds(why)
    best: Any = shrink(worlds, worlds.one(Case(7, 1, (), "", plan)), 1e9).best.plan
    assert (best.script[0].kind, best.script[0].amount) == ("purchase", 100)
    assert best.choices[0].where == f"bank/{one.number:06d}00100/020/0"
