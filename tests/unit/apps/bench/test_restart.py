"""The bench of a restart, on a small journal: a real node, killed and started again."""

from pathlib import Path

import pytest

from switch.apps.bench.restart import measure_restart

RECORDS = 4_000


@pytest.mark.system
def test_a_killed_node_replays_all_that_it_had_and_answers(tmp_path: Path) -> None:
    said: list[str] = []
    found = measure_restart(RECORDS, 2, tmp_path, said.append)
    first, second = found.starts
    assert found.records == first.records >= RECORDS
    # A start and a sale: at least STARTED, sign-on marks, ACCEPTED, ANSWERED.
    assert first.records + 4 <= second.records < first.records + 40
    assert first.in_doubt == second.in_doubt == first.owed == second.owed == 0
    for one in (found.empty, first, second):
        assert 0 <= one.replay_s < one.ready_s <= one.answered_s
    assert found.worst_s == max(first.answered_s, second.answered_s)
    assert found.ok == (found.worst_s <= found.limit_s)
    assert len(said) == 4
