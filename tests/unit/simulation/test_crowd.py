"""Work that takes virtual time, and a quiet acquirer beside a noisy one."""

from typing import Any

import pytest

from switch.runtime.intake import Intake
from switch.runtime.listener import AcquirerConnection
from switch.simulation.crowd import COST_US, WAIT_US, charging, crowded
from switch.simulation.loop import VirtualLoop
from switch.simulation.oracles import Evidence, judge
from switch.simulation.plan import draw
from switch.simulation.script import scripts
from tests.unit.simulation.ledgers import body, evidence, slot, told


def test_a_share_of_worlds_is_a_crowd_without_other_faults() -> None:
    plans = [crowded(draw(seed)) for seed in range(1, 301)]
    crowds = [plan for plan in plans if plan.crowd]
    assert 8 <= len(crowds) <= 30
    assert not any(plan.faults or plan.aims for plan in crowds)
    assert all(plan == draw(plan.seed) for plan in plans if not plan.crowd)


def test_the_noisy_one_offers_a_multiple_and_the_quiet_one_little() -> None:
    plan = next(plan for seed in range(1, 301) if (plan := crowded(draw(seed))).crowd)
    made = list(scripts(plan))
    span_us = made[-1].at_us
    noisy = sum(script.acquirer == 1 for script in made) * COST_US / span_us
    quiet = sum(script.acquirer == 0 for script in made) * COST_US / span_us
    assert noisy == pytest.approx(plan.crowd, rel=0.05)
    assert quiet < 0.15
    assert [script.number for script in made] == list(range(len(made)))


def test_time_passes_while_somebody_works_and_what_is_due_by_then_comes_late() -> None:
    told_ns: list[int] = []
    loop = VirtualLoop(0, told_ns.append, lambda context: pytest.fail(str(context)))
    seen: list[float] = []
    loop.call_later(0.001, loop.spend, 0.005)
    loop.call_later(0.002, lambda: seen.append(loop.time()))
    loop.call_later(0.010, loop.stop)
    loop.run_forever()
    loop.close()
    assert seen == [pytest.approx(0.006)]
    assert told_ns == sorted(told_ns)


def test_what_is_charged_is_put_back() -> None:
    before = AcquirerConnection.handle, Intake._refuse
    loop: Any = object()
    with charging(loop):
        assert (AcquirerConnection.handle, Intake._refuse) != before
    assert (AcquirerConnection.handle, Intake._refuse) == before


def crowd(**more: Any) -> Evidence:
    made = evidence(asked=slot(body(**more)))
    made.plan = made.plan.without(crowd=3)
    return made


def test_a_quiet_acquirer_that_is_served_soon_is_sound() -> None:
    assert "L4" not in {one.rule for one in judge(crowd())}


@pytest.mark.parametrize(
    "more",
    [
        {"told": []},
        {"told": [told("91")]},
        {"told": [told(at_ns=2_000 + round(WAIT_US * 1_000))]},
    ],
)
def test_one_that_is_refused_or_waits_breaks_the_rule(more: dict[str, Any]) -> None:
    assert "L4" in {one.rule for one in judge(crowd(**more))}
