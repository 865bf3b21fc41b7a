"""`tapswitch top --once` as it is called."""

import json
import time
from pathlib import Path

import pytest

from switch.apps.top import SORTS as OFFERED
from switch.cli import run
from switch.cli.top import SORTS
from switch.observe.catalogue import Members
from switch.observe.metrics import Metrics
from switch.observe.place import meter_file
from switch.settings.load import load
from tests.support.config import SWITCH, write_config
from tests.support.tree import ROOT

DIALECT = (ROOT / "config" / "dialects" / "iso87-ascii.toml").read_text(encoding="utf-8")


def test_once_is_a_document_with_a_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    config = write_config(tmp_path, SWITCH, dialect=DIALECT)
    call = ["top", "--config", str(config), "--once", "--interval", "0.2"]
    assert run(call) == 4
    assert "NOT RUNNING" in capsys.readouterr().out
    settings = load(config)
    members = Members([a.id for a in settings.acquirers], [b.id for b in settings.issuers])
    metrics = Metrics(meter_file(settings.node.data_dir, "w0"), members)
    metrics.set("worker_heartbeat_timestamp_seconds", int(time.time()))
    assert run([*call, "-o", "json", "--sort", "p99"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["worker"]) == ("tapswitch.top/1", "running")
    assert {row["member"] for row in said["members"]} == {*members.acquirers, *members.issuers}
    assert said["config"] == settings.digest
    metrics.close()


def test_orders_are_those_of_the_board() -> None:
    assert set(SORTS) == set(OFFERED)
