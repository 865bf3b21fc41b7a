"""A seed draws its world, the same everywhere; leaving one thing out moves no other."""

from switch.simulation.chance import Choice, Steady
from switch.simulation.plan import FAULTS, Aim, draw, noise
from switch.simulation.script import KINDS, scripts


def test_a_seed_draws_the_same_plan_again_and_others_draw_others() -> None:
    assert draw(7) == draw(7)
    assert len({str(draw(seed)) for seed in range(50)}) == 50


def test_every_fault_is_drawn_somewhere() -> None:
    plans = [draw(seed) for seed in range(200)]
    assert {name for plan in plans for name in plan.faults} == set(FAULTS)
    assert all(0 < share < 10 for plan in plans for share in plan.faults.values())


def test_named_points_are_aimed_at_only_where_there_are_some() -> None:
    with_points = [draw(seed, 340, ("journal.sync.after",)) for seed in range(40)]
    assert any(aim.at == "journal.sync.after" for plan in with_points for aim in plan.aims)
    without = [draw(seed) for seed in range(40)]
    assert all(aim.at != "journal.sync.after" for plan in without for aim in plan.aims)


def test_transactions_are_drawn_each_from_a_stream_of_its_own() -> None:
    few, many = list(scripts(draw(7, 20))), list(scripts(draw(7, 60)))
    assert many[:20] == few
    assert [one.at_us for one in many] == sorted(one.at_us for one in many)
    assert {one.kind for seed in range(9) for one in scripts(draw(seed, 60))} == set(KINDS)


def test_told_transactions_are_not_drawn() -> None:
    script = tuple(scripts(draw(7, 20)))[3:5]
    assert list(scripts(draw(8).without(script=script))) == list(script)


def test_a_plan_knows_what_may_strike_drawn_or_told() -> None:
    plan = draw(7).without(faults={"kill": 1.0}, choices=(Choice("world/a", "no_space"),))
    assert plan.knows("kill")
    assert plan.knows("no_space")
    assert not plan.knows("reset")


def test_a_still_plan_has_no_noise() -> None:
    plan = draw(7)
    assert not isinstance(noise(plan, "net"), Steady)
    assert isinstance(noise(plan.without(still=True), "net"), Steady)


def test_less_of_a_plan_leaves_the_rest() -> None:
    plan = draw(7).without(aims=(Aim("request_sent", 1, 0, power=True),))
    assert plan.without(aims=()).aims == ()
    assert plan.without(aims=()).faults == plan.faults
