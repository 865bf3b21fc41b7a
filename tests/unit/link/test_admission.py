"""How much of one acquirer is let in, by its rate and by how long its requests wait."""

from hypothesis import given
from hypothesis import strategies as st

from switch.link.admission import Bucket, Patience

MS = 1_000_000
SECOND = 1_000_000_000


def test_a_burst_comes_in_at_once_and_then_the_rate() -> None:
    bucket = Bucket(100, 10, 0)
    assert bucket.level(0) == 10
    bucket.take(10)
    assert bucket.level(9 * MS) == 0
    assert bucket.level(10 * MS) == 1
    assert bucket.level(50 * MS) == 5
    assert bucket.level(3_600 * SECOND) == 10


def test_a_clock_that_stands_fills_nothing() -> None:
    bucket = Bucket(1_000, 5, 7)
    bucket.take(5)
    assert (bucket.level(7), bucket.level(3)) == (0, 0)


def test_other_limits_keep_what_was_used() -> None:
    bucket = Bucket(10, 100, 0)
    bucket.take(95)
    bucket.adopt(10, 50)
    assert bucket.level(0) == 5
    bucket.adopt(10, 2)
    assert bucket.level(0) == 2


def test_a_rate_that_is_set_later_begins_with_its_burst() -> None:
    bucket = Bucket(0, 1_000, 0)
    bucket.adopt(10, 20)
    assert bucket.level(0) == 20


@given(st.lists(st.tuples(st.integers(0, 50 * MS), st.integers(0, 40)), max_size=80))
def test_never_more_than_burst_and_rate_in_any_stretch(steps: list[tuple[int, int]]) -> None:
    rate, burst = 200, 25
    bucket, now_ns = Bucket(rate, burst, 0), 0
    taken: list[tuple[int, int]] = []
    for pause_ns, wanted in steps:
        now_ns += pause_ns
        count = min(wanted, bucket.level(now_ns))
        assert count >= 0
        bucket.take(count)
        taken.append((now_ns, count))
    for first, (began_ns, _) in enumerate(taken):
        total = 0
        for at_ns, count in taken[first:]:
            total += count
            assert total <= burst + (at_ns - began_ns) * rate / SECOND + 1e-6


def test_a_short_burst_may_wait_for_the_interval() -> None:
    patience = Patience(5 * MS, 100 * MS, 0)
    assert patience.limit_ns(99 * MS) == 100 * MS
    patience.emptied(99 * MS)
    assert patience.limit_ns(199 * MS) == 100 * MS


def test_in_a_standing_queue_the_target_counts_until_it_is_empty_once() -> None:
    patience = Patience(5 * MS, 100 * MS, 0)
    assert patience.limit_ns(101 * MS) == 5 * MS
    assert patience.limit_ns(900 * MS) == 5 * MS
    patience.emptied(901 * MS)
    assert patience.limit_ns(902 * MS) == 100 * MS


def test_patience_stays_strict_for_an_interval_after_it_refused() -> None:
    patience = Patience(5 * MS, 100 * MS, 0)
    patience.refused(50 * MS)
    assert patience.limit_ns(50 * MS) == 100 * MS, (
        "nothing stood: a burst alone makes nobody strict"
    )
    assert patience.limit_ns(101 * MS) == 5 * MS
    patience.refused(101 * MS)
    patience.emptied(110 * MS)
    assert patience.limit_ns(200 * MS) == 5 * MS
    assert patience.limit_ns(201 * MS) == 100 * MS
