"""Whatever a worker was in the middle of, the journal says what is still to be done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.errors import UsageError
from switch.model.state import Cause, KeyState, ReversalEffect
from switch.native import codec, walk
from tests.support.walk import BANK, NOW_S, OUT_TIME, PAN, World, open_world, restarted

REVERSAL_TIME = "1123160030"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world whose journal keeps the rules of the walk, whatever a test did with it."""
    with open_world(tmp_path) as world:
        yield world
        assert world.findings() == []


def timed_out(world: World, stan: int = 1) -> walk.Original:
    request, txn, _ = world.purchase_to_bank(stan)
    number = 10_000 + stan
    owed = world.gate.conclude(
        request, -1, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, number, REVERSAL_TIME
    )
    assert owed is not None
    return owed


def undo(world: World, doubtful: walk.Original) -> walk.Original:
    assert world.gate.issuer_of(doubtful.txn) == world.bank
    owed = world.gate.undo(
        doubtful.txn, "91", "JW", world.wall_ms, Cause.RESTART, 900, REVERSAL_TIME
    )
    assert owed is not None
    return owed


def state(world: World, stan: int) -> tuple[int, str]:
    """State and stored code of the purchase `stan`."""
    entry = world.duplicates.look(world.purchase(stan), world.acquirer, NOW_S)
    return (entry.state, entry.response_code) if entry else (0, "")


def open_work(found: walk.Recovered) -> tuple[list[int], list[int]]:
    return [o.txn for o in found.in_doubt], [o.txn for o in found.owed]


def test_an_empty_journal_leaves_nothing_open(world: World) -> None:
    found = walk.recover(world.journal, world.keys, world.duplicates, world.gate)
    assert (open_work(found), found.marks, found.last_txn) == (([], []), {}, 0)


def test_a_request_without_outcome_is_in_doubt_and_its_undoing_is_durable(world: World) -> None:
    _, txn, frame = world.purchase_to_bank(3)
    with restarted(world) as (second, found):
        assert open_work(found) == ([txn], [])
        (doubtful,) = found.in_doubt
        assert (doubtful.issuer, doubtful.amount_minor) == (second.bank, 1234)
        assert state(second, 3)[0] == KeyState.IN_FLIGHT
        owed = undo(second, doubtful)
        assert (owed.cause, owed.stan, owed.attempts) == (Cause.RESTART, 900, 0)
        assert state(second, 3) == (KeyState.DECLINED, "91")
        second.gate.deliver(owed, second.host, repeat=False)
        leg = second.one(second.flow(), second.host)
        sent = second.dialect.decode(frame[2:])
        assert leg.get("original_data.stan") == f"{sent.stan:06}"
        assert leg.get("original_data.transmission_time") == OUT_TIME
        assert leg.reveal("pan") == PAN
        again = second.purchase(3, mti="0201")
        assert second.gate.repeat(again, second.terminal, second.acquirer, NOW_S)
        assert second.one(second.release(), second.terminal).get("response_code") == "91"
        with restarted(second) as (third, later):
            assert open_work(later) == ([], [txn])
            assert state(third, 3) == (KeyState.DECLINED, "91")


def test_a_stored_answer_is_repeated_to_the_byte(world: World) -> None:
    request, txn, frame = world.purchase_to_bank(4)
    reply = world.reply_to(frame, additional_amounts="0001156C000000001234")
    world.gate.answer(request, reply, world.terminal, txn, world.wall_ms)
    first = world.flow()[world.terminal]
    with restarted(world) as (second, found):
        assert open_work(found) == ([], [])
        again = second.purchase(4)
        assert second.claim(again, 99) == KeyState.APPROVED
        assert second.gate.repeat(again, second.terminal, second.acquirer, NOW_S)
        assert second.release()[second.terminal] == first


def test_declines_are_remembered(world: World) -> None:
    request = world.purchase(5)
    world.claim(request, 77)
    world.gate.decline(request, -1, 77, world.acquirer, "92", "SR", world.wall_ms)
    with restarted(world) as (second, found):
        assert state(second, 5) == (KeyState.DECLINED, "92")
        assert found.last_txn == 77


def test_an_owed_reversal_is_repeated_identically(world: World) -> None:
    owed = timed_out(world)
    world.gate.deliver(owed, world.host, repeat=False)
    first = world.flow()[world.host]
    with restarted(world) as (second, found):
        assert open_work(found) == ([], [owed.txn])
        (again,) = found.owed
        assert (again.cause, again.attempts >= 1) == (Cause.TIMEOUT, True)
        second.gate.deliver(again, second.host, repeat=True)
        repeated = second.release()[second.host]
        assert (repeated[2:6], repeated[6:]) == (b"0421", first[6:])
        reply = second.reply_to(repeated)
        assert reply.mti == "0430"
        assert again.agrees(reply)
        assert not again.agrees(second.reply_to(repeated, stan="010002"))
        assert not again.agrees(second.reply_to(repeated, transmission_time=OUT_TIME))
        assert not again.agrees(second.reply_to(repeated, terminal_id="TERM0009"))
        second.gate.settle(again, "00", second.wall_ms)
        with restarted(second) as (_, later):
            assert open_work(later) == ([], [])


def test_a_parked_reversal_stays_owed(world: World) -> None:
    owed = timed_out(world)
    world.gate.settle(owed, "parked", world.wall_ms)
    with restarted(world) as (_, found):
        assert open_work(found) == ([], [owed.txn])


def test_an_acquirers_reversal_survives_with_both_keys(world: World) -> None:
    _, txn = world.approved(6)
    message = world.reversal_of(6, 7)
    world.claim(message, 50)
    owed = world.gate.reversal(
        message, world.terminal, 50, world.acquirer, txn, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 88, REVERSAL_TIME,
    )  # fmt: skip
    assert owed is not None
    world.gate.deliver(owed, world.host, repeat=False)
    out = world.flow()
    with restarted(world) as (second, found):
        assert open_work(found) == ([], [txn])
        assert state(second, 6)[0] == KeyState.REVERSED
        again = second.reversal_of(6, 7)
        assert second.claim(again, 60) == KeyState.APPROVED
        second.gate.repeat(again, second.terminal, second.acquirer, NOW_S)
        second.gate.deliver(found.owed[0], second.host, repeat=True)
        released = second.release()
        assert released[second.terminal] == out[world.terminal]
        assert released[second.host][6:] == out[world.host][6:]


def test_a_tombstone_survives(world: World) -> None:
    message = world.reversal_of(8, 9)
    world.claim(message, 50)
    world.gate.reversal(
        message, -1, 50, world.acquirer, 0, ReversalEffect.TOMBSTONE, world.wall_ms, NOW_S
    )
    with restarted(world) as (second, _):
        assert state(second, 8)[0] == KeyState.TOMBSTONE


@pytest.mark.parametrize("effect", [ReversalEffect.SUPPRESS, ReversalEffect.CANCEL_UNSENT])
def test_a_reversal_of_a_request_in_flight_leaves_it_in_doubt(
    world: World, effect: ReversalEffect
) -> None:
    _, txn, _ = world.purchase_to_bank(8)
    message = world.reversal_of(8, 9)
    world.claim(message, 50)
    world.gate.reversal(message, -1, 50, world.acquirer, txn, effect, world.wall_ms, NOW_S)
    with restarted(world) as (second, found):
        assert open_work(found) == ([txn], [])
        assert undo(second, found.in_doubt[0]).txn == txn


def test_an_approval_that_was_withdrawn_is_a_decline_and_owed(world: World) -> None:
    request, txn, frame = world.purchase_to_bank(2)
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    world.gate.detach(world.terminal)
    world.gate.undo(txn, "91", "AB", world.wall_ms, Cause.UNDELIVERABLE, 6, REVERSAL_TIME)
    with restarted(world) as (second, found):
        assert open_work(found) == ([], [txn])
        assert state(second, 2) == (KeyState.DECLINED, "91")


def test_numbers_go_on_above_the_highest_ever_used(world: World) -> None:
    world.forward(world.purchase(1))
    with restarted(world) as (_, found):
        assert found.marks == {BANK: (NOW_S + 1, 1)}
    timed_out(world, 2)
    world.gate.mark(world.bank, 7, "1123160031", world.wall_ms)
    with restarted(world) as (_, found):
        assert found.marks == {BANK: (NOW_S + 31, 7)}


def test_recovering_twice_gives_the_same(world: World) -> None:
    world.purchase_to_bank(1)
    timed_out(world, 2)
    world.approved(3)
    with restarted(world) as (second, first):
        again = walk.recover(second.journal, second.keys, second.duplicates, second.gate)
        assert open_work(again) == open_work(first)
        assert (again.marks, again.last_txn) == (first.marks, first.last_txn)
        assert len(second.duplicates) == 3
        owed = [undo(second, doubtful) for doubtful in again.in_doubt]
        with restarted(second) as (_, after):
            assert open_work(after) == ([], sorted(o.txn for o in (*owed, *again.owed)))


def test_a_table_too_small_keeps_the_newest(world: World) -> None:
    for stan in range(1, 11):
        world.approved(stan)
    with restarted(world, capacity=4) as (second, _):
        assert [state(second, stan)[0] for stan in range(6, 11)] == [0, 2, 2, 2, 2]


def test_another_table_is_refused(world: World, tmp_path: Path) -> None:
    other = walk.Duplicates(world.keys, 10)
    with pytest.raises(UsageError, match="another"):
        walk.recover(world.journal, world.keys, other, world.gate)


def checkpoint(world: World) -> int:
    """Runs a checkpoint to its end; returns the number of steps."""
    steps = 1
    while not world.gate.checkpoint(world.wall_ms):
        steps += 1
        assert steps < 1000
    return steps


def test_a_checkpoint_carries_all_live_state(world: World) -> None:
    world.approved(1)
    declined = world.purchase(2)
    world.claim(declined, 77)
    world.gate.decline(declined, -1, 77, world.acquirer, "92", "SR", world.wall_ms)
    owed = timed_out(world, 3)
    settled = timed_out(world, 4)
    world.gate.settle(settled, "00", world.wall_ms)
    tombstone = world.reversal_of(5, 6)
    world.claim(tombstone, 50)
    world.gate.reversal(
        tombstone, -1, 50, world.acquirer, 0, ReversalEffect.TOMBSTONE, world.wall_ms, NOW_S
    )
    _, flying, _ = world.purchase_to_bank(7)
    with restarted(world) as (_, found):
        before = open_work(found), found.marks, found.last_txn
        whole = found.records
    world.journal.acknowledge()
    checkpoint(world)
    late = world.purchase(8)
    world.forward(late)
    with restarted(world) as (second, found):
        assert found.records < whole + 20
        in_doubt, still_owed = open_work(found)
        assert (in_doubt[0], still_owed) == (flying, [owed.txn])
        assert len(in_doubt) == 2
        assert (found.last_txn, found.marks[BANK][0]) == (before[2] + 1, before[1][BANK][0])
        assert [state(second, n) for n in (1, 2, 3, 5, 7, 8)] == [
            (KeyState.APPROVED, "00"),
            (KeyState.DECLINED, "92"),
            (KeyState.DECLINED, "91"),
            (KeyState.TOMBSTONE, ""),
            (KeyState.IN_FLIGHT, ""),
            (KeyState.IN_FLIGHT, ""),
        ]
        second.gate.deliver(found.owed[0], second.host, repeat=True)
        world.gate.deliver(owed, world.host, repeat=True)
        assert second.release()[second.host] in world.flow()[world.host]


LACKING = {"rrn": "", "currency": "", "local_time": "", "local_date": ""}


def leg_of_reversal(world: World, stan: int, **changes: str | bytes) -> codec.Message:
    """What the bank is sent for the acquirer's reversal of the approved purchase `stan`."""
    message = world.reversal_of(stan, 5_000 + stan, **changes)
    entry = world.duplicates.original(message, world.acquirer, NOW_S)
    assert entry is not None
    world.claim(message, 900)
    owed = world.gate.reversal(
        message, -1, 900, world.acquirer, entry.txn, ReversalEffect.REVERSE,
        world.wall_ms, NOW_S, 88, REVERSAL_TIME,
    )  # fmt: skip
    assert owed is not None
    world.gate.deliver(owed, world.host, repeat=False)
    return world.one(world.flow(), world.host)


def named(leg: codec.Message) -> list[str | None]:
    return [leg.get(name) for name in LACKING]


WHOLE = ["000000000001", "156", "000000", "1124"]


@pytest.mark.parametrize("changes", [LACKING, {"rrn": "999999999999", "local_time": "235959"}])
def test_the_banks_reversal_names_the_original_whatever_the_acquirers_says(
    world: World, changes: dict[str, str]
) -> None:
    world.approved(1)
    with restarted(world) as (replayed, _):
        assert named(leg_of_reversal(replayed, 1, **changes)) == WHOLE
    checkpoint(world)
    with restarted(world) as (carried, _):
        assert named(leg_of_reversal(carried, 1, **changes)) == WHOLE
    assert named(leg_of_reversal(world, 1, **changes)) == WHOLE
    with restarted(world) as (owing, found):
        owing.gate.deliver(found.owed[0], owing.host, repeat=True)
        assert named(owing.one(owing.release(), owing.host)) == WHOLE


def test_a_checkpoint_carries_the_numbers_of_network_messages(world: World) -> None:
    world.approved(1)
    world.gate.mark(world.bank, 7, "1123160031", world.wall_ms)
    other = world.gate.institution("BANK02", "")
    world.gate.mark(other, 9, "1123160032", world.wall_ms)
    checkpoint(world)
    with restarted(world) as (_, found):
        assert found.marks == {BANK: (NOW_S + 31, 7), "BANK02": (NOW_S + 32, 9)}


def test_a_checkpoint_under_traffic_loses_nothing(tmp_path: Path) -> None:
    with open_world(tmp_path, capacity=1_024) as world:
        for stan in range(1, 400):
            world.approved(stan)
        flying: list[int] = []
        steps = 0
        while not world.gate.checkpoint(world.wall_ms):
            steps += 1
            world.approved(1_000 + steps)
            flying.append(world.purchase_to_bank(2_000 + steps)[1])
            timed_out(world, 3_000 + steps)
        assert steps >= 5
        with restarted(world, capacity=1_024) as (second, found):
            assert [o.txn for o in found.in_doubt] == flying
            assert len(found.owed) == steps
            assert len(second.duplicates) == len(world.duplicates)
            assert [state(second, 1_000 + n) for n in range(1, steps + 1)] == [
                (KeyState.APPROVED, "00")
            ] * steps
            assert state(second, 399) == (KeyState.APPROVED, "00")
            assert second.findings() == []


def test_replay_after_a_checkpoint_reads_little(world: World) -> None:
    for stan in range(1, 301):
        owed = timed_out(world, stan)
        world.gate.settle(owed, "00", world.wall_ms)
    with restarted(world, capacity=300) as (second, found):
        assert found.records >= 900
        assert not second.gate.checkpoint_due()
        steps = checkpoint(second)
        assert steps >= 3, "in small steps"
        with restarted(second, capacity=300) as (third, later):
            assert later.records < 400
            assert state(third, 300) == (KeyState.DECLINED, "91")


def test_a_checkpoint_leaves_out_what_is_past_the_retention(tmp_path: Path) -> None:
    with open_world(tmp_path, retention_s=100) as world:
        world.approved(1)
        while not world.gate.checkpoint(world.wall_ms + 101_000):
            pass
        with restarted(world) as (second, _):
            assert state(second, 1) == (0, "")


def test_how_long_a_checkpoint_carries_can_be_changed(tmp_path: Path) -> None:
    with open_world(tmp_path, retention_s=100) as world:
        world.approved(1)
        world.duplicates.keep(200, 50)
        while not world.gate.checkpoint(world.wall_ms + 199_000):
            pass
        with restarted(world) as (second, _):
            assert state(second, 1) == (KeyState.APPROVED, "00")


def test_what_was_reversed_outlives_the_retention(tmp_path: Path) -> None:
    """Its age must not let it be taken up again."""
    with open_world(tmp_path, retention_s=100) as world:
        _, txn = world.approved(1)
        message = world.reversal_of(1, 2)
        world.claim(message, 50)
        world.gate.reversal(
            message, world.terminal, 50, world.acquirer, txn, ReversalEffect.REVERSE,
            world.wall_ms, NOW_S, 88, REVERSAL_TIME,
        )  # fmt: skip
        early = world.reversal_of(8, 9)
        world.claim(early, 60)
        world.gate.reversal(
            early, -1, 60, world.acquirer, 0, ReversalEffect.TOMBSTONE, world.wall_ms, NOW_S
        )
        while not world.gate.checkpoint(world.wall_ms + 101_000):
            pass
        with restarted(world) as (second, _):
            assert state(second, 1)[0] == KeyState.REVERSED
            assert state(second, 8)[0] == KeyState.TOMBSTONE
            assert state(second, 2) == (0, "")


def test_no_checkpoint_while_something_is_in_doubt(world: World) -> None:
    world.purchase_to_bank(1)
    with restarted(world) as (second, found):
        assert not second.gate.checkpoint_due()
        with pytest.raises(UsageError, match="in doubt"):
            second.gate.checkpoint(second.wall_ms)
        undo(second, found.in_doubt[0])
        checkpoint(second)
