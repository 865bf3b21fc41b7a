"""Damage at rest that a start refuses, and segments of which an archive still knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.errors import JournalError
from switch.native import hook, journal, simulation
from switch.simulation.ordeals import RECORDS_AT, records_of
from switch.simulation.plan import draw
from switch.simulation.world import World, run
from tests.support.journal import make_keys

START = (1_000_000_000, 1_700_000_000_000_000_000)
FIRST = "0000000001.seg"


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[journal.Keys]:
    simulation.begin(11, *START)
    yield make_keys(tmp_path)
    hook.arm("")
    simulation.end()


def written(keys: journal.Keys, groups: int, each: int = 1) -> simulation.Disk:
    disk = simulation.Disk(3)
    pump = simulation.Pump(disk, keys, segment_bytes=16_384)
    for group in range(groups):
        for place in range(each):
            pump.journal.append({"kind": "SETTLED", "txn": group * each + place + 1, "at_ms": 1})
        pump.journal.commit()
        while pump.waiting:
            if pump.begin() == "stalled":
                assert pump.prepare()
            pump.finish()
    pump.kill()
    return disk


def test_records_are_found_by_their_lengths_with_the_groups_they_belong_to(
    keys: journal.Keys,
) -> None:
    places = records_of(written(keys, 3, 2).read(FIRST))
    assert [(one.lsn, one.group) for one in places] == [
        (1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5),
    ]  # fmt: skip
    assert places[0].offset == RECORDS_AT
    assert places[1].offset == places[0].offset + places[0].length


def test_an_old_record_in_the_place_of_a_later_one_is_refused(keys: journal.Keys) -> None:
    disk = written(keys, 4)
    sound = disk.read(FIRST)
    pair = disk.forge(FIRST, 1)
    assert pair is not None
    earlier, later = pair
    length = int.from_bytes(sound[earlier : earlier + 4], "little")
    put = disk.read(FIRST)
    assert earlier < later
    assert put[later + 8 : later + length] == sound[earlier + 8 : earlier + length]
    with pytest.raises(JournalError, match="stands where"):
        simulation.Pump(disk, keys, segment_bytes=16_384)
    disk.replace(FIRST, sound)
    assert simulation.Pump(disk, keys, segment_bytes=16_384).journal.synced == 4


def test_a_journal_with_one_record_has_none_to_put_in_its_place(keys: journal.Keys) -> None:
    assert written(keys, 1).forge(FIRST, 0) is None


def test_every_bit_of_a_record_with_a_group_behind_it_is_missed_at_a_start(
    keys: journal.Keys,
) -> None:
    disk = written(keys, 3)
    first = records_of(disk.read(FIRST))[0]
    for offset in range(first.offset, first.offset + first.length):
        damaged = disk.copy()
        damaged.flip(FIRST, offset, 1 << offset % 8)
        with pytest.raises(JournalError, match="no valid record"):
            simulation.Pump(damaged, keys, segment_bytes=16_384)


def test_segments_go_behind_a_checkpoint_and_an_archive_has_them() -> None:
    seed = 3  # An odd one: there is a checkpoint at rest.
    plan = draw(seed, 60).without(faults={}, aims=(), segment_bytes=16_384, stand_in=0)
    worlds: list[World] = []
    outcome = run(plan, None, worlds.append)
    disk, keys = worlds[0].disk, worlds[0].ground.keys
    assert outcome.broken == []
    assert (outcome.counts["checkpoint"], outcome.counts["segment removed"] > 0) == (1, True)
    kept = [one["lsn"] for one in disk.records(keys)]
    whole = [one["lsn"] for one in disk.archive().records(keys)]
    assert kept[0] > 1
    assert whole == list(range(1, kept[-1] + 1))
