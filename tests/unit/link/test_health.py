"""Health of a line as stories: a clock, counters and echoes of the test's own."""

from collections.abc import Callable
from typing import get_args

import msgspec
import pytest

from switch.link import health
from switch.link.health import TABLE, Act, Health, HealthRules, HealthState, Input, Memory, To
from switch.link.states import Ignored, Impossible
from switch.model.tally import Tally
from switch.observe.catalogue import HEALTH_STATES

_MS = 1_000_000
TICK_MS = 250
RULES = HealthRules()


class Line:
    """A line and its peer: what the shell would do, every quarter of a second."""

    def __init__(
        self, rules: HealthRules = RULES, memory: Memory | None = None, now_ms: int = 1_000_000
    ) -> None:
        self.now_ns = now_ms * _MS
        self.tally = Tally()
        self.memory = memory or Memory()
        self.rules = rules
        self.health = Health(rules, self.tally, self.memory, self.now_ns, 0.5)
        self.heard_ns = self.now_ns
        self.stalled_ns = 0
        self.echoes = True
        """The peer answers echoes, 1 ms later."""
        self.deaf = False
        self.probes = 0
        self.acts: list[Act] = []
        self._missed_at_ns = 0

    def run(self, ms: int, *, sends: int = 0, answers: int = 0, expires: int = 0) -> list[Act]:
        """Lets time pass; each tick so many requests are sent, answered and expire. Returns what
        was done besides probing."""
        seen = len(self.acts)
        for _ in range(ms // TICK_MS):
            self.now_ns += TICK_MS * _MS
            self.tally.sent += sends
            self.tally.answered += answers
            self.tally.expired += expires
            if answers:
                self.heard_ns = self.now_ns
            if self._missed_at_ns and self.now_ns >= self._missed_at_ns:
                self._missed_at_ns = 0
                self._do(self.health.missed(self.now_ns, 0.5))
            self._do(
                self.health.tick(self.now_ns, self.heard_ns, self.stalled_ns, 0.5, deaf=self.deaf)
            )
        return [act for act in self.acts[seen:] if act is not Act.PROBE]

    def _do(self, acts: tuple[Act, ...]) -> None:
        self.acts += acts
        for act in acts:
            if act is not Act.PROBE:
                continue
            self.probes += 1
            if self.echoes:
                self.heard_ns = self.now_ns + _MS
                self._do(self.health.echoed(self.now_ns + _MS, 0.5))
            else:
                self._missed_at_ns = self.now_ns + self.rules.probe_ms * _MS

    @property
    def trial(self) -> bool:
        return self.health.state is HealthState.TRIAL

    @property
    def state(self) -> HealthState:
        return self.health.state


# -- the table -------------------------------------------------------------------------------------


def test_the_table_is_total_and_acts_fit_the_transitions() -> None:
    assert set(TABLE) == set(HealthState)
    for state, row in TABLE.items():
        assert set(row) == set(Input)
        for cell in row.values():
            if isinstance(cell, To):
                leaves = state is not HealthState.OUT and cell.state is HealthState.OUT
                enters = state is HealthState.OUT and cell.state is not HealthState.OUT
                assert (Act.TAKE_OUT in cell.acts) is leaves
                assert (Act.PUT_BACK in cell.acts) is enters


def test_metrics_know_the_states() -> None:
    assert tuple(state.name.lower() for state in HealthState) == HEALTH_STATES


def _in(state: HealthState) -> Line:
    line = Line()
    line.health.state = state
    return line


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (state, what)
        for state, row in TABLE.items()
        for what, cell in row.items()
        if not isinstance(cell, Impossible)
    ],
    ids=lambda value: value.name,
)
def test_every_cell_can_be_walked(state: HealthState, what: Input) -> None:
    """By counters, times and echoes alone, from the state."""
    line, cell = _in(state), TABLE[state][what]
    line.echoes = False
    one, now_ns = line.health, line.now_ns
    gives: dict[Input, Callable[[], object]] = {
        Input.QUIET: lambda: line.run(2_500, sends=1),
        Input.STALLED: lambda: one.tick(now_ns, 0, 2_000 * _MS, 0.5),
        Input.UNANSWERED: lambda: line.run(250, expires=10),
        Input.HEARD: lambda: one.tick(now_ns, now_ns + 1, 0, 0.5),
        Input.ECHOED: lambda: one.echoed(now_ns, 0.5),
        Input.MISSED: lambda: one.missed(now_ns, 0.5),
        Input.PROBE_DUE: lambda: one.tick(now_ns, 0, 0, 0.5),
        Input.RIPE: lambda: [
            *(one.echoed(now_ns, 0.5) for _ in range(3)),
            one.tick(now_ns, 0, 0, 0.5),
        ],
        Input.PROVED: lambda: line.run(250, answers=16),
        Input.DEAD: lambda: [
            *(one.missed(now_ns, 0.5) for _ in range(3)),
            one.tick(now_ns + 2_000 * _MS, 0, 0, 0.5),
        ],
    }
    gives[what]()
    if isinstance(cell, Ignored):
        assert one.state is state
    else:
        assert isinstance(cell, To)
        assert one.state is cell.state
    assert {To, Ignored, Impossible} == set(get_args(To | Ignored | Impossible))


# -- stories ---------------------------------------------------------------------------------------


def test_a_line_that_answers_is_never_tested() -> None:
    line = Line()
    assert line.run(600_000, sends=5, answers=5) == []
    assert (line.probes, line.state) == (0, HealthState.GOOD)


def test_an_idle_line_is_never_tested() -> None:
    line = Line()
    assert line.run(600_000) == []
    assert line.probes == 0


def test_a_half_open_line_is_out_after_suspicion_and_probe_then_closed() -> None:
    line = Line()
    line.echoes = False
    assert line.run(2_000, sends=1) == []
    assert line.state is HealthState.GOOD
    assert line.run(3_750, sends=1) == [Act.TAKE_OUT]
    assert line.health.why == "missed"
    assert line.run(10_000) == [Act.CLOSE]
    assert line.memory.closed_ns


def test_what_was_sent_just_after_it_spoke_is_not_overlooked() -> None:
    line = Line()
    line.echoes = False
    line.heard_ns += 10 * _MS
    line.tally.sent += 1
    assert line.run(6_000) == [Act.TAKE_OUT]


def test_a_slow_bank_is_tested_ever_more_rarely_and_never_taken_out() -> None:
    """It answers after 20 s, to the last request that its deadline allows."""
    line = Line()
    assert line.run(120_000, sends=1) == []
    assert 4 <= line.probes <= 8
    assert line.state is HealthState.GOOD


def test_a_bank_that_echoes_but_answers_nothing_is_out_by_its_share() -> None:
    line = Line()
    assert line.run(5_000, sends=4) == []
    assert line.run(2_000, sends=4, expires=4) == [Act.TAKE_OUT]
    assert line.health.why == "unanswered"


def test_a_share_above_the_limit_is_left_alone() -> None:
    line = Line()
    assert line.run(300_000, sends=4, answers=2, expires=2) == []


def test_few_requests_that_expire_say_nothing() -> None:
    line = Line()
    line.run(1_000, expires=2)
    assert line.run(600_000) == []
    line.run(1_000, expires=2)
    assert line.state is HealthState.GOOD


def test_a_stalled_write_is_out_at_once() -> None:
    line = Line()
    line.stalled_ns = 2_000 * _MS
    assert line.run(250) == [Act.TAKE_OUT]
    assert line.health.why == "stalled"


def test_it_comes_back_after_good_echoes_on_trial_and_then_for_good() -> None:
    line = Line()
    line.echoes = False
    line.run(6_000, sends=1)
    line.echoes = True
    assert line.run(8_000) == [Act.PUT_BACK]
    assert line.trial
    line.run(1_000, sends=4, answers=4)
    assert line.state is HealthState.GOOD


def test_on_trial_a_few_requests_without_an_answer_are_enough() -> None:
    line = Line()
    line.run(1_000, expires=10)
    line.run(5_000)
    assert line.state is HealthState.TRIAL
    assert line.run(500, expires=2) == [Act.TAKE_OUT]


def test_on_trial_a_slow_answer_is_waited_for() -> None:
    line = Line()
    line.run(1_000, expires=10)
    line.run(5_000)
    assert line.trial
    assert line.run(15_000, sends=1) == []
    line.run(250, answers=16)
    assert line.state is HealthState.GOOD


def test_flapping_is_met_with_pauses_that_grow_to_their_limit() -> None:
    """It echoes well and answers nothing, for an hour: how often it is let in."""
    line = Line()
    backs = 0
    for _ in range(3_600 * 4):
        busy = line.health.fit
        acts = line.run(250, sends=2 if busy else 0, expires=2 if busy else 0)
        backs += acts.count(Act.PUT_BACK)
    assert 55 <= backs <= 75
    line.tally.answered += 1
    line.run(1_000_000)
    assert line.state is HealthState.GOOD
    before = line.now_ns
    line.run(250, expires=30)
    while not line.health.fit:
        line.run(250)
    assert line.now_ns - before < 5_000 * _MS, (
        "after a long good time it begins with the short pause"
    )


def test_lines_that_fail_together_are_one_failure() -> None:
    memory = Memory()
    lines = [Line(memory=memory), Line(memory=memory)]
    for line in lines:
        line.stalled_ns = 2_000 * _MS
        line.run(250)
    assert memory.level == 0


def test_connection_in_the_place_of_a_dead_one_begins_out_and_must_echo_first() -> None:
    dead = Line()
    dead.echoes = False
    assert Act.CLOSE in dead.run(30_000, sends=1)
    fresh = Line(memory=dead.memory, now_ms=dead.now_ns // _MS)
    assert (fresh.state, fresh.health.why) == (HealthState.OUT, "probation")
    assert fresh.run(5_000) == [Act.PUT_BACK]
    again = Line(memory=dead.memory, now_ms=dead.now_ns // _MS + RULES.pause_max_ms + 1)
    assert again.state is HealthState.GOOD


def test_what_we_do_not_read_is_not_held_against_the_peer() -> None:
    line = Line()
    line.echoes, line.deaf = False, True
    assert line.run(60_000, sends=1) == []
    line.stalled_ns = 3_000 * _MS
    assert line.run(60_000, sends=1) == [Act.TAKE_OUT]


def test_bank_without_echoes_is_judged_by_share_and_stall_and_comes_back_by_time() -> None:
    line = Line(msgspec.structs.replace(RULES, echo=False))
    assert line.run(60_000, sends=1) == []
    assert line.run(1_000, expires=10) == [Act.TAKE_OUT]
    assert line.run(3_000) == [Act.PUT_BACK]
    assert line.probes == 0


def test_switched_off_it_judges_nothing() -> None:
    line = Line(msgspec.structs.replace(RULES, suspect_ms=0))
    line.stalled_ns = 60_000 * _MS
    assert line.run(60_000, sends=1, expires=5) == []


def test_constants_agree() -> None:
    assert health.TRIAL_EXPIRED < health.EXPIRED_MIN
    assert health.MISSES_MAX >= 2
