"""What the gate decides in Python: numbers, connection, caps, and what a refusing journal means."""

from typing import Any

import pytest

from switch.engine.ports import Forwarding
from switch.engine.states import State
from switch.engine.transaction import Transaction
from switch.errors import EncodeError, JournalError
from switch.link.circuit import CircuitState
from switch.link.matcher import Matcher
from switch.link.window import Window
from switch.model.state import Cause
from switch.model.tally import Tally
from switch.runtime.clock import BusinessDay
from switch.runtime.gate import RUN_MAX, Gate
from switch.runtime.member import Acquirer, Bank
from tests.support.peer import DIALECT, purchase

ACQUIRER, BANK = 0, 1


class Native:
    """Stands for the native gate: notes every call, raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.raises: Exception | None = None
        self.held: dict[int, int] = {}
        self.stored = True

    def forward(self, _request: object, slot: int, txn: int, *rest: Any) -> int:
        if self.raises is not None:
            raise self.raises
        self.calls.append(("forward", slot, txn, *rest))
        self.held[txn] = slot
        return 1

    def cancel(self, slot: int, txn: int) -> bool:
        if self.held.get(txn) == slot:
            del self.held[txn]
            return True
        return False

    def conclude(self, _request: object, slot: int, txn: int, *rest: Any) -> None:
        self.calls.append(("conclude", slot, txn, *rest))

    def decline(self, _request: object, slot: int, txn: int, *rest: Any) -> int:
        if self.raises is not None:
            raise self.raises
        self.calls.append(("decline", slot, txn, *rest))
        return 1

    def refuse(self, _request: object, slot: int, code: str, *rest: Any) -> None:
        self.calls.append(("refuse", slot, code, *rest))

    def repeat(self, _request: object, slot: int, *_rest: Any) -> bool:
        self.calls.append(("repeat", slot))
        return self.stored


class Journal:
    failure: str | None = None


class Rig:
    """One acquirer, one bank with two connections in slots 7 and 9."""

    def __init__(self, in_flight_max: int = 10) -> None:
        self.native = Native()
        self.journal = Journal()
        numbers: Any = Matcher(Window(), 1)
        matcher: Any = Matcher(Window(), in_flight_max)
        self.acquirer = Acquirer(ACQUIRER, "ACQ01", "10001", 100, 4, numbers)
        self.bank = Bank(BANK, "BANK01", matcher, 2)
        self.bank.ready = self.bank.serving = [7, 9]
        self.bank.tallies = [Tally(), Tally()]
        self.noted: list[str] = []
        double: Any = self.native
        self.gate = Gate(
            double,
            None,  # type: ignore[arg-type]  # acquirers' reversals are not played here
            self.journal,  # type: ignore[arg-type]
            {ACQUIRER: self.acquirer},
            {BANK: self.bank},
            BusinessDay("UTC", "00:00"),
            lambda what, _txn: self.noted.append(what),
        )
        self.next = 0

    def txn(self) -> Transaction:
        self.next += 1
        frame = DIALECT.encode("0200", purchase())
        message = DIALECT.decode(frame[2:], 5)
        return Transaction(self.next, message, ACQUIRER, 3, BANK, State.AWAITING, 10**18)


def test_connections_take_turns_and_every_request_has_its_own_number() -> None:
    rig = Rig()
    txns = [rig.txn() for _ in range(4)]
    for txn in txns:
        assert rig.gate.forward(txn) is Forwarding.HELD
        rig.gate.tick += 1
    assert [call[1] for call in rig.native.calls] == [9, 7, 9, 7]
    assert len({(txn.out_stan, txn.out_time) for txn in txns}) == 4
    assert set(rig.bank.matcher.in_flight) == {txn.out_stan for txn in txns}
    assert rig.acquirer.in_flight == 4


def test_requests_of_one_tick_share_a_connection_by_sixteens() -> None:
    rig = Rig(in_flight_max=20)
    for _ in range(RUN_MAX + 2):
        assert rig.gate.forward(rig.txn()) is Forwarding.HELD
    rig.gate.tick += 1
    assert rig.gate.forward(rig.txn()) is Forwarding.HELD
    assert [call[1] for call in rig.native.calls] == [9] * RUN_MAX + [7] * 2 + [9]


def test_bank_without_a_ready_connection_is_down_and_nothing_is_recorded() -> None:
    rig = Rig()
    rig.bank.ready = rig.bank.serving = []
    assert rig.gate.forward(rig.txn()) is Forwarding.DOWN
    assert rig.native.calls == []
    assert rig.acquirer.in_flight == 0


def test_bank_whose_circuit_is_open_is_not_asked_although_it_has_a_line() -> None:
    rig = Rig()
    rig.bank.serving = []
    assert rig.gate.forward(rig.txn()) is Forwarding.OPEN
    assert rig.native.calls == []
    assert rig.acquirer.in_flight == 0


def test_enough_probes_under_way_are_no_cap_of_the_bank() -> None:
    rig = Rig(in_flight_max=2)
    rig.bank.circuit.state = CircuitState.HALF_OPEN
    outcomes = [rig.gate.forward(rig.txn()) for _ in range(3)]
    assert outcomes == [Forwarding.HELD, Forwarding.HELD, Forwarding.OPEN]


def test_cap_of_the_bank() -> None:
    rig = Rig(in_flight_max=2)
    outcomes = [rig.gate.forward(rig.txn()) for _ in range(3)]
    assert outcomes == [Forwarding.HELD, Forwarding.HELD, Forwarding.FULL]
    assert rig.acquirer.in_flight == 2


@pytest.mark.parametrize(
    "error", [EncodeError("iso87-ascii", "field 2", "too long"), JournalError("no room")]
)
def test_leg_that_cannot_be_built_or_recorded_leaves_nothing_in_flight(error: Exception) -> None:
    rig = Rig()
    rig.native.raises = error
    assert rig.gate.forward(rig.txn()) not in {Forwarding.HELD, Forwarding.DOWN}
    assert not rig.bank.matcher.in_flight
    assert rig.acquirer.in_flight == 0


def test_failed_journal_is_passed_on_because_the_process_must_end() -> None:
    rig = Rig()
    rig.native.raises = JournalError("fdatasync: EIO")
    rig.journal.failure = "fdatasync: EIO"
    with pytest.raises(JournalError):
        rig.gate.forward(rig.txn())
    with pytest.raises(JournalError):
        rig.gate.decline(rig.txn().request, 3, 1, ACQUIRER, "92", "SR")


def test_decline_that_a_full_journal_does_not_take_is_refused_without_a_record() -> None:
    rig = Rig()
    rig.native.raises = JournalError("no room")
    rig.gate.decline(rig.txn().request, 3, 1, ACQUIRER, "92", "SR")
    assert [call[:3] for call in rig.native.calls] == [("refuse", 3, "96")]
    assert rig.gate.urgent


def test_unsent_request_can_be_cancelled_once_wherever_it_is_held() -> None:
    rig = Rig()
    rig.bank.connections = {7: None, 9: None}  # type: ignore[dict-item]  # only the keys are read
    txn = rig.txn()
    rig.gate.forward(txn)
    assert rig.gate.cancel(txn)
    assert txn.out_stan not in rig.bank.matcher.in_flight
    assert not rig.gate.cancel(txn)


def test_reversal_gets_numbers_of_the_bank_only_when_one_is_owed() -> None:
    rig = Rig()
    owing, plain = rig.txn(), rig.txn()
    rig.gate.forward(owing)
    rig.gate.forward(plain)
    rig.gate.conclude(owing, "91", "TW", Cause.TIMEOUT, "")
    rig.gate.conclude(plain, "91", "IW", Cause.NONE, "")
    with_cause, without = rig.native.calls[-2:]
    assert with_cause[-4:-2] == (Cause.TIMEOUT, plain.out_stan + 1)
    assert without[-4:-1] == (Cause.NONE, 0, "")
    assert rig.acquirer.in_flight == 0


def test_repeat_without_a_stored_answer_is_refused_rather_than_left_waiting() -> None:
    rig = Rig()
    rig.native.stored = False
    rig.gate.repeat(rig.txn().request, 3, ACQUIRER)
    assert [call[0] for call in rig.native.calls] == ["repeat", "refuse"]
