"""The gate: recorded, durable, then sent; one record and one answer for each act."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.errors import EncodeError, UsageError
from switch.model.state import Cause, KeyState, ReversalEffect
from tests.support.walk import CODE_ACQUIRER, CODE_SWITCH, NOW_S, OUT_TIME, PAN, World, open_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world whose journal keeps the rules of the walk, whatever a test did with it."""
    with open_world(tmp_path) as world:
        yield world
        assert world.findings() == []


def test_a_request_leaves_only_when_its_record_is_durable(world: World) -> None:
    _, stan, lsn = world.forward(world.purchase(7))
    assert world.release() == {}, "nothing was synced"
    assert (world.gate.held, world.gate.held_bytes(world.host) > 0) == (1, True)
    world.sync()
    assert world.journal.synced >= lsn
    leg = world.one(world.release(), world.host)
    assert (leg.mti, leg.stan, leg.get("transmission_time")) == ("0200", stan, OUT_TIME)
    assert (leg.get("forwarder_code"), leg.get("acquirer_code")) == (CODE_SWITCH, CODE_ACQUIRER)
    assert (leg.reveal("pan"), leg.amount_minor) == (PAN, 1234)
    assert world.gate.held == 0


def test_a_pin_block_never_passes(world: World) -> None:
    world.forward(world.purchase(1, pin_block=b"\x12" * 8))
    assert not world.one(world.flow(), world.host).has("pin_block")


def test_sent_ns_says_whether_a_leg_was_handed_to_a_socket(world: World) -> None:
    request = world.purchase()
    world.forward(request)
    assert request.sent_ns == 0
    world.flow()
    assert request.sent_ns == world.now_ns


def test_a_bank_answer_is_recorded_then_given_to_the_acquirer(world: World) -> None:
    request, txn, frame = world.purchase_to_bank(9)
    reply = world.reply_to(frame)
    assert reply.agrees(request, 1, OUT_TIME)
    world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
    assert world.release() == {}
    answer = world.one(world.flow(), world.terminal)
    assert (answer.mti, answer.stan, answer.get("response_code")) == ("0210", 9, "00")
    assert (answer.get("auth_code"), answer.get("settlement_date")) == ("A1B2C3", "1124")
    assert answer.get("transmission_time") == request.get("transmission_time")
    entry = world.duplicates.look(request, world.acquirer, NOW_S)
    assert entry is not None
    assert (entry.state, entry.txn, entry.response_code) == (KeyState.APPROVED, txn, "00")


@pytest.mark.parametrize("code", ["51", "91"])
def test_a_decline_of_the_bank_is_passed_on(world: World, code: str) -> None:
    request, txn, frame = world.purchase_to_bank()
    reply = world.reply_to(frame, code)
    world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
    assert world.one(world.flow(), world.terminal).get("response_code") == code
    entry = world.duplicates.look(request, world.acquirer, NOW_S)
    assert entry is not None
    assert entry.state == KeyState.DECLINED


def test_frames_of_one_tick_leave_as_one_write_in_order(world: World) -> None:
    for stan in range(1, 6):
        world.forward(world.purchase(stan))
    (data,) = world.flow().values()
    stans = []
    while data:
        length = int.from_bytes(data[:2], "big")
        stans.append(world.dialect.decode(data[2 : 2 + length]).get("rrn"))
        data = data[2 + length :]
    assert stans == [f"{n:012}" for n in range(1, 6)]


def test_what_cannot_be_built_leaves_no_record_and_no_frame(world: World) -> None:
    request = world.purchase()
    world.claim(request, 1)
    for stan, time in [(1, "bad"), (1_000_000, OUT_TIME), (0, OUT_TIME)]:
        with pytest.raises(UsageError):
            world.gate.forward(
                request, world.host, 1, world.acquirer, world.bank, stan, time, 0, ""
            )
    with pytest.raises(EncodeError, match="field 7"):
        world.gate.forward(
            request, world.host, 1, world.acquirer, world.bank, 1, "11231600xx", 0, ""
        )
    assert (world.gate.held, world.journal.appended) == (0, world.journal.synced)


def test_a_request_whose_key_was_not_claimed_is_our_bug(world: World) -> None:
    with pytest.raises(UsageError, match="claim it first"):
        world.gate.forward(
            world.purchase(), world.host, 1, world.acquirer, world.bank, 1, OUT_TIME, 0, ""
        )
    assert world.gate.held_bytes(world.host) == 0


def test_a_connection_that_has_gone_takes_nothing_and_nothing_is_recorded(world: World) -> None:
    world.gate.detach(world.host)
    before = world.journal.appended
    assert world.forward(world.purchase())[2] == 0
    assert world.journal.appended == before


def test_a_timeout_is_declined_and_its_reversal_owed_in_one_record(world: World) -> None:
    request, txn, frame = world.purchase_to_bank(3)
    before = world.journal.appended
    owed = world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 77, "1123160009"
    )
    assert world.journal.appended == before + 1
    assert owed is not None
    assert (owed.txn, owed.issuer, owed.cause) == (txn, world.bank, Cause.TIMEOUT)
    assert world.gate.deliver(owed, world.host, repeat=False)
    assert world.release() == {}, "neither leaves before the record"
    out = world.flow()
    answer = world.dialect.decode(out[world.terminal][2:])
    assert (answer.mti, answer.get("response_code")) == ("0210", "91")
    leg = world.dialect.decode(out[world.host][2:])
    sent = world.dialect.decode(frame[2:])
    assert (leg.mti, leg.stan, leg.get("transmission_time")) == ("0420", 77, "1123160009")
    assert leg.get("original_data.mti") == "0200"
    assert leg.get("original_data.stan") == f"{sent.stan:06}"
    assert leg.get("original_data.transmission_time") == OUT_TIME
    assert leg.get("original_data.acquirer_code") == CODE_ACQUIRER
    assert leg.get("original_data.forwarder_code") == CODE_SWITCH
    for name in ("pan", "amount", "rrn", "terminal_id", "merchant_id", "currency"):
        assert leg.reveal(name) == sent.reveal(name)
    assert not leg.has("expiry")


def test_a_repeated_reversal_is_the_same_but_for_its_mti(world: World) -> None:
    request, txn, _ = world.purchase_to_bank()
    owed = world.gate.conclude(
        request, -1, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 5, OUT_TIME
    )
    assert owed is not None
    world.gate.deliver(owed, world.host, repeat=False)
    first = world.flow()[world.host]
    world.gate.deliver(owed, world.host, repeat=True)
    again = world.release()[world.host]
    assert (first[2:6], again[2:6], first[6:]) == (b"0420", b"0421", again[6:])
    assert (owed.attempts, owed.sent_ns) == (2, world.now_ns)


def test_an_outcome_without_a_cause_owes_nothing(world: World) -> None:
    request = world.purchase()
    txn, _, _ = world.forward(request)
    assert world.gate.cancel(world.host, txn)
    assert world.gate.conclude(request, world.terminal, txn, "91", "IW", world.wall_ms) is None
    assert world.one(world.flow(), world.terminal).get("response_code") == "91"


def test_a_decline_is_recorded_and_held(world: World) -> None:
    request = world.purchase()
    world.claim(request, 5)
    lsn = world.gate.decline(request, world.terminal, 5, world.acquirer, "92", "SR", world.wall_ms)
    assert lsn == world.journal.appended
    assert world.release() == {}
    assert world.one(world.flow(), world.terminal).get("response_code") == "92"
    entry = world.duplicates.look(request, world.acquirer, NOW_S)
    assert entry is not None
    assert (entry.state, entry.response_code, entry.issuer) == (KeyState.DECLINED, "92", -1)


def test_a_refusal_needs_no_record(world: World) -> None:
    before = world.journal.appended
    world.gate.refuse(world.purchase(), world.terminal, "94", "DR")
    assert world.one(world.release(), world.terminal).get("response_code") == "94"
    assert world.journal.appended == before


def test_a_repeat_gets_the_stored_answer(world: World) -> None:
    request, txn, frame = world.purchase_to_bank(4)
    again = world.purchase(4, mti="0201")
    assert world.claim(again, 99) == KeyState.IN_FLIGHT
    assert not world.gate.repeat(again, world.terminal, world.acquirer, NOW_S)
    reply = world.reply_to(frame, additional_amounts="0001156C000000001234")
    world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
    assert world.claim(again, 99) == KeyState.APPROVED
    assert world.gate.repeat(again, world.terminal, world.acquirer, NOW_S)
    assert world.release() == {}, "a repeat stands on a record too"
    data = world.flow()[world.terminal]
    half = len(data) // 2
    assert data[:half] == data[half:], "the same answer, to the byte"


def test_another_body_under_the_same_key_is_told_apart(world: World) -> None:
    world.approved(4)
    other = world.purchase(4, amount="000000009999")
    assert world.claim(other, 99) == KeyState.APPROVED + 16
    assert world.claim(world.purchase(4, terminal_id="TERM0002"), 99) == KeyState.NEW


def test_an_acquirers_reversal_of_an_approval_is_answered_and_owed(world: World) -> None:
    _, txn = world.approved(4)
    message = world.reversal_of(4, 5)
    assert world.claim(message, 50) == KeyState.NEW
    entry = world.duplicates.original(message, world.acquirer, NOW_S)
    assert entry is not None
    assert (entry.txn, entry.card_agrees, entry.amount_minor) == (txn, True, 1234)
    owed = world.gate.reversal(
        message, world.terminal, 50, world.acquirer, txn, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 88, "1123160010",
    )  # fmt: skip
    assert owed is not None
    assert (owed.txn, owed.cause, owed.stan) == (txn, Cause.ACQUIRER, 88)
    world.gate.deliver(owed, world.host, repeat=False)
    out = world.flow()
    answer = world.dialect.decode(out[world.terminal][2:])
    assert (answer.mti, answer.stan, answer.get("response_code")) == ("0430", 5, "00")
    leg = world.dialect.decode(out[world.host][2:])
    assert (leg.get("original_data.stan"), leg.stan) == ("000001", 88)
    assert world.claim(world.purchase(4), 99) == KeyState.REVERSED
    again = world.reversal_of(4, 5, mti="0421")
    assert world.claim(again, 51) == KeyState.APPROVED
    assert world.gate.repeat(again, world.terminal, world.acquirer, NOW_S)
    assert world.one(world.release(), world.terminal).get("response_code") == "00"


def test_a_reversal_must_name_the_original_it_is_recorded_for(world: World) -> None:
    world.approved(4)
    message = world.reversal_of(4, 5)
    world.claim(message, 50)
    with pytest.raises(UsageError, match="not the one"):
        world.gate.reversal(
            message, -1, 50, world.acquirer, 12345, ReversalEffect.REVERSE, 0, NOW_S, 1, OUT_TIME
        )


def test_a_reversal_of_the_unknown_leaves_a_tombstone(world: World) -> None:
    message = world.reversal_of(4, 5)
    world.claim(message, 50)
    assert world.duplicates.original(message, world.acquirer, NOW_S) is None
    effect = ReversalEffect.TOMBSTONE
    slot, acquirer = world.terminal, world.acquirer
    assert not world.gate.reversal(message, slot, 50, acquirer, 0, effect, world.wall_ms, NOW_S)
    assert world.one(world.flow(), world.terminal).get("response_code") == "00"
    assert world.claim(world.purchase(4), 99) == KeyState.TOMBSTONE + 16


def test_settling_ends_what_is_owed(world: World) -> None:
    request, txn, _ = world.purchase_to_bank()
    owed = world.gate.conclude(
        request, -1, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 5, OUT_TIME
    )
    assert owed is not None
    assert world.gate.settle(owed, "00", world.wall_ms) == world.journal.appended


def test_network_messages_wait_for_their_mark_and_answers_for_nothing(world: World) -> None:
    lsn = world.gate.mark(world.bank, 12, OUT_TIME, world.wall_ms)
    values = {"stan": "000012", "transmission_time": OUT_TIME, "network_code": "301"}
    assert world.gate.network(world.host, "0800", values, lsn)
    assert world.release() == {}
    echo = world.one(world.flow(), world.host)
    assert (echo.mti, echo.stan, echo.get("network_code")) == ("0800", 12, "301")
    sign_on = world.message("0800", stan="000001", transmission_time=OUT_TIME, network_code="001")
    assert world.gate.network_answer(sign_on, world.terminal, "00")
    answer = world.one(world.release(), world.terminal)
    assert (answer.mti, answer.get("response_code")) == ("0810", "00")
    with pytest.raises(UsageError, match="no field is called"):
        world.gate.network(world.host, "0800", {"nonsense": "1"}, 0)


def test_an_acquirer_that_has_gone_is_a_sink(world: World) -> None:
    request, txn, frame = world.purchase_to_bank()
    world.gate.detach(world.terminal)
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    assert world.gate.undelivered() == [txn]
    assert world.gate.undelivered() == []
    assert world.flow() == {}
    world.gate.refuse(world.purchase(2), world.terminal, "30")
    assert world.gate.detach(world.terminal) == []


def test_a_withdrawn_approval_can_be_undone_in_the_same_tick(world: World) -> None:
    request, txn, frame = world.purchase_to_bank()
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    assert world.gate.detach(world.terminal) == [txn]
    assert world.gate.issuer_of(txn) == world.bank
    owed = world.gate.undo(txn, "91", "AB", world.wall_ms, Cause.UNDELIVERABLE, 6, OUT_TIME)
    assert owed is not None
    assert (owed.txn, owed.cause) == (txn, Cause.UNDELIVERABLE)
    assert world.claim(world.purchase(1), 99) == KeyState.DECLINED
    assert world.gate.undo(txn, "91", "AB", 0, Cause.UNDELIVERABLE, 7, OUT_TIME) is None


def test_an_approval_held_for_a_repeat_elsewhere_is_not_undelivered(world: World) -> None:
    request, txn, frame = world.purchase_to_bank()
    other = world.gate.attach(world.acquirer, world.dialect)
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    assert world.gate.repeat(world.purchase(mti="0201"), other, world.acquirer, NOW_S)
    assert world.gate.detach(world.terminal) == [], "the copy may still leave"
    assert world.gate.issuer_of(txn) == -1
    assert world.one(world.flow(), other).get("response_code") == "00"


def test_an_approval_that_has_left_or_a_decline_cannot_be_undone(world: World) -> None:
    _, txn = world.approved(1)
    assert world.gate.detach(world.terminal) == []
    assert world.gate.issuer_of(txn) == -1
    assert world.gate.undo(txn, "91", "AB", 0, Cause.UNDELIVERABLE, 6, OUT_TIME) is None
    terminal = world.gate.attach(world.acquirer, world.dialect)
    request, txn, frame = world.purchase_to_bank(2)
    world.gate.answer(request, world.reply_to(frame, "51"), terminal, txn, world.wall_ms)
    assert world.gate.detach(terminal) == []
    request, txn, frame = world.purchase_to_bank(3)
    terminal = world.gate.attach(world.acquirer, world.dialect)
    world.gate.answer(request, world.reply_to(frame), terminal, txn, world.wall_ms)
    assert world.gate.detach(terminal) == [txn]
    world.gate.commit()
    assert world.gate.issuer_of(txn) == -1, "the tick is over"


def test_fail_over_serves_unsent_requests_only(world: World) -> None:
    sent, _, _ = world.purchase_to_bank(1)
    unsent = world.purchase(2)
    world.forward(unsent)
    sister = world.gate.attach(world.bank, world.dialect)
    assert world.gate.retarget(world.host, sister) == 1
    assert world.gate.detach(world.host) == []
    assert world.one(world.flow(), sister).get("rrn") == unsent.get("rrn")
    assert sent.sent_ns < unsent.sent_ns


def test_unsent_requests_of_a_lost_connection_are_named(world: World) -> None:
    request = world.purchase(1)
    txn, _, _ = world.forward(request)
    assert world.gate.detach(world.host) == [txn]
    assert (world.flow(), request.sent_ns) == ({}, 0)


def test_a_cancelled_request_never_leaves(world: World) -> None:
    txn, _, _ = world.forward(world.purchase(1))
    assert world.gate.cancel(world.host, txn)
    assert world.flow() == {}
    txn, _, _ = world.forward(world.purchase(2))
    world.flow()
    assert not world.gate.cancel(world.host, txn), "it has been handed to a socket"


def test_slots_are_never_used_again(world: World) -> None:
    seen = set()
    for _ in range(100):
        slot = world.gate.attach(world.bank, world.dialect)
        assert slot not in seen
        seen.add(slot)
        world.gate.detach(slot)


def test_reprs_and_errors_show_no_card_number(world: World) -> None:
    request, txn, _ = world.purchase_to_bank()
    owed = world.gate.conclude(
        request, -1, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 5, OUT_TIME
    )
    entry = world.duplicates.look(request, world.acquirer, NOW_S)
    assert PAN not in f"{owed!r}{entry!r}{world.gate!r}{world.duplicates!r}"
