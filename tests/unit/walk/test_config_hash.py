"""Every record of a decision names the configuration that was in force."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.errors import UsageError
from switch.model.state import Cause, ReversalEffect
from tests.support.walk import OUT_TIME, World, open_world, restarted

FIRST = "0123456789abcdef"
SECOND = "fedcba9876543210"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        world.gate.configured(FIRST)
        yield world
        assert world.findings() == []


def hashes(world: World) -> list[tuple[object, object]]:
    return [(record["kind"], record.get("config_hash")) for record in world.records()]


def test_acceptance_and_answer_name_what_was_in_force_at_each(world: World) -> None:
    request, txn, frame = world.purchase_to_bank()
    world.gate.configured(SECOND)
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    world.sync()
    assert hashes(world) == [("ACCEPTED", FIRST), ("ANSWERED", SECOND)]


def test_refusal_reversal_and_settlement_name_it_too(world: World) -> None:
    request = world.purchase(1)
    txn = world.next_txn()
    world.claim(request, txn)
    world.gate.decline(request, world.terminal, txn, world.acquirer, "92", "SR", world.wall_ms)
    request, txn, _ = world.purchase_to_bank(2)
    owed = world.gate.conclude(
        request, world.terminal, txn, "91", "TW", world.wall_ms, Cause.TIMEOUT, 77, OUT_TIME
    )
    assert owed is not None
    world.gate.settle(owed, "00", world.wall_ms)
    reversal = world.reversal_of(9, 3)
    number = world.next_txn()
    world.claim(reversal, number)
    world.gate.reversal(
        reversal,
        world.terminal,
        number,
        world.acquirer,
        0,
        ReversalEffect.TOMBSTONE,
        world.wall_ms,
        world.wall_ms // 1000,
    )
    world.sync()
    kinds = ["DECLINED", "ACCEPTED", "ANSWERED", "SETTLED", "REVERSAL"]
    assert hashes(world) == [(kind, FIRST) for kind in kinds]


def test_what_a_checkpoint_carries_was_not_decided_under_it(world: World) -> None:
    world.approved()
    world.gate.configured(SECOND)
    while not world.gate.checkpoint(world.wall_ms):
        pass
    world.sync()
    carried = [record for record in world.records() if record["carried"]]
    assert carried
    assert not [record for record in carried if "config_hash" in record]


def test_gate_that_was_told_none_writes_none(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        world.approved()
        assert hashes(world) == [("ACCEPTED", None), ("ANSWERED", None)]
        with restarted(world) as (after, recovered):
            assert recovered.records == 2, "a journal of before is read as ever"
            after.gate.configured(FIRST)


def test_change_of_configuration_is_a_record_that_changes_nothing_else(world: World) -> None:
    request, txn, frame = world.purchase_to_bank()
    world.journal.append({"kind": "RECONFIGURED", "at_ms": world.wall_ms, "config": SECOND})
    world.gate.configured(SECOND)
    world.gate.answer(request, world.reply_to(frame), world.terminal, txn, world.wall_ms)
    world.sync()
    told = world.records("RECONFIGURED")
    assert [record["config"] for record in told] == [SECOND]
    with restarted(world) as (_, recovered):
        assert (recovered.in_doubt, recovered.owed) == ([], [])


@pytest.mark.parametrize("text", ["", "abc", FIRST.upper(), FIRST + "0", "0123456789abcdeg"])
def test_anything_but_16_hex_digits_is_refused(world: World, text: str) -> None:
    with pytest.raises(UsageError):
        world.gate.configured(text)


def test_it_costs_eleven_bytes_a_record(tmp_path: Path) -> None:
    grown = []
    for name, told in (("without", False), ("with", True)):
        (tmp_path / name).mkdir()
        with open_world(tmp_path / name) as world:
            if told:
                world.gate.configured(FIRST)
            before = world.journal.stats()["bytes"]
            world.approved()
            grown.append(world.journal.stats()["bytes"] - before)
    without, with_hash = grown
    assert 2 * 11 <= with_hash - without <= 2 * 16, "with what a group is rounded up to"
