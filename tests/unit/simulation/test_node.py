"""A node's lives end, and nothing of them is left behind."""

import gc

from switch.apps.worker import Worker
from switch.simulation.plan import draw
from switch.simulation.world import World, run


def standing() -> int:
    """Workers and worlds that are in memory."""
    gc.collect()
    return sum(isinstance(one, Worker | World) for one in gc.get_objects())


def test_a_world_that_is_over_leaves_nothing_in_memory() -> None:
    lives, before = 0, standing()
    for seed in (1, 2, 3):
        outcome = run(draw(seed, 20))
        assert not outcome.broken
        lives += outcome.lives
    assert lives > 6
    assert standing() == before
