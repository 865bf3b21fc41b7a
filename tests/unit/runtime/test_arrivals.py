"""The rate at which connections are taken: a burst, then one by one; rubbish costs."""

from switch.runtime.arrivals import BURST_MAX, DEBT_S_MAX, RUBBISH_COSTS, Arrivals
from switch.runtime.quiet import TOLD_MAX, Quiet

SECOND = 1_000_000_000


def take(arrivals: Arrivals, now_ns: int) -> int:
    """All that may be taken at that moment."""
    count = 0
    while not arrivals.wait_s(now_ns):
        arrivals.taken()
        count += 1
    return count


def test_burst_then_the_rate() -> None:
    arrivals = Arrivals(100)
    now = SECOND
    assert take(arrivals, now) == BURST_MAX
    assert arrivals.wait_s(now) == 0.01
    assert sum(take(arrivals, now + tick * SECOND // 50) for tick in range(1, 51)) in {99, 100}


def test_quiet_time_fills_the_burst_and_no_more() -> None:
    arrivals = Arrivals(100)
    take(arrivals, SECOND)
    assert take(arrivals, 1_000 * SECOND) == BURST_MAX


def test_rubbish_makes_everybody_wait_but_not_for_long() -> None:
    arrivals = Arrivals(200)
    arrivals.rubbish(SECOND)
    assert arrivals.wait_s(SECOND) == (1 - BURST_MAX + RUBBISH_COSTS) / 200
    for _ in range(1_000):
        arrivals.rubbish(SECOND)
    assert arrivals.wait_s(SECOND) <= DEBT_S_MAX + 0.01
    assert take(arrivals, 8 * SECOND) == BURST_MAX


def test_rate_may_change_at_any_time() -> None:
    arrivals = Arrivals(1)
    take(arrivals, SECOND)
    arrivals.per_s_max = 1_000
    assert arrivals.wait_s(SECOND) == 0.001


def test_strangers_fill_no_log() -> None:
    quiet = Quiet()
    assert sum(quiet.speaks(SECOND) for _ in range(1_000)) == TOLD_MAX
    assert quiet.silenced() == 1_000 - TOLD_MAX
    assert quiet.silenced() == 0
    assert quiet.speaks(62 * SECOND)
