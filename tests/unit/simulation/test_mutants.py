"""Native defects: only in a simulation, and each of the journal's changes what it says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from switch.errors import JournalError, UsageError
from switch.native import journal, simulation
from tests.support.journal import make_keys
from tests.unit.simulation.test_pump import START, opened, record, txns, write


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[journal.Keys]:
    simulation.begin(11, *START)
    yield make_keys(tmp_path)
    simulation.end()


def test_a_real_process_has_no_defect() -> None:
    names = [name for name, _ in simulation.mutants()]
    assert len(names) == len(set(names)) >= 20
    for name in names:
        with pytest.raises(UsageError, match="no simulation is on"):
            simulation.mutate(name)


@pytest.mark.usefixtures("keys")
def test_an_unknown_defect_is_told() -> None:
    with pytest.raises(UsageError, match="no native defect"):
        simulation.mutate("nothing")


def acknowledged_and_left(keys: journal.Keys, fault: str = "") -> tuple[int, int]:
    """Records that were acknowledged, and those that a power cut leaves."""
    disk = simulation.Disk(1)
    pump = opened(disk, keys)
    write(pump, range(1, 4))
    if fault:
        disk.fail(fault)
    write(pump, range(4, 9))
    pump.kill()
    disk.crash(keep=[])
    again = opened(disk, keys)
    return pump.journal.synced, again.journal.synced


def over_two_segments(keys: journal.Keys) -> tuple[int, int]:
    disk = simulation.Disk(1)
    pump = opened(disk, keys)
    for txn in range(1, 200):
        pump.journal.append(record(txn))
    pump.journal.commit()
    assert (pump.begin(), pump.finish()) == ("written", "more")
    told = pump.journal.synced
    pump.kill()
    disk.crash(keep=[])
    return told, len(txns(disk, keys))


def damaged(keys: journal.Keys) -> tuple[int, int]:
    disk = simulation.Disk(1)
    pump = opened(disk, keys)
    write(pump, range(1, 4))
    write(pump, range(4, 9))
    pump.kill()
    disk.flip("0000000001.seg", 8192 + 100, 1)
    try:
        return pump.journal.synced, opened(disk, keys).journal.synced
    except JournalError:
        return 0, 0


@pytest.mark.parametrize(
    ("defect", "history"),
    [
        ("sync_skipped", acknowledged_and_left),
        ("failed_sync_ignored", lambda keys: acknowledged_and_left(keys, "sync_error")),
        ("failed_sync_retried", lambda keys: acknowledged_and_left(keys, "sync_dropped")),
        ("part_of_a_group_is_enough", over_two_segments),
        ("tail_cut_too_far", acknowledged_and_left),
        ("damage_cut", damaged),
    ],
)
def test_a_defect_loses_what_was_acknowledged(
    defect: str, history: Callable[[journal.Keys], tuple[int, int]], keys: journal.Keys
) -> None:
    """Without it nothing is lost, with it something is: the histories are the oracle's proof."""
    told, left = history(keys)
    assert left >= told
    simulation.mutate(defect)
    told, left = history(keys)
    assert left < told
    simulation.heal()
    told, left = history(keys)
    assert left >= told
