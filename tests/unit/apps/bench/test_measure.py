"""A window is judged before it gives a figure."""

from typing import TYPE_CHECKING

from switch.apps.bench.measure import LATE, Row, Taken, judge, rows
from switch.apps.bench.plan import DURABLE, RELAY, SHAPES, SWITCH, Shape
from switch.apps.bench.report import met
from switch.native import load as native_load

if TYPE_CHECKING:
    from switch.native import load

FIXED = SHAPES[2]


def outcome(*, lag_p99_us: int = 100, wrong: int = 0) -> "load.Outcome":
    zero = {"count": 0, "p50_ns": 0, "p90_ns": 0, "p99_ns": 0, "p999_ns": 0, "max_ns": 0}
    latency: load.Quantiles = {
        "count": 1000, "p50_ns": 500_000, "p90_ns": 600_000, "p99_ns": 1_500_000,
        "p999_ns": 2_000_000, "max_ns": 3_000_000,
    }  # fmt: skip
    lag: load.Quantiles = {**zero, "p99_ns": lag_p99_us * 1_000}  # type: ignore[typeddict-item]
    return {
        "offered": 1000, "answered": 1000 - wrong, "other_code": 0, "wrong": wrong, "missing": 0,
        "closed": 0, "not_sent": 0, "stray": 0, "late": 0, "delayed": 0, "counted": 1000,
        "elapsed_ns": 2_000_000_000, "cpu_ns": 100_000_000, "switches": 4_000, "own_cpu_ns": 1,
        "own_ns": 2, "first_serial": 1, "date_s": 1, "clean": wrong == 0, "latency": latency,
        "lag": lag, "lag_histogram": native_load.Histogram(),
    }  # fmt: skip


def test_a_clean_window_gives_figures() -> None:
    taken = judge(FIXED, SWITCH, outcome())
    assert not taken.fault
    assert (taken.tps, taken.p99_us, taken.cpu_us_per_auth) == (500.0, 1_500.0, 100.0)
    assert (taken.switches_per_auth, taken.lag_p99_us) == (4.0, 100.0)


def test_a_late_generator_gives_none() -> None:
    taken = judge(FIXED, SWITCH, outcome(lag_p99_us=1_001))
    assert taken.fault == LATE
    assert judge(FIXED, SWITCH, outcome(lag_p99_us=1_000)).fault == ""


def test_one_wrong_answer_gives_none_and_voids_the_good_windows_beside_it() -> None:
    bad = judge(FIXED, SWITCH, outcome(wrong=1))
    assert bad.fault == "1 wrong"
    (row,) = rows([judge(FIXED, SWITCH, outcome()), bad])
    assert not row.valid
    assert row.tps is None
    assert row.fault == "1 wrong"


def taken(system: str, cpu: float, p99: float, shape: Shape = FIXED) -> Taken:
    return Taken(
        shape=shape.name, system=system, tps=1, p50_us=1, p99_us=p99, p999_us=1, cpu_us_per_auth=cpu
    )


def test_rows_are_medians_beside_the_floors_of_the_same_shape() -> None:
    made = rows(
        [
            taken(RELAY, 50, 300),
            taken(DURABLE, 100, 800),
            *(taken(SWITCH, cpu, 1_000) for cpu in (190, 210, 900)),
            taken(SWITCH, 7, 1, SHAPES[0]),
            Taken(shape=FIXED.name, system=SWITCH, fault=LATE),
        ]
    )
    by = {(row.shape, row.system): row for row in made}
    row = by[FIXED.name, SWITCH]
    assert row.valid
    assert (row.cpu_us_per_auth, row.windows) == (210, 3)
    assert (row.ratio_to_relay, row.ratio_to_durable_floor, row.p99_added_us) == (4.2, 2.1, 700)
    assert by[SHAPES[0].name, SWITCH].ratio_to_relay is None


def test_a_figure_that_is_missing_is_not_reached() -> None:
    good = Row(shape="32x16", system=SWITCH, valid=True, cpu_us_per_auth=11.0)
    void = Row(shape="1000/s", system=SWITCH, valid=False)
    found = {one.name: one.ok for one in met([good, void])}
    assert found == {
        "CPU at 32x16": True,
        "CPU at 1000/s": False,
        "CPU at 1000/s, times the relay": False,
        "p99 added at 1000/s": False,
    }
