"""Delivery of reversals: order, bounds, and which bank's trouble is whose."""

from switch.engine.effects import Effect, Note, Reverse, Settle
from switch.engine.reverse import SENDS_PER_CALL_MAX, Deliveries, IssuerRules
from switch.engine.states import State
from switch.wire import Message
from tests.support.gate import FakeReversal
from tests.support.message import message

_MS = 1_000_000


def _rules(attempts_max: int = 0) -> IssuerRules:
    return IssuerRules(
        deadline_ms=2_000,
        reversal_retry_ms=1_000,
        reversal_retry_max_ms=4_000,
        reversal_attempts_max=attempts_max,
        final=lambda code: code == "00",
    )


def _deliveries(attempts_max: int = 0) -> Deliveries:
    return Deliveries({1: _rules(attempts_max), 2: _rules(attempts_max)})


def _reversal(txn: int, issuer: int = 1) -> FakeReversal:
    return FakeReversal(txn, issuer, txn, "1123170000")


def _answer(code: str) -> Message:
    fields = {"stan": "000001", "transmission_time": "1123170000", "response_code": code}
    return message("0430", fields)


def _send(deliveries: Deliveries, now_ns: int, jitter: float = 0.0) -> list[tuple[int, bool]]:
    """What a bank that is up gets."""
    sent = []
    for effect in deliveries.due(now_ns, jitter):
        if isinstance(effect, Reverse):
            sent.append((effect.reversal.txn, effect.repeat))
            deliveries.sent(effect.reversal)
    return sent


def test_a_storm_is_sent_in_bounded_calls_oldest_first() -> None:
    deliveries = _deliveries()
    for txn in range(1, SENDS_PER_CALL_MAX + 11):
        deliveries.add(_reversal(txn), txn)
    first = _send(deliveries, 10_000)
    assert first == [(txn, False) for txn in range(1, SENDS_PER_CALL_MAX + 1)]
    assert len(_send(deliveries, 10_000)) == 10
    assert _send(deliveries, 10_000) == []
    assert len(deliveries) == SENDS_PER_CALL_MAX + 10


def test_the_same_reversal_is_taken_up_once() -> None:
    deliveries = _deliveries()
    deliveries.add(_reversal(1), 0)
    deliveries.add(_reversal(1), 0, repeat=True)
    assert _send(deliveries, 0) == [(1, False)]
    assert len(deliveries) == 1


def test_delays_grow_to_their_limit_and_are_jittered() -> None:
    deliveries = _deliveries()
    deliveries.add(_reversal(1), 0)
    now_ns, waits = 0, []
    _send(deliveries, now_ns)
    for _ in range(4):
        wait_ms = 0
        while not _send(deliveries, now_ns + wait_ms * _MS):
            wait_ms += 100
        now_ns += wait_ms * _MS
        waits.append(wait_ms)
    assert waits == [1_000, 2_000, 4_000, 4_000]
    deliveries.add(_reversal(2), now_ns)
    _send(deliveries, now_ns, jitter=0.9)
    assert (2, True) in _send(deliveries, now_ns + 550 * _MS)


def _parked(deliveries: Deliveries, txn: int) -> list[Effect]:
    """What is done when attempts are used up: a record, and an alarm."""
    delivery = deliveries.get(txn)
    assert delivery is not None
    return [Settle(delivery.reversal, "parked", "RL"), Note("reversal_parked", txn)]


def test_one_banks_silence_does_not_hold_up_another() -> None:
    deliveries = _deliveries(attempts_max=1)
    deliveries.add(_reversal(1, issuer=1), 0)
    _send(deliveries, 0)
    assert deliveries.due(1_000 * _MS, 0.0) == _parked(deliveries, 1)
    deliveries.add(_reversal(2, issuer=2), 1_000 * _MS)
    assert _send(deliveries, 1_000 * _MS) == [(2, False)]
    deliveries.bank_up(2, 2_000 * _MS)
    assert deliveries.parked == 1
    deliveries.bank_up(1, 2_000 * _MS)
    assert deliveries.parked == 0
    assert (1, True) in _send(deliveries, 2_000 * _MS)


def test_a_bank_that_was_down_is_not_parked_for_it() -> None:
    deliveries = _deliveries(attempts_max=2)
    reversal = _reversal(1)
    deliveries.add(reversal, 0)
    for second in range(0, 400, 4):
        for effect in deliveries.due(second * 1_000 * _MS, 0.0):
            assert effect == Reverse(reversal, repeat=False)
            deliveries.unsent(reversal, second * 1_000 * _MS)
    delivery = deliveries.get(1)
    assert delivery is not None
    assert (delivery.state, delivery.attempts, delivery.waiting) == (State.OWED, 0, True)


def test_a_bank_that_flaps_is_not_flooded() -> None:
    """Only what no connection took is pulled forward; what was just sent keeps its delay."""
    deliveries = _deliveries()
    deliveries.add(_reversal(1), 0)
    _send(deliveries, 0)
    for _ in range(5):
        deliveries.bank_up(1, 1)
        assert _send(deliveries, 1) == []


def test_only_a_final_code_ends_it() -> None:
    deliveries = _deliveries()
    reversal = _reversal(1)
    deliveries.add(reversal, 0)
    assert deliveries.reply(reversal, _answer("00")) == [Note("reversal_unknown", 1)]
    _send(deliveries, 0)
    assert deliveries.reply(reversal, _answer("96")) == [Note("reversal_rejected", 1)]
    assert deliveries.reply(reversal, _answer("00")) == [Settle(reversal, "00")]
    assert deliveries.reply(reversal, _answer("00")) == [Note("reversal_unknown", 1)]
    assert deliveries.get(1) is None
    assert _send(deliveries, 10**12) == []


def test_reports_on_what_is_over_change_nothing() -> None:
    deliveries = _deliveries()
    deliveries.sent(_reversal(9))
    deliveries.unsent(_reversal(9), 0)
    assert len(deliveries) == 0


def test_parked_ones_are_counted_down_when_they_end() -> None:
    deliveries = _deliveries(attempts_max=1)
    reversal = _reversal(1)
    deliveries.add(reversal, 0)
    _send(deliveries, 0)
    deliveries.due(1_000 * _MS, 0.0)
    assert deliveries.parked == 1
    deliveries.reply(reversal, _answer("00"))
    assert (deliveries.parked, len(deliveries)) == (0, 0)


def test_a_reversal_of_a_bank_that_is_no_member_any_more_is_parked() -> None:
    deliveries = _deliveries()
    reversal = _reversal(1, issuer=77)
    deliveries.add(reversal, 0)
    assert deliveries.due(0, 0.0) == _parked(deliveries, 1)
    deliveries.add(_reversal(2, issuer=77), 0, repeat=True)
    assert deliveries.due(0, 0.0) == _parked(deliveries, 2)
    assert (deliveries.parked, len(deliveries)) == (2, 2)
