"""The journal under kill -9, short writes and a second process: real files, real processes.

A killed process loses nothing of the page cache, so these tests are about order and recovery; torn
sectors and failed syncs are injected in native/src/journal/tests.rs.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from switch.errors import JournalError
from switch.sim.cards import DEMO
from tests.support.journal import make_keys, open_journal, wait_synced
from tests.support.tree import ROOT
from tests.support.world import world

WRITER = """
import os, sys
from switch.native import journal
descriptor = os.open(sys.argv[1] + "/sealing.key", os.O_RDONLY)
keys = journal.Keys.open(sys.argv[1] + "/switch.keys", descriptor)
opened = journal.Journal.open(sys.argv[2], keys, segment_bytes=65_536)
number = opened.appended
while True:
    for _ in range(7):
        number += 1
        assert opened.append({"kind": "STAN_MARK", "out_stan": number}) == number
    opened.commit()
    print(opened.acknowledge(), flush=True)
"""


def test_kill_in_the_middle_loses_nothing_that_was_durable(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    directory = tmp_path / "j"
    last = 0
    for lines in (1, 40, 200):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(directory)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        acknowledged = 0
        for _ in range(lines):
            acknowledged = int(writer.stdout.readline())
        # A busy disk may not have answered yet; the last one is killed when it has.
        while lines == 200 and not acknowledged:
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        # Twice: recovering what was recovered changes nothing.
        for _ in range(2):
            opened = open_journal(directory, keys)
            assert opened.appended >= max(acknowledged, last)
            last = opened.appended
            del opened
        from switch.journal.reader import open_reader

        records = list(open_reader(directory, keys).records())
        assert [record["out_stan"] for record in records] == list(range(1, last + 1))
    assert last > 0


def test_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(tmp_path / "j")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    with pytest.raises(JournalError, match=f"in use by process {writer.pid}"):
        open_journal(tmp_path / "j", keys)
    writer.kill()
    writer.stdout.close()
    writer.wait()
    open_journal(tmp_path / "j", keys).close()


async def test_a_second_worker_beside_one_under_traffic_is_refused_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, mixture=DEMO) as w:
        await w.sold(10)
        pid = w.node.worker_pid
        for _ in range(3):
            second = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "switch.apps.worker", "--config", str(w.node.directory),
                stderr=asyncio.subprocess.PIPE, cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            _, said = await second.communicate()
            assert second.returncode == 3
            assert f"in use by process {pid}" in said.decode()
            await w.sold(10)
        assert w.node.worker_pid == pid
        await w.conserved()


LIMITED = """
import resource, sys
sys.path.insert(0, ".")
from pathlib import Path
from switch.errors import JournalError
from tests.support.journal import open_journal, wait_synced
from switch.crypto.keyfile import open_keys
keys = open_keys(sys.argv[1] + "/switch.keys", sys.argv[1] + "/sealing.key")
opened = open_journal(Path(sys.argv[2]), keys)
number = 1
wait_synced(opened, opened.append({"kind": "STAN_MARK", "out_stan": number}))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    while opened.failure is None:
        number += 1
        opened.append({"kind": "STAN_MARK", "out_stan": number})
        opened.commit()
except JournalError:
    pass
opened.acknowledge()
synced = opened.synced
try:
    opened.append({"kind": "STAN_MARK", "out_stan": 0})
except JournalError as error:
    assert "File too large" in str(error), error
else:
    raise SystemExit("it took a record after its failure")
opened.close()
assert opened.synced == synced
print(synced)
"""


@pytest.mark.parametrize("limit", [8_300, 8_333, 20_000, 20_001])
def test_short_write_stops_the_journal_and_is_recovered(tmp_path: Path, limit: int) -> None:
    keys = make_keys(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(tmp_path / "j"), str(limit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    synced = int(done.stdout)
    opened = open_journal(tmp_path / "j", keys)
    assert opened.appended >= synced > 0
    wait_synced(opened, opened.append({"kind": "STAN_MARK", "out_stan": 1}))
    opened.close()


def test_no_room_for_the_first_segment_is_told(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(JournalError, match="no room for the next segment") as caught:
            open_journal(tmp_path / "j", keys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "free room" in caught.value.remedy
    # Nothing half made is left behind, and with room it starts.
    assert [path.name for path in (tmp_path / "j").iterdir()] == ["lock"]
    open_journal(tmp_path / "j", keys).close()
