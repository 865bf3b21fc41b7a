"""A machine that is off for hours or days forgets neither what is owed nor what was taken back."""

import pytest

from switch.simulation.plan import draw
from switch.simulation.world import World, run


@pytest.mark.parametrize(("hours", "said"), [(20, "off within a day"), (72, "off for days")])
def test_what_is_owed_is_settled_and_time_has_passed(hours: int, said: str) -> None:
    worlds: list[World] = []
    plan = draw(3, 40).without(faults={"cancel": 1.0}, aims=(), taps=0.0, orders=0)
    outcome = run(plan.without(hours_off=hours, stand_in=0), None, worlds.append)
    assert not outcome.broken
    assert outcome.counts[said] == outcome.counts["owed over days"] == 1
    assert worlds[0].step_s == hours * 3_600
    again = "asked after hours" if hours < 24 else "asked after days"
    assert outcome.counts[again] > 0
    assert hours < 24 or outcome.counts["reversed, asked again after days"] > 0
    at_ms = [kept.at_ms for kept in worlds[0].recorded.kept.values()]  # type: ignore[union-attr]
    assert max(at_ms) - min(at_ms) < hours * 3_600_000 + 60_000
    settled = [kept for kept in worlds[0].recorded.kept.values() if kept.owed]  # type: ignore[union-attr]
    assert settled
    assert {kept.settled for kept in settled} == {"00"}


def test_what_was_taken_back_is_known_when_all_else_is_forgotten() -> None:
    worlds: list[World] = []
    plan = draw(3, 40).without(faults={"cancel": 1.0}, aims=(), taps=0.0, orders=0)
    outcome = run(plan.without(hours_off=144, stand_in=0), None, worlds.append)
    assert not outcome.broken
    assert "owed over days" not in outcome.counts
    assert outcome.counts["reversed, asked again after days"] > 0
    assert outcome.counts["asked after days"] == outcome.counts["reversed, asked again after days"]
