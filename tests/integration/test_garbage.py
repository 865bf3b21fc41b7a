"""Whose thread of a worker collects cyclic garbage."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.support.node import Node
from tests.support.tree import ROOT

WORKER = """
import gc, json, sys, threading, time
from pathlib import Path
from switch.apps.worker import main

collected = set()

def note(phase, _info):
    if phase == "start":
        collected.add(threading.current_thread().name)

def allocate():
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    collected.clear()
    gc.callbacks.append(note)
    held = [[] for _ in range(300_000)]
    deadline = time.monotonic() + 10
    while not collected and time.monotonic() < deadline:
        time.sleep(0.01)
    Path(sys.argv[3]).write_text(json.dumps(sorted(collected)))

threading.Thread(target=allocate, name="other", daemon=True).start()
sys.exit(main(["--config", sys.argv[1]]))
"""
"""A whole worker, beside whose loop another thread allocates, as a reload does."""


def test_a_worker_collects_on_its_loops_thread_alone(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    node = Node(tmp_path / "node", ["accept"])
    said = tmp_path / "said.json"
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(node.directory), str(node.ready_file), str(said)],
        cwd=ROOT, stderr=subprocess.PIPE,
    ) as worker:  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not said.exists() or not said.read_text():
                assert worker.poll() is None, worker.stderr and worker.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert json.loads(said.read_text()) == ["MainThread"]
        finally:
            worker.terminate()
            _, complaints = worker.communicate(timeout=30)
    assert b"unsendable" not in complaints
