"""What must have happened: names that a world really counts, and none forgotten."""

from switch.native import hook
from switch.simulation.plan import AIMS, FAULTS
from switch.simulation.sometimes import SOMETIMES, missing


def test_what_never_happened_is_missing() -> None:
    all_of_it = dict.fromkeys(SOMETIMES, 1)
    assert missing(all_of_it) == []
    assert missing({**all_of_it, "late": 0}) == ["late"]
    del all_of_it["kill while in flight"]
    assert missing(all_of_it) == ["kill while in flight"]


def test_every_fault_that_is_drawn_must_strike() -> None:
    elsewhere = {"sync_error", "sync_dropped", "write_error", "no_space", "checkpoint"}
    assert [name for name in FAULTS if name not in SOMETIMES and name not in elsewhere] == []


def test_every_moment_that_is_aimed_at_must_be_hit() -> None:
    assert [name for name in AIMS if f"aimed: {name}" not in SOMETIMES] == []


def test_points_of_the_list_are_points_of_the_product() -> None:
    points = {name for name, _ in hook.points()}
    wanted = {name.removeprefix("crashed: ") for name in SOMETIMES if name.startswith("crashed: ")}
    assert wanted <= points
    assert len(set(SOMETIMES)) == len(SOMETIMES)
