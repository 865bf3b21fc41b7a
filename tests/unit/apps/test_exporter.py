"""The exporter: names that Prometheus accepts, values of all workers, whoever comes and goes."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from switch.apps.exporter import registry
from switch.errors import OperatorError
from switch.observe import place
from switch.observe.catalogue import FAMILIES, PREFIX, SAID, Members
from switch.observe.metrics import Metrics
from tests.support.config import SWITCH, write_config
from tests.support.debian import debian_tool

MEMBERS = Members(["ACQ01"], ["BANK01", "BANK02"])
SETTINGS = SWITCH.replace("[node]", '[node]\ndata_dir = "DATA"') + '[metrics]\nlisten = "AT"\n'


def command(data_dir: Path, listen: str) -> list[str]:
    """The exporter as its supervisor starts it."""
    text = SETTINGS.replace("DATA", str(data_dir)).replace("AT", listen)
    config = data_dir / "config"
    config.mkdir(exist_ok=True)
    write_config(config, text)
    return [sys.executable, "-m", "switch.apps.exporter", "--config", str(config)]


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
    return tmp_path


def worker(data_dir: Path, name: str) -> Metrics:
    return Metrics(place.meter_file(data_dir, name), MEMBERS)


def scrape(data_dir: Path) -> str:
    return generate_latest(registry(str(data_dir))).decode()


def values(text: str) -> dict[str, float]:
    """Samples by name and labels."""
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_promtool_accepts_every_name(data_dir: Path) -> None:
    worker(data_dir, "w0")
    promtool = debian_tool("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=scrape(data_dir),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_family_is_there_at_zero_before_anything_happened(data_dir: Path) -> None:
    worker(data_dir, "w0")
    text = scrape(data_dir)
    for family in FAMILIES:
        assert f"# HELP {PREFIX}{family.name} " in text
    found = values(text)
    assert found[f"{PREFIX}terminations_total end=TW"] == 0
    assert found[f"{PREFIX}internal_duration_seconds_bucket class=financial le=0.01"] == 0


def test_workers_are_added_up_and_timestamps_are_not(data_dir: Path) -> None:
    for name, at in (("w0", 1_000), ("w1", 2_000)):
        metrics = worker(data_dir, name)
        metrics.count("terminations_total", 3, end="--")
        metrics.set("inflight_requests", 4, issuer="BANK01")
        metrics.set("worker_heartbeat_timestamp_seconds", at)
        metrics.record("upstream_duration_seconds", 90_000, issuer="BANK02")
        metrics.publish("worker_cpu_seconds_total", 1_500_000)
    found = values(scrape(data_dir))
    assert found[f"{PREFIX}workers"] == 2
    assert found[f"{PREFIX}terminations_total end=--"] == 6
    assert found[f"{PREFIX}inflight_requests issuer=BANK01"] == 8
    assert found[f"{PREFIX}worker_heartbeat_timestamp_seconds"] == 2_000
    assert found[f"{PREFIX}worker_cpu_seconds_total"] == 3
    bank = f"{PREFIX}upstream_duration_seconds"
    assert found[f"{bank}_bucket issuer=BANK02 le=0.05"] == 0
    assert found[f"{bank}_bucket issuer=BANK02 le=0.1"] == 2
    assert found[f"{bank}_bucket issuer=BANK02 le=+Inf"] == 2
    assert found[f"{bank}_count issuer=BANK02"] == 2
    assert found[f"{bank}_sum issuer=BANK02"] == pytest.approx(0.18)


def test_a_file_that_cannot_be_read_is_counted_and_the_rest_is_shown(data_dir: Path) -> None:
    worker(data_dir, "w0")
    place.meter_file(data_dir, "w1").write_bytes(b"torn")
    found = values(scrape(data_dir))
    assert (found[f"{PREFIX}workers"], found[f"{PREFIX}meter_files_unreadable"]) == (1, 1)


def test_nothing_that_looks_like_a_card_number_is_exported(data_dir: Path) -> None:
    worker(data_dir, "w0")
    assert "6299" not in scrape(data_dir)


def test_somebody_elses_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "meters").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    with pytest.raises(OperatorError, match="somebody else"):
        place.meter_directory(tmp_path)


@pytest.fixture
def address(data_dir: Path) -> Iterator[str]:
    """A running exporter."""
    process = subprocess.Popen(command(data_dir, "127.0.0.1:0"))
    file = data_dir / "run" / "exporter.json"
    try:
        for _ in range(200):
            if file.exists():
                break
            assert process.poll() is None, "the exporter ended"
            time.sleep(0.05)
        yield json.loads(file.read_text())["metrics"]
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert not file.exists(), "a clean end withdraws its address"


def test_it_serves_workers_that_come_and_go(data_dir: Path, address: str) -> None:
    def workers() -> float:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as reply:
            return values(reply.read().decode())[f"{PREFIX}workers"]

    assert workers() == 0
    metrics = worker(data_dir, "w0")
    assert workers() == 1
    metrics.close()
    assert workers() == 0


def test_a_taken_address_is_an_operators_error(data_dir: Path, address: str) -> None:
    done = subprocess.run(
        command(data_dir, address),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "cannot listen" in done.stderr


def test_what_the_exporter_says_itself(data_dir: Path) -> None:
    metrics = worker(data_dir, "w0")
    metrics.count("response_codes_total", 4, issuer="BANK01", rc="_other")
    metrics.count("notes_total", 2, what="_other")
    gateway = Metrics(place.meter_file(data_dir, place.GATEWAY), Members([], []), "gateway")
    gateway.set("tokens", 7, state="active")
    text = scrape(data_dir)
    found = values(text)
    assert found[f"{PREFIX}workers"] == found[f"{PREFIX}workers_configured"] == 1
    assert found[f"{PREFIX}tokens state=active"] == 7
    overflow = f"{PREFIX}label_overflow_total family="
    assert found[f"{overflow}response_codes_total"] == 4
    assert found[f"{overflow}notes_total"] == 2
    room = os.statvfs(data_dir)
    assert found[f"{PREFIX}journal_free_bytes"] == pytest.approx(
        room.f_bavail * room.f_frsize, rel=0.1
    )
    assert found[f"{PREFIX}series"] == len(found)
    assert {family.name for family in SAID} <= {
        family.name.removeprefix(PREFIX) + "_total" * (family.type == "counter")
        for family in text_string_to_metric_families(text)
    }
