"""Rules of monitoring: sound, tested one by one, with a page each, over metrics that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from scripts.dashboard import overview_text
from switch.observe.catalogue import FAMILIES, PREFIX, SAID
from tests.support.debian import debian_tool
from tests.support.monitoring import MONITORING, alerts, hurried, rules_text
from tests.support.tree import ROOT

pytestmark = pytest.mark.tidy

RUNBOOKS: Final = Path("docs/operating/runbooks")
PARTS: Final = ("Meaning", "Money at risk", "First five minutes", "Fix", "Verify")
KINDS: Final = {family.name: family.kind for family in (*FAMILIES, *SAID)}
LABELS: Final = {family.name: set(family.labels) for family in (*FAMILIES, *SAID)}
TESTS: Final = sorted((MONITORING / "tests").glob("*_test.yml"))
CASES: Final = "\n".join(file.read_text(encoding="utf-8") for file in TESTS)


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    tool = debian_tool("promtool", "prometheus")
    return subprocess.run([tool, *words], capture_output=True, text=True, check=False, cwd=ROOT)


def test_promtool_accepts_rules_and_configuration() -> None:
    files = [str(file) for file in sorted(MONITORING.glob("*.rules.yml"))]
    done = promtool("check", "rules", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "config", str(MONITORING / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(alerts()))
def test_alert_is_tested_firing_and_silent(name: str) -> None:
    assert f"- name: {name} fires\n" in CASES
    assert f"- name: {name} is silent\n" in CASES


@pytest.mark.parametrize("name", sorted(alerts()))
def test_alert_says_what_it_is_and_where_its_page_is(name: str) -> None:
    text = alerts()[name]
    assert re.search(r"(?m)^          severity: (page|ticket)$", text)
    assert re.search(r'(?m)^          summary: ".+"$', text)
    assert f"runbook_url: {RUNBOOKS}/{name}.md\n" in text
    page = (ROOT / RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"(?m)^## (.*)$", page) == list(PARTS)
    assert f"({name}.md)" in (ROOT / RUNBOOKS / "README.md").read_text(encoding="utf-8")


def test_every_page_has_an_alert() -> None:
    pages = {file.stem for file in (ROOT / RUNBOOKS).glob("*.md")} - {"README"}
    assert pages == set(alerts())


def family_of(metric: str) -> str:
    """The family of a series' name; '' when there is none."""
    name = metric.removeprefix(PREFIX)
    if name in KINDS:
        return name
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return base if KINDS.get(base) == "histogram" else ""


def test_every_metric_and_label_of_the_rules_is_in_the_catalogue() -> None:
    used = re.findall(r"(tapswitch_\w+)(?:\{([^}]*)\})?", rules_text())
    assert len(used) > 40
    for metric, selector in used:
        family = family_of(metric)
        assert family, metric
        labels = set(re.findall(r"(\w+)(?:=|!=|=~|!~)", selector))
        assert labels <= LABELS[family] | {"le"}, metric


def test_every_metric_of_the_pages_is_in_the_catalogue() -> None:
    for file in [*(ROOT / RUNBOOKS).glob("*.md"), *TESTS]:
        for metric in re.findall(r"\btapswitch_\w+", file.read_text(encoding="utf-8")):
            assert family_of(metric), f"{file.name}: {metric}"


def test_a_hurried_copy_differs_in_times_only() -> None:
    text = rules_text()
    copy = hurried(text, 60)
    numbers = re.compile(r"\d+[smhdw]?")
    assert numbers.sub("N", copy) == numbers.sub("N", text)
    assert "[5s]" in copy
    assert "for: 1s" in copy
    assert "> 15" in copy


def test_the_dashboard_is_the_generated_one_and_asks_for_what_there_is() -> None:
    text = (MONITORING / "dashboards" / "overview.json").read_text(encoding="utf-8")
    assert text == overview_text(), "run .venv/bin/python scripts/generate"
    queries = [
        target["expr"]
        for panel in json.loads(text)["panels"]
        for target in panel.get("targets", [])
    ]
    assert len(queries) >= 15
    recorded = set(re.findall(r"(?m)record: (\S+)$", rules_text()))
    for query in queries:
        for metric in re.findall(r"\btapswitch_\w+", query):
            assert family_of(metric), query
        assert set(re.findall(r"tapswitch:[\w:]+", query)) <= recorded
