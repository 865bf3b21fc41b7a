"""Sessions as stories: sign-on, echo, refusal, time-outs."""

import msgspec

from switch.link.session import (
    AnswerNetwork,
    Count,
    Disconnect,
    Echoed,
    EchoMissed,
    Opened,
    RefuseRequest,
    Role,
    Rules,
    SendNetwork,
    Session,
    Shut,
)
from switch.link.states import LinkState
from switch.link.window import Window
from switch.wire import Message
from tests.support.message import PURCHASE, message

_MS = 1_000_000
_NOW_S = 1_795_456_800


def _session(role: Role = Role.ISSUER, **rules: int) -> Session:
    return Session(msgspec.structs.replace(Rules(role), **rules), Window(_NOW_S - 10, 7))


def _answer(sent: SendNetwork, code: str = "00", **changes: str) -> Message:
    fields = {
        "stan": f"{sent.stan:06d}",
        "transmission_time": sent.time,
        "network_code": sent.network_code,
        "response_code": code,
    }
    return message("0810", fields | changes)


def _asks(code: str) -> Message:
    fields = {"stan": "000001", "transmission_time": "1123170000", "network_code": code}
    return message("0800", fields)


def _sign_on(session: Session) -> SendNetwork:
    (sent,) = session.connected(0, _NOW_S)
    assert isinstance(sent, SendNetwork)
    return sent


def test_we_sign_on_to_a_bank_with_numbers_of_its_window() -> None:
    session = _session()
    sent = _sign_on(session)
    assert (sent.mti, sent.network_code, sent.stan) == ("0800", "001", 8)
    assert not session.open
    assert session.network(_answer(sent), 1, _NOW_S, 0.0) == [Opened()]
    assert session.open


def test_only_the_answer_to_what_was_sent_counts() -> None:
    session = _session()
    sent = _sign_on(session)
    for wrong in (
        _answer(sent, stan="000009"),
        _answer(sent, transmission_time="0101000000"),
        _answer(sent, network_code="301"),
    ):
        assert session.network(wrong, 1, _NOW_S, 0.0) == [Count("reply_strange")]
        assert not session.open
    assert session.network(_answer(sent), 1, _NOW_S, 0.0) == [Opened()]
    assert session.network(_answer(sent), 1, _NOW_S, 0.0) == [Count("reply_strange")]
    assert session.open


def test_an_answer_may_leave_the_network_code_out() -> None:
    session = _session()
    sent = _sign_on(session)
    fields = {"stan": f"{sent.stan:06d}", "transmission_time": sent.time, "response_code": "00"}
    assert session.network(message("0810", fields), 1, _NOW_S, 0.0) == [Opened()]


def test_a_refused_sign_on_is_tried_again_after_growing_delays() -> None:
    session = _session(retry_min_ms=1_000, retry_max_ms=4_000)
    sent = _sign_on(session)
    now_ns, waits = 0, []
    for _ in range(4):
        assert session.network(_answer(sent, "96"), now_ns, _NOW_S, 0.0) == []
        wait_ms = 0
        while not (actions := session.tick(now_ns + wait_ms * _MS, _NOW_S, 0.0)):
            wait_ms += 500
        now_ns += wait_ms * _MS
        waits.append(wait_ms)
        (again,) = actions
        assert isinstance(again, SendNetwork)
        assert again.stan > sent.stan
        sent = again
    assert waits == [1_000, 2_000, 4_000, 4_000]


def test_a_sign_on_that_is_not_answered_is_tried_again() -> None:
    session = _session(reply_timeout_ms=2_000, retry_min_ms=1_000)
    _sign_on(session)
    assert session.tick(1_999 * _MS, _NOW_S, 0.0) == []
    assert session.tick(2_000 * _MS, _NOW_S, 0.0) == []
    assert session.state is LinkState.RETRYING
    (again,) = session.tick(3_000 * _MS, _NOW_S, 0.0)
    assert isinstance(again, SendNetwork)


def test_an_acquirer_signs_on_to_us() -> None:
    session = _session(Role.ACQUIRER)
    assert session.connected(0, _NOW_S) == []
    early = message("0200", PURCHASE)
    assert session.request(early, 1, _NOW_S) == [RefuseRequest(early, "91", "not signed on")]
    asks = _asks("001")
    assert session.network(asks, 1, _NOW_S, 0.0) == [AnswerNetwork(asks, "00"), Opened()]
    assert session.open
    assert session.request(early, 2, _NOW_S) == []
    off = _asks("002")
    assert session.network(off, 3, _NOW_S, 0.0) == [AnswerNetwork(off, "00"), Shut()]
    assert session.request(early, 4, _NOW_S) == [RefuseRequest(early, "91", "not signed on")]


def test_an_acquirer_that_never_signs_on_is_put_off() -> None:
    session = _session(Role.ACQUIRER, sign_on_wait_ms=5_000)
    session.connected(0, _NOW_S)
    assert session.tick(4_999 * _MS, _NOW_S, 0.0) == []
    assert session.tick(5_000 * _MS, _NOW_S, 0.0) == [Disconnect("overdue")]
    assert session.tick(60_000 * _MS, _NOW_S, 0.0) == []


def test_a_terminal_link_without_sign_on_is_open_at_once() -> None:
    session = Session(Rules(Role.ACQUIRER, sign_on=False), Window())
    assert session.connected(0, _NOW_S) == [Opened()]
    assert session.close(1, _NOW_S) == [Shut(), Disconnect("close_wanted")]


def test_a_bank_sends_no_requests() -> None:
    session = _session()
    session.network(_answer(_sign_on(session)), 1, _NOW_S, 0.0)
    odd = message("0200", PURCHASE)
    (refusal,) = session.request(odd, 2, _NOW_S)
    assert isinstance(refusal, RefuseRequest)
    assert refusal.code == "12"


def test_silence_is_answered_by_an_echo_and_then_by_a_disconnect() -> None:
    session = _session(echo_idle_ms=10_000, reply_timeout_ms=2_000)
    session.network(_answer(_sign_on(session)), 0, _NOW_S, 0.0)
    session.heard_ns = 5_000 * _MS
    assert session.tick(14_999 * _MS, _NOW_S, 0.0) == []
    (echo,) = session.tick(15_000 * _MS, _NOW_S, 0.0)
    assert isinstance(echo, SendNetwork)
    assert echo.network_code == "301"
    assert session.open
    assert session.tick(16_999 * _MS, _NOW_S, 0.0) == []
    assert session.tick(17_000 * _MS, _NOW_S, 0.0) == [Shut(), Disconnect("overdue")]
    assert session.tick(99_000 * _MS, _NOW_S, 0.0) == []


def test_an_answered_echo_and_other_traffic_both_keep_the_link() -> None:
    session = _session(echo_idle_ms=10_000, reply_timeout_ms=2_000)
    session.network(_answer(_sign_on(session)), 0, _NOW_S, 0.0)
    (echo,) = session.tick(10_000 * _MS, _NOW_S, 0.0)
    assert isinstance(echo, SendNetwork)
    session.heard_ns = 10_500 * _MS
    session.network(_answer(echo), 10_500 * _MS, _NOW_S, 0.0)
    assert session.state is LinkState.SIGNED_ON
    (second,) = session.tick(20_500 * _MS, _NOW_S, 0.0)
    assert isinstance(second, SendNetwork)
    session.heard_ns = 21_000 * _MS
    assert session.tick(21_000 * _MS, _NOW_S, 0.0) == []
    assert session.state is LinkState.SIGNED_ON
    assert session.network(_answer(second), 21_500 * _MS, _NOW_S, 0.0) == [Count("reply_strange")]


def test_no_echo_where_none_is_set() -> None:
    session = _session()
    session.network(_answer(_sign_on(session)), 0, _NOW_S, 0.0)
    assert session.tick(10**9 * _MS, _NOW_S, 0.0) == []


def test_we_sign_off_where_we_signed_on() -> None:
    session = _session(reply_timeout_ms=2_000)
    session.network(_answer(_sign_on(session)), 0, _NOW_S, 0.0)
    shut, off = session.close(1, _NOW_S)
    assert shut == Shut()
    assert isinstance(off, SendNetwork)
    assert off.network_code == "002"
    assert not session.open
    assert session.close(2, _NOW_S) == [Count("ignored")]
    assert session.network(_answer(off), 2, _NOW_S, 0.0) == [Disconnect("reply_approved")]


def test_a_sign_off_that_is_not_answered_ends_all_the_same() -> None:
    session = _session(reply_timeout_ms=2_000)
    session.network(_answer(_sign_on(session)), 0, _NOW_S, 0.0)
    session.close(0, _NOW_S)
    assert session.tick(2_000 * _MS, _NOW_S, 0.0) == [Disconnect("overdue")]


def test_what_comes_after_the_end_is_counted() -> None:
    session = _session()
    session.network(_answer(_sign_on(session)), 0, _NOW_S, 0.0)
    assert session.lost(1, _NOW_S) == [Shut()]
    assert session.network(_asks("301"), 2, _NOW_S, 0.0) == [Count("closed")]
    assert session.request(message("0200", PURCHASE), 3, _NOW_S) == [Count("closed")]


def _signed_on(*, watched: bool = False) -> Session:
    session = _session(watched=watched)
    session.network(_answer(_sign_on(session)), 1, _NOW_S, 0.0)
    return session


def test_answer_to_an_echo_tells_how_long_it_took() -> None:
    session = _signed_on()
    (sent,) = session.echo(1_000, _NOW_S)
    assert isinstance(sent, SendNetwork)
    assert session.echo(1_001, _NOW_S) == [Count("ignored")]
    assert session.network(_answer(sent), 43_000, _NOW_S, 0.0) == [Echoed(42_000)]


def test_any_sign_of_life_ends_a_test_but_not_one_that_was_asked_for() -> None:
    session = _signed_on()
    session.echo(1_000, _NOW_S)
    session.heard_ns = 2_000
    assert session.tick(3_000, _NOW_S, 0.0) == []
    (sent,) = session.echo(4_000, _NOW_S, asked=True)
    assert isinstance(sent, SendNetwork)
    session.heard_ns = 5_000
    assert session.tick(6_000, _NOW_S, 0.0) == []
    assert session.network(_answer(sent), 7_000, _NOW_S, 0.0) == [Echoed(3_000)]


def test_echo_that_is_missed_on_a_link_that_speaks_does_not_end_it() -> None:
    session = _signed_on()
    session.echo(1_000, _NOW_S, 100, asked=True)
    session.heard_ns = 2_000
    assert session.tick(99 * _MS, _NOW_S, 0.0) == []
    assert session.tick(101 * _MS, _NOW_S, 0.0) == [EchoMissed()]
    assert session.open


def test_echo_that_is_missed_ends_a_link_that_nobody_watches() -> None:
    session = _signed_on()
    session.echo(2_000, _NOW_S, 100)
    assert session.tick(101 * _MS, _NOW_S, 0.0) == [Shut(), Disconnect("overdue")]
    session = _signed_on(watched=True)
    session.echo(2_000, _NOW_S, 100)
    assert session.tick(101 * _MS, _NOW_S, 0.0) == [EchoMissed()]


def test_operators_sign_off_holds_against_the_peer_until_the_sign_on() -> None:
    session = _signed_on()
    shut, sent = session.rest(1, _NOW_S)
    assert isinstance(sent, SendNetwork)
    assert (shut, sent.network_code) == (Shut(), "002")
    session.network(_answer(sent), 2, _NOW_S, 0.0)
    assert session.state is LinkState.HELD
    (answer,) = session.network(_asks("001"), 3, _NOW_S, 0.0)
    assert isinstance(answer, AnswerNetwork)
    assert answer.code == "12"
    (sent,) = session.sign_on(4, _NOW_S)
    assert isinstance(sent, SendNetwork)
    assert session.network(_answer(sent), 5, _NOW_S, 0.0) == [Opened()]


def test_new_connection_of_a_member_that_is_held_does_not_sign_on() -> None:
    session = _session()
    assert session.connected(0, _NOW_S, held=True) == []
    assert session.tick(600_000 * _MS, _NOW_S, 0.0) == []
    assert session.state is LinkState.HELD
