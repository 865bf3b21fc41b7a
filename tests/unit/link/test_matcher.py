"""What belongs to what, what is late, and what is nobody's."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.constants import STAN_MAX
from switch.link.matcher import LATE_MAX, LATE_NS, Matcher
from switch.link.window import Window
from switch.model.tally import Tally
from switch.wire import Message
from tests.support.message import PURCHASE, message, reply_to

_NOW_S = 1_795_456_800


class _Txn(msgspec.Struct, eq=False):
    request: Message
    deadline_ns: int
    out_stan: int = 0
    out_time: str = ""
    tally: Tally = msgspec.field(default_factory=Tally)


class _Reversal(msgspec.Struct, eq=False):
    txn: int
    stan: int
    time: str

    def agrees(self, reply: Message) -> bool:
        return reply.get("transmission_time") == self.time


def _matcher(cap: int = 10, stan: int = 0) -> Matcher[_Txn, _Reversal]:
    return Matcher(Window(_NOW_S, stan), cap)


def _txn(deadline_ns: int = 1_000, **changes: str) -> _Txn:
    return _Txn(message("0200", {**PURCHASE, **changes}), deadline_ns)


def _answer(txn: _Txn, **changes: str) -> Message:
    return reply_to(txn.request, txn.out_stan, txn.out_time, "00", **changes)


def test_an_answer_finds_its_request_once() -> None:
    matcher, txn = _matcher(), _txn()
    assert matcher.take(txn, _NOW_S)
    assert (txn.out_stan, txn.out_time) == (1, matcher.window.time)
    answer = _answer(txn)
    assert matcher.match(answer) is txn
    assert not matcher.in_flight
    assert matcher.match(answer) is None
    assert matcher.counts["duplicate"] == 1


def test_two_terminals_with_equal_numbers_never_get_each_others_answers() -> None:
    matcher = _matcher()
    mine = _txn(terminal_id="TERM0001")
    yours = _txn(terminal_id="TERM0002")
    matcher.take(mine, _NOW_S)
    matcher.take(yours, _NOW_S)
    swapped = _answer(mine, stan=f"{yours.out_stan:06d}")
    assert matcher.match(swapped) is None
    assert matcher.counts["disagreeing"] == 1
    assert matcher.match(_answer(yours)) is yours
    assert matcher.match(_answer(mine)) is mine


@pytest.mark.parametrize(
    "changes",
    [
        {"transmission_time": "0101000000"},
        {"rrn": "999999999999"},
        {"terminal_id": "TERM9999"},
        {"currency": "840"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_echo_must_agree(changes: dict[str, str]) -> None:
    matcher, txn = _matcher(), _txn()
    matcher.take(txn, _NOW_S)
    assert matcher.match(_answer(txn, **changes)) is None
    assert matcher.counts["disagreeing"] == 1
    assert matcher.in_flight


def test_an_answer_to_nothing_is_unknown() -> None:
    matcher, txn = _matcher(), _txn()
    txn.out_stan, txn.out_time = 77, "1123170000"
    assert matcher.match(_answer(txn)) is None
    assert matcher.counts["unknown"] == 1


def test_the_cap_holds() -> None:
    matcher = _matcher(cap=2)
    assert matcher.take(_txn(), _NOW_S)
    assert matcher.take(_txn(), _NOW_S)
    refused = _txn()
    assert not matcher.take(refused, _NOW_S)
    assert refused.out_stan == 0


def test_a_stan_in_flight_is_passed_over_after_a_wrap() -> None:
    matcher = _matcher(stan=STAN_MAX - 1)
    first = _txn()
    matcher.take(first, _NOW_S)
    assert first.out_stan == STAN_MAX
    matcher.window = Window(_NOW_S + 5, STAN_MAX - 1)
    second = _txn()
    matcher.take(second, _NOW_S + 5)
    assert second.out_stan == 1


def test_a_cap_that_leaves_no_free_stan_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        _matcher(cap=STAN_MAX)


def test_deadlines_come_in_order_and_late_answers_are_known_once() -> None:
    matcher = _matcher()
    txns = [_txn(deadline_ns=ns) for ns in (100, 200, 300)]
    for txn in txns:
        matcher.take(txn, _NOW_S)
    assert matcher.expired(99) == []
    assert matcher.expired(200) == txns[:2]
    assert matcher.expired(200) == []
    assert matcher.match(_answer(txns[0])) is txns[0]
    assert matcher.match(_answer(txns[0])) is None
    assert matcher.counts["late"] == 1
    assert matcher.match(_answer(txns[1], terminal_id="TERM9999")) is None
    assert matcher.match(_answer(txns[2])) is txns[2]
    assert matcher.expired(10**9) == []


def test_a_request_given_up_on_is_held_for_a_minute_and_no_longer() -> None:
    matcher = _matcher()
    expired, drained, later = _txn(100), _txn(10**12), _txn(200)
    matcher.take(expired, _NOW_S)
    matcher.expired(100)
    matcher.take(drained, _NOW_S)
    matcher.drain()
    matcher.take(later, _NOW_S)
    matcher.expired(200)
    matcher.expired(100 + LATE_NS - 1)
    assert list(matcher.late.values()) == [expired, drained, later]
    matcher.expired(100 + LATE_NS)
    assert list(matcher.late.values()) == [drained, later]
    assert matcher.match(_answer(expired)) is None
    assert matcher.counts["unknown"] == 1
    matcher.expired(10**12 + LATE_NS)
    assert not matcher.late


def test_one_off_a_slow_wire_expires_before_those_ahead_of_it() -> None:
    matcher = _matcher()
    normal, slow = _txn(deadline_ns=1_000), _txn(deadline_ns=400)
    matcher.take(normal, _NOW_S)
    matcher.take(slow, _NOW_S)
    assert matcher.expired(399) == []
    assert matcher.expired(400) == [slow]
    assert matcher.expired(1_000) == [normal]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60), st.integers(0, 60))
def test_exactly_what_is_due_expires(plan: list[tuple[int, bool]], now_ns: int) -> None:
    matcher = _matcher(cap=100)
    request = message("0200", PURCHASE)
    waiting = []
    for deadline_ns, answered in plan:
        txn = _Txn(request, deadline_ns)
        matcher.take(txn, _NOW_S)
        if answered:
            assert matcher.match(_answer(txn)) is txn
        else:
            waiting.append(txn)
    due = [txn for txn in waiting if txn.deadline_ns <= now_ns]
    assert sorted(map(id, matcher.expired(now_ns))) == sorted(map(id, due))
    assert len(matcher.in_flight) == len(waiting) - len(due)


def test_what_never_left_can_be_dropped() -> None:
    matcher, txn = _matcher(), _txn()
    matcher.take(txn, _NOW_S)
    assert matcher.drop(txn)
    assert not matcher.drop(txn)
    assert matcher.expired(10**9) == []


def test_a_drain_takes_all_and_still_knows_late_answers() -> None:
    matcher = _matcher()
    txns = [_txn(), _txn(deadline_ns=10)]
    for txn in txns:
        matcher.take(txn, _NOW_S)
    assert matcher.drain() == txns
    assert matcher.expired(10**9) == []
    assert matcher.match(_answer(txns[1])) is txns[1]


def test_what_is_remembered_of_late_ones_is_bounded() -> None:
    matcher: Matcher[_Txn, _Reversal] = _matcher(cap=STAN_MAX - 1)
    request = message("0200", PURCHASE)
    txns = [_Txn(request, 5) for _ in range(LATE_MAX + 3)]
    for txn in txns:
        matcher.take(txn, _NOW_S)
    matcher.expired(5)
    assert len(matcher.late) == LATE_MAX
    assert matcher.match(_answer(txns[0])) is None
    assert matcher.match(_answer(txns[-1])) is txns[-1]


def test_reversals_stay_until_they_are_done() -> None:
    matcher = _matcher()
    stan, time = matcher.number(_NOW_S)
    reversal = _Reversal(1, stan, time)
    matcher.delivery_sent(reversal)
    fields = {"stan": f"{stan:06d}", "transmission_time": time, "response_code": "96"}
    assert matcher.match_delivery(message("0430", fields)) is reversal
    assert matcher.match_delivery(message("0430", fields)) is reversal
    wrong = {**fields, "transmission_time": "0101000000"}
    assert matcher.match_delivery(message("0430", wrong)) is None
    assert matcher.counts["disagreeing"] == 1
    matcher.delivery_done(reversal)
    matcher.delivery_done(reversal)
    assert matcher.match_delivery(message("0430", fields)) is None
    assert matcher.counts["delivery_unknown"] == 1


def test_numbers_of_open_reversals_are_not_given_out_again() -> None:
    matcher = _matcher(stan=STAN_MAX)
    stan, time = matcher.number(_NOW_S)
    matcher.delivery_sent(_Reversal(1, stan, time))
    matcher.window = Window(_NOW_S + 9, STAN_MAX)
    assert matcher.number(_NOW_S + 9)[0] == stan + 1


def test_what_became_of_requests_is_tallied_where_they_were_sent() -> None:
    matcher, tally = _matcher(), Tally()
    answered, late, dropped, waiting = (_txn(deadline_ns=n * 1_000) for n in (4, 1, 5, 6))
    for txn in (answered, late, dropped, waiting):
        txn.tally = tally
        matcher.take(txn, _NOW_S)
    matcher.match(_answer(answered))
    assert matcher.expired(2_000) == [late]
    matcher.drop(dropped)
    assert matcher.match(_answer(late)) is late
    assert (tally.sent, tally.answered, tally.expired, tally.dropped) == (4, 1, 1, 1)


def test_how_long_the_first_has_waited_counts_from_when_it_left() -> None:
    matcher = _matcher()
    assert matcher.waited_ns(1_000) == 0
    matcher.take(_txn(), _NOW_S)
    # It stands on a record that is not durable yet.
    assert matcher.waited_ns(1_000) == 0
