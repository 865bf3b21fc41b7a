"""Delivery of what banks are owed: order, bounds, and which bank's trouble is whose."""

from collections import Counter
from time import perf_counter_ns

import msgspec
import pytest

from switch.engine.deliver import SENDS_PER_CALL_MAX, Deliveries, IssuerRules
from switch.engine.duty import Happening, Stage
from switch.engine.effects import Deliver, Effect, Note, Settle
from switch.model.state import Duty
from switch.wire import Message
from tests.support.gate import FakeOwed
from tests.support.message import message

_MS = 1_000_000
_HOUR = 3_600_000 * _MS


def _rules(
    attempts_max: int = 0, *, window: int = 10_000, per_s: int = 100_000, horizon_h: int = 0
) -> IssuerRules:
    return IssuerRules(
        deadline_ms=2_000,
        reversal_retry_ms=1_000,
        reversal_retry_max_ms=4_000,
        reversal_attempts_max=attempts_max,
        final=lambda code: code == "00",
        saf_in_flight_max=window,
        saf_per_s=per_s,
        saf_horizon_h=horizon_h,
    )


def _deliveries(rules: IssuerRules | None = None) -> Deliveries:
    rules = rules or _rules()
    return Deliveries({1: rules, 2: rules})


def _owed(txn: int, issuer: int = 1, duty: Duty = Duty.REVERSAL) -> FakeOwed:
    return FakeOwed(txn, issuer, txn, "1123170000", duty=duty)


def _answer(code: str, mti: str = "0430") -> Message:
    fields = {"stan": "000001", "transmission_time": "1123170000", "response_code": code}
    return message(mti, fields)


def _send(deliveries: Deliveries, now_ns: int, jitter: float = 0.0) -> list[tuple[int, bool]]:
    """What a bank that is up gets."""
    sent = []
    for effect in deliveries.due(now_ns, jitter):
        if isinstance(effect, Deliver):
            sent.append((effect.owed.txn, effect.repeat))
            deliveries.sent(effect.owed)
    return sent


def _refuse(deliveries: Deliveries, now_ns: int) -> int:
    """What a bank that is down does not get."""
    tried = 0
    for effect in deliveries.due(now_ns, 0.0):
        assert isinstance(effect, Deliver)
        deliveries.unsent(effect.owed, now_ns)
        tried += 1
    return tried


def test_a_storm_is_sent_in_bounded_calls_oldest_first() -> None:
    deliveries = _deliveries()
    for txn in range(1, SENDS_PER_CALL_MAX + 11):
        deliveries.add(_owed(txn), txn)
    first = _send(deliveries, 10_000)
    assert first == [(txn, False) for txn in range(1, SENDS_PER_CALL_MAX + 1)]
    assert len(_send(deliveries, 10_000)) == 10
    assert _send(deliveries, 10_000) == []
    assert len(deliveries) == SENDS_PER_CALL_MAX + 10


def test_the_same_one_is_taken_up_once() -> None:
    deliveries = _deliveries()
    deliveries.add(_owed(1), 0)
    deliveries.add(_owed(1), 0, repeat=True)
    assert _send(deliveries, 0) == [(1, False)]
    assert len(deliveries) == 1


def test_pauses_follow_the_banks_time_and_are_jittered_in_full() -> None:
    """Anywhere between nothing and a ceiling that doubles, behind the time that the bank has to
    answer."""
    waits: dict[int, list[int]] = {attempt: [] for attempt in range(4)}
    for number in range(60):
        deliveries = _deliveries()
        deliveries.add(_owed(1), 0)
        now_ns = 0
        _send(deliveries, now_ns, jitter=number / 60)
        for attempt in range(4):
            wait_ms = 0
            while not _send(deliveries, now_ns + wait_ms * _MS, jitter=number / 60):
                wait_ms += 50
            now_ns += wait_ms * _MS
            waits[attempt].append(wait_ms - 2_000)
    for attempt, ceiling_ms in enumerate([1_000, 2_000, 4_000, 4_000]):
        pauses = waits[attempt]
        assert 0 <= min(pauses) < 0.1 * ceiling_ms
        assert 0.9 * ceiling_ms < max(pauses) <= ceiling_ms
        assert sum(pauses) / len(pauses) == pytest.approx(ceiling_ms / 2, rel=0.1)


def test_repeats_of_many_do_not_come_at_one_moment() -> None:
    deliveries = _deliveries()
    for txn in range(200):
        deliveries.add(_owed(txn), 0)
    _send(deliveries, 0, jitter=0.3)
    tenths = Counter(
        {tenth: len(_send(deliveries, (2_000 + 100 * (tenth + 1)) * _MS)) for tenth in range(10)}
    )
    assert sum(tenths.values()) == 200
    assert max(tenths.values()) < 30


def test_no_more_in_flight_than_the_window() -> None:
    deliveries = _deliveries(_rules(window=3))
    for txn in range(1, 11):
        deliveries.add(_owed(txn), 0)
    assert _send(deliveries, 0) == [(1, False), (2, False), (3, False)]
    assert _send(deliveries, 100 * _MS) == []
    deliveries.reply(_owed(2), _answer("00"))
    assert _send(deliveries, 200 * _MS) == [(4, False)]
    deliveries.reply(_owed(3), _answer("96"))
    assert _send(deliveries, 300 * _MS) == [(5, False)]
    # Three never answer: their places are free again once the bank's time is over.
    assert [txn for txn, _ in _send(deliveries, 10_000 * _MS)] == [6, 7, 8]


def test_what_pauses_leaves_its_place_in_the_window_to_others() -> None:
    """As many poison messages as the window has places hold nothing up beyond the bank's time."""
    deliveries = _deliveries(_rules(window=2))
    for txn in (1, 2, 3, 4):
        deliveries.add(_owed(txn), 0)
    assert [txn for txn, _ in _send(deliveries, 0, jitter=0.9)] == [1, 2]
    assert _send(deliveries, 1_999 * _MS, jitter=0.9) == []
    assert [txn for txn, _ in _send(deliveries, 2_000 * _MS, jitter=0.9)] == [3, 4]


def test_a_bank_that_returns_is_not_stormed() -> None:
    deliveries = _deliveries(_rules(per_s=100))
    for txn in range(1_000):
        deliveries.add(_owed(txn), 0)
    assert _refuse(deliveries, 0) == 10
    deliveries.bank_up(1, 1_000 * _MS)
    sent = [len(_send(deliveries, (1_000 + 50 * tick) * _MS)) for tick in range(41)]
    assert sent[0] == 10, "a tenth of a second's share at once"
    assert sent[1:] == [5] * 40
    deliveries.bank_up(1, 3_100 * _MS)
    assert len(_send(deliveries, 3_100 * _MS)) <= 10, "a bank that flaps gets no more for it"


def test_a_bank_that_is_away_keeps_its_order_and_costs_one_look_a_pause() -> None:
    deliveries = _deliveries()
    for txn in range(600):
        deliveries.add(_owed(txn), 0)
    assert _refuse(deliveries, 0) == SENDS_PER_CALL_MAX
    assert [_refuse(deliveries, ms * _MS) for ms in range(50, 4_000, 50)] == [0] * 79
    assert _refuse(deliveries, 4_000 * _MS) == 1
    deliveries.bank_up(1, 5_000 * _MS)
    order = [txn for tick in range(3) for txn, _ in _send(deliveries, (5_000 + tick) * _MS)]
    assert order == list(range(600))


def _parked(deliveries: Deliveries, txn: int) -> list[Effect]:
    """What is done when attempts are used up: a record, and an alarm."""
    delivery = deliveries.get(txn)
    assert delivery is not None
    return [Settle(delivery.owed, "parked", "RL"), Note("delivery_parked", txn)]


def test_one_banks_silence_does_not_hold_up_another() -> None:
    deliveries = _deliveries(_rules(attempts_max=1, window=1))
    for txn in range(100, 150):
        deliveries.add(_owed(txn, issuer=1), 0)
    _send(deliveries, 0)
    deliveries.add(_owed(2, issuer=2), 1_000 * _MS)
    assert _send(deliveries, 1_000 * _MS) == [(2, False)]


def test_a_bank_takes_up_what_was_parked_when_it_returns_and_no_other_does() -> None:
    deliveries = _deliveries(_rules(attempts_max=1))
    deliveries.add(_owed(1, issuer=1), 0)
    _send(deliveries, 0)
    assert deliveries.due(10_000 * _MS, 0.0) == _parked(deliveries, 1)
    deliveries.bank_up(2, 10_000 * _MS)
    assert deliveries.parked == 1
    deliveries.bank_up(1, 10_000 * _MS)
    assert deliveries.parked == 0
    assert _send(deliveries, 10_000 * _MS) == [(1, True)]


def test_a_poison_message_does_not_stop_the_queue_behind_it() -> None:
    deliveries = _deliveries(_rules(attempts_max=2, window=1))
    for txn in (1, 2, 3):
        deliveries.add(_owed(txn), 0)
    done: list[int] = []
    for second in range(60):
        now_ns = second * 1_000 * _MS
        for effect in deliveries.due(now_ns, 0.0):
            if not isinstance(effect, Deliver):
                continue
            if effect.owed.txn == 1:
                deliveries.sent(effect.owed)
                continue
            deliveries.sent(effect.owed)
            deliveries.reply(effect.owed, _answer("00"))
            done.append(effect.owed.txn)
    assert done == [2, 3]
    delivery = deliveries.get(1)
    assert delivery is not None
    assert delivery.stage is Stage.PARKED


def test_a_bank_that_was_down_is_not_parked_for_it() -> None:
    deliveries = _deliveries(_rules(attempts_max=2))
    owed = _owed(1)
    deliveries.add(owed, 0)
    for second in range(0, 400, 4):
        for effect in deliveries.due(second * 1_000 * _MS, 0.0):
            assert effect == Deliver(owed, repeat=False)
            deliveries.unsent(owed, second * 1_000 * _MS)
    delivery = deliveries.get(1)
    assert delivery is not None
    assert (delivery.stage, delivery.attempts, delivery.waiting) == (Stage.OWED, 0, True)


def test_a_bank_that_flaps_is_not_flooded() -> None:
    """Only what no connection took is pulled forward; what was just sent keeps its pause."""
    deliveries = _deliveries()
    deliveries.add(_owed(1), 0)
    _send(deliveries, 0)
    for _ in range(5):
        deliveries.bank_up(1, 1)
        assert _send(deliveries, 1) == []


def test_only_a_final_code_ends_it() -> None:
    deliveries = _deliveries()
    owed = _owed(1)
    deliveries.add(owed, 0)
    assert deliveries.reply(owed, _answer("00")) == [Note("delivery_unknown", 1)]
    _send(deliveries, 0)
    assert deliveries.reply(owed, _answer("96")) == [Note("delivery_rejected", 1)]
    assert deliveries.reply(owed, _answer("00")) == [Settle(owed, "00")]
    assert deliveries.reply(owed, _answer("00")) == [Note("delivery_unknown", 1)]
    assert deliveries.get(1) is None
    assert _send(deliveries, 10**13) == []


def test_one_transactions_deliveries_leave_in_the_order_in_which_they_were_owed() -> None:
    deliveries = _deliveries()
    for duty in Duty:
        deliveries.add(_owed(1, duty=duty), 0)
    deliveries.add(_owed(2), 0)
    order: list[tuple[int, int]] = []
    for second in range(8):
        now_ns = second * 10_000 * _MS
        for effect in deliveries.due(now_ns, 0.0):
            assert isinstance(effect, Deliver)
            deliveries.sent(effect.owed)
            order.append((effect.owed.txn, effect.owed.duty))
            if second % 2:
                mti = "0230" if effect.owed.duty == Duty.ADVICE else "0430"
                deliveries.reply(effect.owed, _answer("00", mti))
    assert [duty for txn, duty in order if txn == 1] == [0, 0, 1, 1, 2, 2]
    assert (2, 0) in order[:2], "another transaction waits for none of them"
    assert len(deliveries) == 0


def test_what_is_older_than_the_horizon_is_a_dead_letter() -> None:
    deliveries = _deliveries(_rules(horizon_h=2))
    old, new = _owed(1), _owed(2)
    deliveries.add(old, 0, repeat=True, age_ms=119 * 60_000)
    deliveries.add(new, 0)
    assert _send(deliveries, 0) == [(1, True), (2, False)]
    effects = deliveries.due(2 * 60_000 * _MS, 0.0)
    assert effects[:2] == [Settle(old, "dead", "TS"), Note("delivery_dead", 1)]
    assert deliveries.dead == 1
    assert _send(deliveries, _HOUR) == [(2, True)]
    deliveries.bank_up(1, _HOUR)
    assert 1 not in dict(_send(deliveries, _HOUR + 1))
    assert deliveries.reply(old, _answer("00")) == [Settle(old, "00")]
    assert (deliveries.dead, len(deliveries)) == (0, 1)


def _fault(code: str) -> bool:
    raise ZeroDivisionError(code)


def test_an_answer_that_a_fault_of_ours_keeps_from_being_read_is_a_dead_letter() -> None:
    deliveries = _deliveries()
    poison, other = _owed(1), _owed(2)
    deliveries.add(poison, 0)
    deliveries.add(other, 0)
    _send(deliveries, 0)
    deliveries.adopt({1: msgspec.structs.replace(_rules(), final=_fault)})
    assert deliveries.reply(poison, _answer("00")) == [
        Settle(poison, "dead", "SS", why="ZeroDivisionError"),
        Note("delivery_dead", 1),
    ]
    deliveries.adopt({1: _rules()})
    assert deliveries.reply(other, _answer("00")) == [Settle(other, "00")]
    assert _send(deliveries, _HOUR) == [], "it is not asked for again"
    assert (deliveries.dead, len(deliveries)) == (1, 1)
    assert isinstance(deliveries.ordered(poison, Happening.RETRIED, _HOUR, "ann", "mended"), list)
    assert _send(deliveries, _HOUR) == [(1, True)]
    assert deliveries.reply(poison, _answer("00")) == [Settle(poison, "00")]


@pytest.mark.parametrize("stage", [Stage.PARKED, Stage.HELD, Stage.DEAD])
def test_what_rests_rests_when_its_late_answer_cannot_be_read(stage: Stage) -> None:
    deliveries = _deliveries(msgspec.structs.replace(_rules(), final=_fault))
    deliveries.add(_owed(1), 0, repeat=True, stage=stage)
    assert deliveries.reply(_owed(1), _answer("00")) == [Note("delivery_unread", 1)]
    assert deliveries.counts(1)[stage] == 1


def test_age_goes_on_over_restarts_while_attempts_are_counted_anew() -> None:
    """What is promised: an attempt leaves no record, so that one that was sent often may be sent as
    often again by the next process; but it dies of its age, however often that was."""
    rules = _rules(attempts_max=3, horizon_h=2)
    for lives in range(5):
        deliveries = _deliveries(rules)
        deliveries.add(_owed(1), 0, repeat=True, age_ms=lives * 29 * 60_000)
        found = deliveries.get(1)
        assert found is not None
        assert found.attempts == 0
        assert _send(deliveries, 0) == [(1, True)]
        assert found.attempts == 1
    effects = deliveries.due(5 * 60_000 * _MS, 0.0)
    assert effects[0] == Settle(_owed(1), "dead", "TS")


def test_what_is_sent_again_by_order_still_dies_of_its_age_in_its_turn() -> None:
    deliveries = _deliveries(_rules(horizon_h=2))
    deliveries.add(_owed(1), 0)
    deliveries.add(_owed(2), _HOUR)
    _send(deliveries, _HOUR)
    assert deliveries.ordered(_owed(1), Happening.RETRIED, _HOUR, "anna", "x") == []
    dead = [e.owed.txn for e in deliveries.due(2 * _HOUR + 1, 0.0) if isinstance(e, Settle)]
    assert dead == [1]


def test_the_horizon_holds_for_a_bank_that_is_away_and_for_what_is_parked() -> None:
    deliveries = _deliveries(_rules(attempts_max=1, horizon_h=1))
    deliveries.add(_owed(1), 0)
    _send(deliveries, 0)
    assert _parked(deliveries, 1) == deliveries.due(60_000 * _MS, 0.0)
    deliveries.add(_owed(2), 60_000 * _MS)
    _refuse(deliveries, 60_000 * _MS)
    dead = [e.owed.txn for e in deliveries.due(2 * _HOUR, 0.0) if isinstance(e, Settle)]
    assert dead == [1, 2]
    assert (deliveries.parked, deliveries.dead) == (0, 2)


def test_what_rested_before_a_restart_rests() -> None:
    deliveries = _deliveries()
    deliveries.add(_owed(1), 0, repeat=True, stage=Stage.DEAD)
    deliveries.add(_owed(2), 0, repeat=True, stage=Stage.PARKED)
    deliveries.add(_owed(3), 0, repeat=True, stage=Stage.HELD)
    assert _send(deliveries, 0) == []
    assert (deliveries.dead, deliveries.parked, deliveries.held) == (1, 1, 1)
    deliveries.bank_up(1, 0)
    assert _send(deliveries, 0) == [(2, True)]
    assert dict(deliveries.counts(1)) == {
        Stage.OWED: 1, Stage.PARKED: 0, Stage.HELD: 1, Stage.DEAD: 1,
    }  # fmt: skip


def test_reports_on_what_is_over_change_nothing() -> None:
    deliveries = _deliveries()
    deliveries.sent(_owed(9))
    deliveries.unsent(_owed(9), 0)
    assert deliveries.unfit(_owed(9)) == []
    assert len(deliveries) == 0


def test_parked_ones_are_counted_down_when_they_end() -> None:
    deliveries = _deliveries(_rules(attempts_max=1))
    owed = _owed(1)
    deliveries.add(owed, 0)
    _send(deliveries, 0)
    deliveries.due(10_000 * _MS, 0.0)
    assert deliveries.parked == 1
    deliveries.reply(owed, _answer("00"))
    assert (deliveries.parked, len(deliveries)) == (0, 0)


def test_what_is_owed_to_a_bank_that_is_no_member_any_more_is_parked() -> None:
    deliveries = _deliveries()
    deliveries.add(_owed(1, issuer=77), 0)
    assert deliveries.due(0, 0.0) == _parked(deliveries, 1)
    deliveries.add(_owed(2, issuer=77), 0, repeat=True)
    assert deliveries.due(0, 0.0) == _parked(deliveries, 2)
    assert (deliveries.parked, len(deliveries)) == (2, 2)


def test_a_bank_that_leaves_while_it_is_owed_keeps_nothing_in_flight() -> None:
    rules = _rules(window=2)
    deliveries = Deliveries({1: rules})
    for txn in range(4):
        deliveries.add(_owed(txn), 0)
    _send(deliveries, 0)
    deliveries.adopt({})
    deliveries.due(1, 0.0)
    assert deliveries.parked == 4
    deliveries.adopt({1: rules})
    deliveries.bank_up(1, 2)
    assert len(_send(deliveries, 3)) == 2


def test_what_a_bank_that_is_away_is_owed_costs_a_tick_nothing() -> None:
    """A hundred thousand cost what one costs: a look at the oldest."""

    def tick_ns(count: int) -> float:
        deliveries = _deliveries(_rules(horizon_h=72))
        for txn in range(count):
            deliveries.add(_owed(txn), 0)
        _refuse(deliveries, 0)
        best = float("inf")
        for _ in range(20):
            began = perf_counter_ns()
            for number in range(100):
                deliveries.due(number * _MS, 0.5)
            best = min(best, (perf_counter_ns() - began) / 100)
        return best

    assert tick_ns(100_000) < 5 * tick_ns(1)
