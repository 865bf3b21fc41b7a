"""The supervisor with real processes that behave as a worker would: readies, dies, hangs,
refuses."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from switch.apps.supervisor import Plan, Supervisor
from tests.support.peer import until

WORKER = """
import json, os, signal, sys, time
home, how, argv = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
count = len(os.listdir(home))
open(os.path.join(home, f"start-{count:02d}"), "w").write(json.dumps(argv))
act = how[min(count, len(how) - 1)]
if act == "refuse":
    sys.exit(3)
if act == "slow":
    time.sleep(60)
if act == "hang":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
line = {"ready": True, "pid": os.getpid(), "acquirers": {"ACQ01": "127.0.0.1:4001"}, "issuers": {}}
os.write(int(argv[argv.index("--ready-fd") + 1]), (json.dumps(line) + "\\n").encode())
if act == "die":
    time.sleep(0.05)
    os._exit(7)
time.sleep(60)
"""


class Bench:
    """A supervisor over a scripted worker."""

    def __init__(self, home: Path, how: str, *, drain_s: float = 5.0) -> None:
        self.home = home
        self.ready: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        command = [sys.executable, "-c", WORKER, str(home), how]
        self.supervisor = Supervisor(Plan(worker=command, drain_s=drain_s), self.ready.put_nowait)
        self.running = asyncio.ensure_future(self.supervisor.run())

    async def started(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.ready.get(), 10)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.running, 20)

    def arguments(self) -> list[list[str]]:
        """Of every worker that has written them down; a file is empty before it is written."""
        texts = [file.read_text() for file in sorted(self.home.iterdir())]
        return [json.loads(text) for text in texts if text]


async def test_only_what_opens_keys_inherits_them(tmp_path: Path) -> None:
    key = os.open(tmp_path, os.O_RDONLY)
    look = (
        "import os, sys, time; seen = os.path.exists(f'/proc/self/fd/{sys.argv[2]}');"
        " open(sys.argv[1], 'w').write(str(seen)); time.sleep(60)"
    )
    (tmp_path / "home").mkdir()

    def looking(name: str) -> list[str]:
        return [sys.executable, "-c", look, str(tmp_path / name), str(key)]

    plan = Plan(
        worker=[sys.executable, "-c", WORKER, str(tmp_path / "home"), "serve"],
        beside=[looking("beside")],
        keyed=[looking("keyed")],
        inherit=(key,),
    )
    ready: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    running = asyncio.ensure_future(Supervisor(plan, ready.put_nowait).run())
    await asyncio.wait_for(ready.get(), 10)
    files = [tmp_path / "beside", tmp_path / "keyed"]
    await until(lambda: all(f.exists() and f.read_text() for f in files), 10, "both looked")
    assert [file.read_text() for file in files] == ["False", "True"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 20) == 0
    os.close(key)


async def test_sigterm_drains_and_ends_with_0(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "serve")
    told = await bench.started()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await bench.ended() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(told["pid"], 0)


async def test_sigint_drains_and_ends_with_130(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "serve")
    await bench.started()
    os.kill(os.getpid(), signal.SIGINT)
    assert await bench.ended() == 130


async def test_dead_worker_is_restarted_on_the_addresses_it_had(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "die,serve")
    first = await bench.started()
    second = await bench.started()
    assert second["pid"] != first["pid"]
    assert bench.supervisor.restarts == 1
    before, after = bench.arguments()
    assert "--bind" not in before
    assert after[after.index("--bind") + 1] == "ACQ01=127.0.0.1:4001"
    os.kill(os.getpid(), signal.SIGTERM)
    assert await bench.ended() == 0


async def test_killed_worker_is_restarted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "serve")
    first = await bench.started()
    os.kill(first["pid"], signal.SIGKILL)
    assert (await bench.started())["pid"] != first["pid"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await bench.ended() == 0


async def test_worker_that_cannot_start_ends_the_node_with_its_code(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "refuse")
    assert await bench.ended() == 3
    assert len(bench.arguments()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_signal_before_the_worker_listens_to_it(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    bench = Bench(tmp_path, "slow")
    await until(lambda: bool(bench.arguments()), what="the worker's start")
    os.kill(os.getpid(), number)
    assert await bench.ended() == code


async def test_signalling_leaves_an_ended_child_to_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[tuple[int, Any, Any]] = []

    def late(_watcher: Any, _loop: Any, pid: int, callback: Any, args: Any) -> None:
        watched.append((pid, callback, args))

    # asyncio's own thread that waits for the child, held up as a busy machine does.
    monkeypatch.setattr(asyncio.ThreadedChildWatcher, "_do_waitpid", late)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "import sys; sys.exit(3)")
    ((pid, callback, args),) = watched
    ended = os.WEXITED | os.WNOHANG
    await until(lambda: os.waitid(os.P_PID, pid, ended | os.WNOWAIT) is not None, what="its end")
    Supervisor._signal(child, signal.SIGTERM)
    left = os.waitid(os.P_PID, pid, ended)  # noqa: ASYNC222 - WNOHANG
    assert left is not None, "reaped by the signal"
    assert left.si_status == 3
    callback(pid, 3, *args)
    assert await asyncio.wait_for(child.wait(), 5) == 3


async def test_worker_that_stops_being_able_to_start_is_given_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "die,refuse")
    await bench.started()
    assert await bench.ended() == 3
    assert len(bench.arguments()) == 6


async def test_worker_that_does_not_drain_is_killed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hang", drain_s=0.3)
    await bench.started()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await bench.ended() == 128 + signal.SIGKILL


async def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "hang", drain_s=60.0)
    await bench.started()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await bench.ended() == 128 + signal.SIGKILL
