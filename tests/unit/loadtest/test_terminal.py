"""A terminal against a bank that speaks the same dialect: answers, silence, broken lines."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.line import BrokenError
from loadtest.mix import Mix, Terminals, find
from loadtest.recorder import Recorder, Tally, significant
from loadtest.terminal import Terminal
from loadtest.work import Stage, Work
from switch.native import load
from switch.sim.ledger import Did, Sale, read_sales

QUICK = Mix(title="quick", timeout_s=0.3, terminal=Terminals(rate=1.0))


@pytest.fixture
def bank() -> Iterator[load.Bank]:
    bank = load.Bank(books=True)
    yield bank
    bank.close()


@pytest.fixture
def work(bank: load.Bank, tmp_path: Path) -> Iterator[Work]:
    (tmp_path / "ledgers").mkdir()
    work = Work(Stage(address=bank.address, ledgers=str(tmp_path / "ledgers")), QUICK, 0)
    yield work
    work.close()


@pytest.fixture
def terminal(work: Work) -> Iterator[Terminal]:
    terminal = Terminal(work, Terminals(rate=1.0))
    terminal.line.open()
    yield terminal
    terminal.line.close()


def lines(tmp_path: Path) -> list[Sale]:
    (file,) = (tmp_path / "ledgers").iterdir()
    return list(read_sales(file))


def test_an_answer_has_its_code_and_both_times(terminal: Terminal, tmp_path: Path) -> None:
    request = terminal.prepare()
    before = time.monotonic_ns()
    outcome = terminal.ask(request)
    assert (outcome.code, outcome.problem) == ("00", "")
    assert before <= outcome.sent_ns <= outcome.end_ns <= time.monotonic_ns()
    told = lines(tmp_path)
    assert [line.did for line in told] == [Did.INVOKE, Did.OK]
    assert told[0].key == told[1].key
    assert "*" in told[0].card


def test_a_decline_is_an_answer(bank: load.Bank, terminal: Terminal, tmp_path: Path) -> None:
    bank.set_answer("51")
    assert terminal.ask(terminal.prepare()).code == "51"
    assert [line.did for line in lines(tmp_path)] == [Did.INVOKE, Did.FAIL]


def test_silence_is_the_deadline_and_is_reversed_until_acknowledged(
    bank: load.Bank, terminal: Terminal, tmp_path: Path
) -> None:
    bank.set_answer(None)
    request = terminal.prepare()
    outcome = terminal.ask(request)
    assert outcome.silent
    assert not outcome.code
    assert outcome.end_ns - outcome.sent_ns == int(0.3e9)
    reversal, attempts = terminal.reverse(request, outcome.problem, time.sleep)
    assert (reversal.code, attempts) == ("00", 1)
    told = [line.did for line in lines(tmp_path)]
    assert told == [Did.INVOKE, Did.INFO, Did.REVERSE, Did.REVERSED]
    booked = bank.bookings()
    assert [line[0] for line in booked] == ["request", "nothing"]
    assert booked[0][1:3] == booked[1][1:3]
    # The line stands, and its next answer is its own.
    bank.set_answer("00")
    assert terminal.ask(terminal.prepare()).code == "00"


def test_a_line_that_breaks_is_unknown_and_opens_again(
    bank: load.Bank, terminal: Terminal, tmp_path: Path
) -> None:
    address = bank.address
    bank.close()
    request = terminal.prepare()
    outcome = terminal.ask(request)
    assert not outcome.code
    assert not outcome.silent
    assert not terminal.line.is_open
    with pytest.raises(BrokenError, match="no connection"):
        terminal.line.open()
    again = load.Bank(address)
    try:
        reversal, _ = terminal.reverse(request, "connection", time.sleep)
        assert reversal.code == "00"
        assert terminal.ask(terminal.prepare()).code == "00"
    finally:
        again.close()


def test_what_was_never_sent_is_told_so(terminal: Terminal, tmp_path: Path) -> None:
    terminal.not_sent(terminal.prepare())
    assert [line.did for line in lines(tmp_path)] == [Did.INVOKE, Did.UNSENT]


def test_no_two_requests_share_a_reference_or_a_number(work: Work) -> None:
    terminals = [Terminal(work, Terminals(rate=1.0)) for _ in range(5)]
    requests = [terminal.prepare().values for terminal in terminals for _ in range(20)]
    assert len({values["rrn"] for values in requests}) == 100
    names = {(values["terminal_id"], values["stan"]) for values in requests}
    assert len(names) == 100
    assert all(len(str(values["rrn"])) == 12 for values in requests)
    assert all(len(str(values["terminal_id"])) == 8 for values in requests)


def test_amounts_are_the_mixes(work: Work) -> None:
    gate = find("gates").gate
    assert gate is not None
    low, high = gate.amount_minor
    terminal = Terminal(work, gate)
    amounts = [terminal.prepare().purchase.amount for _ in range(200)]
    assert low <= min(amounts) < max(amounts) <= high


def test_a_recorder_counts_each_request_once() -> None:
    recorder = Recorder(1_000)
    second = 1_000_000_000
    recorder.answered("0200", (second, second + 5, second + 1_000_005), "00", declined=False)
    recorder.answered("0200", (second, second, second + 7), "51", declined=True)
    recorder.failed("0200", (2 * second, 2 * second, 3 * second), silent=True)
    recorder.not_sent("0200", 4 * second)
    recorder.late("0200", 1)
    tally = recorder.kinds["0200"]
    assert tally == Tally(
        offered=4, answered=2, declined=1, errors=1, timeouts=1, not_sent=1, late=1,
        codes={"00": 1, "51": 1},
    )  # fmt: skip
    assert tally.offered == tally.answered + tally.errors + tally.not_sent
    assert len(recorder.series["0200 due"].total()) == 3
    assert recorder.take_unsaid()["0200"]["offered"] == 4
    assert recorder.take_unsaid() == {}
    sums = [sum(column) for column in zip(*recorder.timeline.values(), strict=True)]
    assert sums == [4, 1, 1, 1, 1]


def test_a_duration_keeps_three_digits() -> None:
    given = (0, 0.3456, 1.2345, 14.5899, 99.96, 713.4, 1_234.5)
    assert [significant(one) for one in given] == [0, 0.346, 1.23, 14.6, 100.0, 713, 1_230]
