"""Records say how far a request was when they were written, and by which rule it was routed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.model.state import Cause, ReversalEffect
from switch.native import codec, walk
from tests.support.walk import NOW_S, OUT_TIME, World, open_world, restarted

MS = 1_000_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        world.now_ns = time.monotonic_ns()
        yield world
        assert world.findings() == []


def only(world: World, kind: str) -> dict[str, object]:
    world.sync()
    (record,) = world.records(kind)
    return record


def test_acceptance_and_answer_say_when_they_were_recorded(world: World) -> None:
    request, txn, frame = world.purchase_to_bank()
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    accepted, answered = only(world, "ACCEPTED"), only(world, "ANSWERED")
    assert 0 < accepted["recorded_us"] < answered["recorded_us"] < 60_000_000  # type: ignore[operator]
    assert "read_us" not in accepted, "it came in one piece"
    assert "verified_us" not in accepted, "a plain card"


def test_a_frame_in_two_pieces_says_when_it_was_whole(world: World) -> None:
    whole = world.dialect.encode("0200", {"pan": "6299001234567891", "stan": "000001"})
    framer = codec.Framer(world.dialect, 4_096)
    assert framer.feed(whole[:9], world.now_ns) == []
    (request,) = framer.feed(whole[9:], world.now_ns + 7 * MS)
    assert isinstance(request, codec.Message)
    txn = world.next_txn()
    world.claim(request, txn)
    world.gate.decline(request, world.terminal, txn, world.acquirer, "92", "SR", world.wall_ms)
    assert only(world, "DECLINED")["read_us"] == 7_000


@pytest.mark.parametrize(
    ("rules", "digits"), [([("629900", 1), ("6299", 1)], 6), ([("", 1)], 0), ([("62", 1)], 2)]
)
def test_the_rule_that_chose_the_bank_is_kept_by_its_length(
    world: World, rules: list[tuple[str, int]], digits: int
) -> None:
    request = world.purchase()
    assert walk.Routes(rules).find(request) == 1
    world.forward(request)
    assert only(world, "ACCEPTED")["route_digits"] == digits


def test_a_request_without_a_route_has_none(world: World) -> None:
    request = world.purchase()
    assert walk.Routes([("9", 1)]).find(request) == -1
    world.forward(request)
    assert "route_digits" not in only(world, "ACCEPTED")


def test_outcomes_of_ours_say_how_long_it_took(world: World) -> None:
    request, txn, _ = world.purchase_to_bank()
    owed = world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 77, OUT_TIME
    )
    answered = only(world, "ANSWERED")
    assert answered["ours_us"] == 1_000
    assert answered["recorded_us"] > 0  # type: ignore[operator]
    assert owed is not None
    assert world.gate.deliver(owed, world.host, repeat=False)
    world.flow()
    world.gate.settle(owed, "00", world.wall_ms, "TL")
    settled = only(world, "SETTLED")
    assert (settled["result"], settled["end"], settled["attempts"]) == ("00", "TL", 1)


def test_a_parked_reversal_says_nothing_of_its_bank(world: World) -> None:
    request, txn, _ = world.purchase_to_bank()
    owed = world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 77, OUT_TIME
    )
    assert owed is not None
    world.gate.settle(owed, "parked", world.wall_ms, "RL")
    settled = only(world, "SETTLED")
    assert (settled["end"], "bank_us" in settled) == ("RL", False)
    assert world.gate.owed_to(world.bank) == 1, "still owed"


def test_an_acquirers_reversal_says_when_it_was_recorded(world: World) -> None:
    received_ns = world.now_ns
    _, original = world.approved(1)
    world.now_ns = received_ns  # releases move the world on faster than the clock
    reversal = world.reversal_of(1, 2)
    txn = world.next_txn()
    world.claim(reversal, txn)
    world.gate.reversal(
        reversal, world.terminal, txn, world.acquirer, original, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 88, OUT_TIME,
    )  # fmt: skip
    assert only(world, "REVERSAL")["recorded_us"] > 0  # type: ignore[operator]


def test_what_a_restart_concludes_has_no_times(world: World) -> None:
    _, txn, _ = world.purchase_to_bank()
    with restarted(world) as (after, _):
        after.gate.undo(txn, "91", "JW", after.wall_ms, Cause.RESTART, 99, OUT_TIME)
        answered = only(after, "ANSWERED")
        assert answered["end"] == "JW"
        assert not {"ours_us", "recorded_us"} & set(answered)
