"""One grammar for both generators: what it reads, how it judges, how it says what is wrong."""

import math
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.apps.load.threshold import COUNTS, duration_text, judge, parse, parse_all
from switch.cli.report import describe_error
from switch.errors import ThresholdError
from tests.support.tree import ROOT

MS = 1_000_000


class Measured:
    """Figures that are given."""

    seconds = 10.0

    def __init__(self, times: Mapping[tuple[str, str], float], counts: Mapping[str, int]) -> None:
        self.times = times
        self.counts = counts

    @property
    def entries(self) -> list[str]:
        return sorted({entry for entry, _ in self.times})

    def duration_ns(self, entry: str, figure: str) -> float | None:
        return self.times.get((entry, figure))

    def count(self, entry: str, name: str) -> int | None:
        return self.counts.get(f"{entry}:{name}" if entry else name)


FIGURES = Measured(
    {("0200", "99"): 3.9 * MS, ("0200", "max"): 31 * MS, ("0200 sent", "99.9"): 500_000},
    {"offered": 10_000, "answered": 9_900, "declined": 99, "errors": 2, "not_sent": 0,
     "0400:errors": 1, "0400:offered": 10},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ok", "said"),
    [
        ("p99(0200)>10ms", True, "✓ p99(0200) 3.90 ms <= 10.0 ms"),
        ("p99(0200) > 3.8 ms", False, "✗ p99(0200) 3.90 ms > 3.80 ms"),
        ("  p99.9( 0200 sent )>=500us ", False, "✗ p99.9( 0200 sent ) 500 µs >= 500 µs"),
        ("max(0200)>1s", True, "✓ max(0200) 31.0 ms <= 1.00 s"),
        ("error_rate>0.01%", False, "✗ error_rate 0.02 % > 0.01 %"),
        ("error_rate>0.0002", True, "✓ error_rate 0.02 % <= 0.02 %"),
        ("error_rate(0400)>1%", False, "✗ error_rate(0400) 10 % > 1 %"),
        ("decline_rate<0.5%", True, "✓ decline_rate 1 % >= 0.5 %"),
        ("not_sent>0", True, "✓ not_sent 0 <= 0"),
        ("achieved_rate<995/s", False, "✗ achieved_rate 990.0/s < 995.0/s"),
    ],
)
def test_a_threshold_states_what_is_a_failure(text: str, ok: bool, said: str) -> None:
    verdict = judge(parse(text), FIGURES)
    assert (verdict.ok, verdict.text) == (ok, said)


def test_what_was_not_measured_fails() -> None:
    verdict = judge(parse("p50(0200)>1s"), FIGURES)
    assert (verdict.ok, verdict.value) == (False, None)
    assert "nothing was measured" in verdict.text
    unknown = judge(parse("p50(0420)>1s"), FIGURES)
    assert not unknown.ok
    assert "there is no entry '0420'; there are: 0200, 0200 sent" in unknown.text


@pytest.mark.parametrize(
    ("text", "problem", "hint", "marked"),
    [
        ("p99(0200)>10mss", 'no unit of time "mss"', 'did you mean "ms"?', "mss"),
        ("p99(0200)>10", "a time needs a unit", "10ms", ""),
        ("p99>10ms", "p99 of what?", "p99(0200)", ">"),
        ("p999(0200)>10ms", "no percentile below 100", 'did you mean "p99.9"?', "p999"),
        ("eror_rate>1%", 'no figure "eror_rate"', 'did you mean "error_rate"?', "eror_rate"),
        ("p99(0210)>1ms", 'no entry "0210"', 'did you mean "0200"?', "0210"),
        ("error_rate>150%", "at most 100%", "0.01%", "150"),
        ("not_sent>0ms", 'a count has no unit "ms"', "such as 0", "ms"),
        ("p99(0200)=10ms", "one of > >= < <=", "", "=10ms"),
        ("p99(0200>10ms", "a closing parenthesis", "", "(0200>10ms"),
        ("not_sent>many", "a number", "", "many"),
        ("", "a figure such as", "", ""),
    ],
)
def test_a_mistake_is_shown_with_its_place_and_what_was_meant(
    text: str, problem: str, hint: str, marked: str
) -> None:
    with pytest.raises(ThresholdError, match=r".") as caught:
        parse(text, ["0200", "0200 sent"])
    error = caught.value
    assert problem in error.problem
    assert hint in error.help
    assert error.text[error.at : error.at + error.width] == marked
    shown = describe_error(error).splitlines()
    assert shown[1] == f"  | {text}"
    assert shown[2].count("^") == error.width
    assert error.exit_code == 2


@given(
    st.sampled_from([*COUNTS, "p50(0200)", "p99.99(0200 due)", "error_rate", "offered_rate"]),
    st.sampled_from([">", ">=", "<", "<="]),
    st.integers(0, 10_000),
)
def test_what_is_right_is_read_whatever_the_spaces(figure: str, operator: str, number: int) -> None:
    time = figure.startswith("p")
    share = figure == "error_rate"
    tail = f"{number}{'ms' if time else ''}" if not share else f"{number / 100:.2f}%"
    (tight, loose) = parse_all([f"{figure}{operator}{tail}", f" {figure} {operator}  {tail} "])
    assert (tight.figure, tight.entry, tight.operator) == (loose.figure, loose.entry, operator)
    assert math.isclose(tight.limit, loose.limit)
    assert tight.limit == pytest.approx(number * MS if time else number / (1e4 if share else 1))


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_a_place_in_it(text: str) -> None:
    try:
        read, place = parse(text).text, (0, 1)
    except ThresholdError as error:
        read, place = "", (error.at, error.width)
    assert read in text
    assert 0 <= place[0] <= len(text)
    assert place[1] >= 1


def test_durations_have_three_digits() -> None:
    assert [duration_text(ns) for ns in (900, 12_340, 312_000, 3_900_000, 1_200_000_000)] == [
        "900 ns", "12.3 µs", "312 µs", "3.90 ms", "1.20 s",
    ]  # fmt: skip


def test_it_brings_no_event_loop_into_locust() -> None:
    code = "import sys, switch.apps.load.threshold; print({'asyncio', 'uvloop'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
