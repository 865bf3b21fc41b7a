"""The circuit of a bank as stories: a clock, totals and connections of the test's own."""

from collections.abc import Callable

import pytest

from switch.link.circuit import (
    TABLE,
    Circuit,
    CircuitRules,
    CircuitState,
    Input,
    To,
    Totals,
)
from switch.link.states import Ignored, Impossible
from switch.observe.catalogue import CIRCUIT_STATES

_MS = 1_000_000
TICK_MS = 50
RULES = CircuitRules()
CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN


class Bank:
    """A bank and what its shell would tell the circuit, 20 times a second."""

    def __init__(self, rules: CircuitRules = RULES, *, up: bool = True) -> None:
        self.now_ns = 1_000_000 * _MS
        self.circuit = Circuit(rules, self.now_ns)
        self.answered = self.failed = self.failed_since = 0
        self.up = up
        self.seen: list[CircuitState] = []
        if up:
            self.run(TICK_MS)

    def run(self, ms: int, *, answers: int = 0, fails: int = 0) -> list[CircuitState]:
        """Lets time pass; each tick so many requests are answered and fail. Returns the states that
        it came into."""
        before = len(self.seen)
        for _ in range(max(1, ms // TICK_MS)):
            self.now_ns += TICK_MS * _MS
            self.answered += answers
            self.failed += fails
            self.failed_since += fails
            totals = Totals(self.answered, self.failed)
            if self.circuit.tick(self.now_ns, totals, self.failed_since, 0.5, up=self.up):
                self.seen.append(self.circuit.state)
                if self.circuit.state is HALF_OPEN:
                    self.failed_since = 0
        return self.seen[before:]

    def lose(self, ms: int) -> None:
        """Its last connection goes for so long."""
        self.up = False
        self.run(ms)

    @property
    def state(self) -> CircuitState:
        return self.circuit.state


def opened() -> Bank:
    bank = Bank()
    bank.run(TICK_MS, fails=20)
    return bank


def half_open() -> Bank:
    bank = opened()
    bank.run(2_100)
    return bank


# -- the table -------------------------------------------------------------------------------------


def test_table_is_total_and_states_have_the_metric_s_names() -> None:
    assert set(TABLE) == set(CircuitState)
    for row in TABLE.values():
        assert set(row) == set(Input)
        assert all(isinstance(cell, To | Ignored | Impossible) for cell in row.values())
    assert tuple(state.name.lower() for state in CircuitState) == CIRCUIT_STATES


MAKES: dict[CircuitState, Callable[[], Bank]] = {
    CLOSED: Bank,
    HALF_OPEN: half_open,
    OPEN: opened,
}
GIVES: dict[Input, Callable[[Bank], object]] = {
    Input.FAILING: lambda bank: bank.run(TICK_MS, fails=20),
    Input.UNREACHABLE: lambda bank: bank.lose(3_100),
    Input.RIPE: lambda bank: bank.run(2_100),
    Input.FAILED: lambda bank: bank.run(TICK_MS, fails=1),
    Input.PROVED: lambda bank: bank.run(TICK_MS, answers=8),
}


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (state, what)
        for state, row in TABLE.items()
        for what, cell in row.items()
        if not isinstance(cell, Impossible)
    ],
)
def test_each_cell_is_reached_by_what_is_found(state: CircuitState, what: Input) -> None:
    bank = MAKES[state]()
    assert bank.state is state
    GIVES[what](bank)
    cell = TABLE[state][what]
    assert bank.state is (cell.state if isinstance(cell, To) else state)


# -- opening ---------------------------------------------------------------------------------------


def test_a_bank_that_answers_is_asked() -> None:
    bank = Bank()
    assert bank.run(600_000, answers=5) == []
    assert bank.run(600_000, answers=3, fails=1) == []


def test_a_silent_bank_opens_it_within_a_window() -> None:
    bank = Bank()
    bank.run(60_000, answers=5)
    while bank.state is not OPEN:
        bank.run(TICK_MS, fails=5)
    assert bank.now_ns <= (1_000_000 + 70_100) * _MS
    assert bank.circuit.why == "failing"


def test_few_failures_say_nothing() -> None:
    bank = Bank()
    for _ in range(60):
        bank.run(TICK_MS, fails=1)
        bank.run(950)
    assert bank.state is CLOSED


def test_failures_long_ago_are_forgotten() -> None:
    bank = Bank()
    bank.run(TICK_MS, fails=19)
    bank.run(16_000)
    assert bank.run(TICK_MS, fails=19) == []


def test_a_bank_without_connection_is_unreachable_once_it_was_reached() -> None:
    bank = Bank(up=False)
    assert bank.run(60_000) == []
    bank.up = True
    bank.run(1_000)
    bank.up = False
    assert bank.run(2_900) == []
    assert bank.run(200) == [OPEN]
    assert bank.circuit.why == "unreachable"


def test_an_operator_s_hold_opens_nothing() -> None:
    bank = Bank()
    bank.up = False
    for _ in range(1_000):
        bank.now_ns += TICK_MS * _MS
        bank.circuit.rest(bank.now_ns)
    assert bank.run(60_000) == []


def test_judging_can_be_switched_off() -> None:
    bank = Bank(CircuitRules(failed_share_max=0, unreachable_ms=0))
    bank.run(10_000, fails=50)
    bank.up = False
    bank.run(60_000)
    assert bank.seen == []


# -- closing ---------------------------------------------------------------------------------------


def test_it_closes_after_a_pause_and_good_answers() -> None:
    bank = opened()
    assert bank.run(1_900) == []
    assert bank.run(200) == [HALF_OPEN]
    assert bank.run(TICK_MS, answers=7) == []
    assert bank.run(TICK_MS, answers=1) == [CLOSED]


def test_without_requests_it_stays_half_open() -> None:
    bank = half_open()
    assert bank.run(3_600_000) == []
    assert bank.state is HALF_OPEN


def test_failures_of_requests_from_before_do_not_count_as_probes() -> None:
    bank = half_open()
    bank.failed += 50
    assert bank.run(1_000) == []
    assert bank.run(TICK_MS, answers=8) == [CLOSED]


def test_the_pause_doubles_each_time_that_it_fails_again() -> None:
    bank = opened()
    pauses = []
    for _ in range(8):
        began_ns = bank.now_ns
        while bank.state is not HALF_OPEN:
            bank.run(TICK_MS)
        pauses.append((bank.now_ns - began_ns) // (1_000 * _MS))
        bank.run(TICK_MS, fails=1)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]


def test_after_a_long_good_time_the_pause_is_short_again() -> None:
    bank = opened()
    for _ in range(4):
        while bank.state is not HALF_OPEN:
            bank.run(TICK_MS)
        bank.run(TICK_MS, fails=1)
    while bank.state is not HALF_OPEN:
        bank.run(TICK_MS)
    bank.run(TICK_MS, answers=8)
    bank.run(130_000, answers=1)
    while bank.state is not OPEN:
        bank.run(TICK_MS, fails=10)
    began_ns = bank.now_ns
    while bank.state is not HALF_OPEN:
        bank.run(TICK_MS)
    assert bank.now_ns - began_ns <= 2_100 * _MS


def test_a_bank_that_comes_and_goes_each_second_moves_it_once() -> None:
    bank = Bank()
    for _ in range(600):
        bank.up = not bank.up
        bank.run(1_000, answers=4 if bank.up and bank.state is not OPEN else 0)
    assert bank.seen == [OPEN]
    bank.up = True
    assert bank.run(2_100) == [HALF_OPEN]


def test_a_bank_that_comes_and_goes_every_ten_seconds_moves_it_ever_more_rarely() -> None:
    bank = Bank()
    changes = []
    for _ in range(120):
        bank.up = not bank.up
        serves = bank.up
        before = len(bank.seen)
        for _ in range(200):
            bank.run(TICK_MS, answers=4 if serves and bank.state is not OPEN else 0)
        changes.append(len(bank.seen) - before)
    assert sum(changes[60:]) <= 2
    assert bank.circuit.counts[OPEN] <= 6
