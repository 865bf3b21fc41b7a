"""An approval in a bank's name: one record with all that is owed for it, within what its card has
left today, over repeats, reversals, restarts and checkpoints."""

from pathlib import Path
from typing import Any, Final

import pytest

from switch.engine.ports import StandIn
from switch.model.state import Cause, Duty, KeyState, ReversalEffect
from switch.native import codec, walk
from tests.support.tap import CARD, Taps, open_taps, word
from tests.support.walk import DAY, NOW_S, OUT_TIME, World, open_world, restarted

ALLOWED: Final = (3, 5_000, 0)
"""Approvals and minor units of a card, minor units of the bank (0: no limit)."""
NEXT_DAY: Final = "20261124"
PLAIN: Final = {"expiry": "3012"}


def stand_in(
    world: World,
    request: codec.Message,
    txn: int,
    *,
    allowed: tuple[int, int, int] = ALLOWED,
    cause: Cause = Cause.NONE,
    day: str = DAY,
) -> tuple[StandIn, list[walk.Original]]:
    reversal = (world.next_stan(), OUT_TIME) if cause else None
    fit, owed = world.gate.stand_in(
        request,
        world.terminal,
        txn,
        world.acquirer,
        world.bank,
        "small",
        "timeout" if cause else "circuit",
        allowed,
        (world.next_stan(), OUT_TIME),
        world.wall_ms,
        day,
        cause,
        reversal,
    )
    return StandIn(fit), owed


def claimed(world: World, stan: int, **changes: str | bytes) -> tuple[codec.Message, int]:
    """A new plain purchase of 12.34, not sent anywhere."""
    request, txn = world.purchase(stan, **{**PLAIN, **changes}), world.next_txn()
    assert world.claim(request, txn) == KeyState.NEW
    return request, txn


def approve(world: World, stan: int, **more: Any) -> StandIn:
    """One more attempt of the card; declined when it does not fit."""
    changes = {name: more.pop(name) for name in list(more) if name in {"pan", "amount", "currency"}}
    request, txn = claimed(world, stan, **changes)
    fit, _ = stand_in(world, request, txn, **more)
    if fit is not StandIn.STOOD:
        world.gate.decline(request, world.terminal, txn, world.acquirer, "91", "IR", world.wall_ms)
    world.flow()
    return fit


# -- the record -----------------------------------------------------------------------------------


def test_one_record_approves_and_owes_the_advice(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request, txn = claimed(world, 1)
        fit, (advice,) = stand_in(world, request, txn)
        assert fit is StandIn.STOOD
        assert world.release() == {}, "nothing leaves before its record is durable"
        answer = world.one(world.flow(), world.terminal)
        assert (answer.mti, answer.get("response_code")) == ("0210", "00")
        auth_code = answer.get("auth_code")
        assert auth_code is not None
        assert auth_code[0] == "S"
        assert auth_code[1:].isalnum()
        (record,) = world.records("STOOD_IN")
        assert record["rule"] == "small"
        assert record["reason"] == "circuit"
        assert record["end"] == "SW"
        assert record["outcome"] == KeyState.APPROVED
        assert record["business_date"] == DAY
        assert "cause" not in record
        assert not world.records("ACCEPTED")
        assert not world.records("ANSWERED")
        assert (advice.duty, advice.txn, advice.stan) == (Duty.ADVICE, txn, record["advice_stan"])
        assert world.gate.deliver(advice, world.host, False)
        told = world.one(world.flow(), world.host)
        assert told.mti == "0220"
        assert told.reveal("pan") == request.reveal("pan")
        assert told.get("amount") == "000000001234"
        assert told.get("response_code") == "00"
        assert told.get("auth_code") == auth_code
        assert told.stan == advice.stan
        assert world.findings() == []


def test_after_a_time_out_the_same_record_owes_the_reversal_first(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request = world.purchase(1, **PLAIN)
        txn, out_stan, _ = world.forward(request)
        world.flow()
        fit, owed = stand_in(world, request, txn, cause=Cause.TIMEOUT)
        assert fit is StandIn.STOOD
        assert [one.duty for one in owed] == [Duty.REVERSAL, Duty.ADVICE]
        assert world.one(world.flow(), world.terminal).get("response_code") == "00"
        (record,) = world.records("STOOD_IN")
        assert record["cause"] == Cause.TIMEOUT
        assert not world.records("ANSWERED")
        reversal, advice = owed
        world.gate.deliver(reversal, world.host, False)
        undo = world.one(world.flow(), world.host)
        assert undo.mti == "0420"
        assert undo.get("original_data.stan") == f"{out_stan:06d}"
        world.gate.deliver(advice, world.host, False)
        assert world.one(world.flow(), world.host).mti == "0220"
        assert world.findings() == []


def test_a_request_that_was_accepted_and_never_left_owes_no_reversal(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request = world.purchase(1, **PLAIN)
        txn, _, _ = world.forward(request)
        world.sync()
        assert world.gate.cancel(world.host, txn)
        fit, (advice,) = stand_in(world, request, txn)
        assert (fit, advice.duty) == (StandIn.STOOD, Duty.ADVICE)
        assert list(world.flow()) == [world.terminal]
        assert world.findings() == []


def test_an_authorisation_is_told_by_0120(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request, txn = claimed(world, 1, mti="0100")
        _, (advice,) = stand_in(world, request, txn)
        world.flow()
        world.gate.deliver(advice, world.host, False)
        assert world.one(world.flow(), world.host).mti == "0120"
        world.gate.deliver(advice, world.host, True)
        assert world.one(world.flow(), world.host).mti == "0121"


def test_a_repeat_gets_the_same_approval_also_after_a_restart(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request, txn = claimed(world, 1)
        stand_in(world, request, txn)
        first = world.one(world.flow(), world.terminal)
        with restarted(world) as (after, _):
            for one in (world, after):
                again = one.purchase(1, **PLAIN)
                assert one.claim(again, one.next_txn()) == KeyState.APPROVED
                assert one.gate.repeat(again, one.terminal, one.acquirer, NOW_S)
                stored = one.one(one.flow(), one.terminal)
                for name in ("response_code", "auth_code", "rrn"):
                    assert stored.get(name) == first.get(name)


def test_the_acquirer_s_reversal_takes_back_the_advice(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request, txn = claimed(world, 1)
        _, (advice,) = stand_in(world, request, txn)
        world.flow()
        with restarted(world) as (after, recovered):
            assert [one.duty for one in recovered.owed] == [Duty.ADVICE]
            after._txn, after._stan = world._txn, world._stan
            for one in (world, after):
                undo, number = one.reversal_of(1, 2), one.next_txn()
                assert one.claim(undo, number) == KeyState.NEW
                withdrawal = one.gate.reversal(
                    undo, one.terminal, number, one.acquirer, txn, ReversalEffect.REVERSE,
                    one.wall_ms, NOW_S, one.next_stan(), OUT_TIME,
                )  # fmt: skip
                assert withdrawal is not None
                assert withdrawal.duty == Duty.WITHDRAWAL
                one.flow()
                one.gate.deliver(withdrawal, one.host, False)
                told = one.one(one.flow(), one.host)
                assert told.mti == "0420"
                assert told.get("original_data.mti") == "0220"
                assert told.get("original_data.stan") == f"{advice.stan:06d}"
                assert one.findings() == []


# -- limits ---------------------------------------------------------------------------------------


def test_count_and_sum_of_a_card(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        fits = [approve(world, stan, amount="000000001600") for stan in range(1, 5)]
        assert fits == [StandIn.STOOD] * 3 + [StandIn.COUNT]
        other = "6299001234567883"
        assert approve(world, 5, pan=other, amount="000000004000") is StandIn.STOOD
        assert approve(world, 6, pan=other, amount="000000001001") is StandIn.SUM
        assert approve(world, 7, pan=other, amount="000000001000") is StandIn.STOOD
        assert world.duplicates.stand_in(world.bank, "156", DAY) == (5, 9_800)
        assert world.findings() == []


def test_what_does_not_fit_has_had_no_effect(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request, txn = claimed(world, 1)
        assert stand_in(world, request, txn, allowed=(1, 1_233, 0)) == (StandIn.SUM, [])
        assert world.flow() == {}
        assert world.records() == []
        world.gate.decline(request, world.terminal, txn, world.acquirer, "91", "IR", world.wall_ms)
        assert world.one(world.flow(), world.terminal).get("response_code") == "91"


def test_the_whole_bank_s_day(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        allowed = (3, 5_000, 3_000)
        assert approve(world, 1, allowed=allowed, amount="000000002000") is StandIn.STOOD
        other = "6299001234567883"
        assert approve(world, 2, allowed=allowed, pan=other) is StandIn.BANK_SUM
        assert approve(world, 3, allowed=allowed, pan=other, amount="000000001000") is StandIn.STOOD


def test_another_rule_sees_what_the_first_has_given(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        assert approve(world, 1, allowed=(10, 5_000, 0), amount="000000005000") is StandIn.STOOD
        assert approve(world, 2, allowed=(10, 6_000, 0)) is StandIn.SUM


def test_another_day_and_another_currency_begin_anew(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        one = (1, 5_000, 0)
        assert approve(world, 1, allowed=one) is StandIn.STOOD
        assert approve(world, 2, allowed=one) is StandIn.COUNT
        assert approve(world, 3, allowed=one, currency="840") is StandIn.STOOD
        assert approve(world, 4, allowed=one, day=NEXT_DAY) is StandIn.STOOD
        assert approve(world, 5, allowed=one) is StandIn.COUNT, "the day before is still open"
        assert approve(world, 6, allowed=one, day="20261125") is StandIn.STOOD
        assert approve(world, 7, allowed=(9, 9_999, 0)) is StandIn.CLOSED


def test_a_reversal_gives_nothing_back(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        request, txn = claimed(world, 1)
        stand_in(world, request, txn, allowed=(1, 5_000, 0))
        undo, number = world.reversal_of(1, 2), world.next_txn()
        world.claim(undo, number)
        world.gate.reversal(
            undo, world.terminal, number, world.acquirer, txn, ReversalEffect.REVERSE,
            world.wall_ms, NOW_S, world.next_stan(), OUT_TIME,
        )  # fmt: skip
        world.flow()
        assert approve(world, 3, allowed=(1, 5_000, 0)) is StandIn.COUNT


@pytest.mark.parametrize(
    ("expiry", "fit"), [("2610", "EXPIRED"), ("2611", "STOOD"), ("", "EXPIRED")]
)
def test_a_card_that_has_ended_or_does_not_say(tmp_path: Path, expiry: str, fit: str) -> None:
    with open_world(tmp_path) as world:
        request, txn = claimed(world, 1, expiry=expiry)
        assert stand_in(world, request, txn)[0].name == fit


@pytest.mark.parametrize("way", ["journal", "checkpoint"])
def test_limits_and_duties_survive_a_restart(tmp_path: Path, way: str) -> None:
    with open_world(tmp_path) as world:
        for stan in (1, 2):
            assert approve(world, stan) is StandIn.STOOD
        if way == "checkpoint":
            forget_segments(world)
        assert approve(world, 3, day=NEXT_DAY) is StandIn.STOOD
        with restarted(world) as (after, recovered):
            assert [one.duty for one in recovered.owed] == [Duty.ADVICE] * 3
            after._txn, after._stan = world._txn, world._stan
            assert after.duplicates.stand_in(after.bank, "156", DAY) == (2, 2_468)
            assert approve(after, 4) is StandIn.STOOD
            assert approve(after, 5) is StandIn.COUNT
            with restarted(after) as (again, _):
                again._txn, again._stan = after._txn, after._stan
                assert again.duplicates.stand_in(again.bank, "156", DAY) == (3, 3_702)
                assert approve(again, 6) is StandIn.COUNT
            assert after.findings() == []


def forget_segments(world: World) -> None:
    """Writes more than a segment, completes a checkpoint, and deletes all that it stands for."""
    for number in range(3_500):
        request, txn = world.purchase(500_000 + number), world.next_txn()
        world.claim(request, txn)
        world.gate.decline(request, world.terminal, txn, world.acquirer, "92", "SR", world.wall_ms)
        if number % 500 == 0:
            world.flow()
    world.flow()
    while not world.gate.checkpoint(world.wall_ms):
        pass
    world.flow()
    assert world.journal.delete_covered(1 << 60) > 0
    assert not world.records("STOOD_IN"), "only what was carried is left"


def test_a_token_and_its_card_spend_one_allowance(tmp_path: Path) -> None:
    one = (2, 5_000, 0)
    with open_taps(tmp_path) as taps:
        world = taps.world
        for stan in (1, 2):
            request, txn = tapped(taps, stan)
            assert stand_in(world, request, txn, allowed=one)[0] is StandIn.STOOD
            answer = world.one(world.flow(), world.terminal)
            assert answer.has("icc"), "the device is told that it was approved"
        assert approve(world, 3, allowed=one, pan=CARD) is StandIn.COUNT
        records = world.records("STOOD_IN")
        assert len({record["pan_index"] for record in records}) == 1
        assert all(record["card"] != record["pan_index"] for record in records)
        _, (advice,) = stand_in(world, *tapped(taps, 4), allowed=(9, 9_999, 0))
        world.flow()
        world.gate.deliver(advice, world.host, False)
        assert world.one(world.flow(), world.host).reveal("pan") == CARD
        assert world.findings() == []


def tapped(taps: Taps, stan: int) -> tuple[codec.Message, int]:
    """A tap that was proved, not sent anywhere."""
    request, txn = taps.message(stan, taps.device.tags()), taps.world.next_txn()
    assert taps.world.claim(request, txn) == KeyState.NEW
    assert word(taps.verifier.check(request, NOW_S)) == "genuine"
    assert request.proved
    return request, txn


def test_its_record_claims_the_counter_of_the_tap(tmp_path: Path) -> None:
    with open_taps(tmp_path) as taps:
        tags = taps.device.tags()
        request, txn = taps.message(1, tags), taps.world.next_txn()
        taps.world.claim(request, txn)
        assert word(taps.verifier.check(request, NOW_S)) == "genuine"
        stand_in(taps.world, request, txn)
        taps.world.flow()
        again = taps.message(2, tags)
        taps.world.claim(again, taps.world.next_txn())
        assert word(taps.verifier.check(again, NOW_S)) == "atc_seen"
        assert taps.world.findings() == []
