"""docs/guides/load.md: its commands are understood, its thresholds are of the grammar."""

import re
import shlex
import sys

import click
import pytest

from loadtest.__main__ import arguments, values_of
from loadtest.mix import find
from loadtest.recorder import ENTRIES
from switch.apps.load.threshold import parse, parse_all
from switch.cli.bench import command
from tests.support.tree import ROOT

TEXT = (ROOT / "docs" / "guides" / "load.md").read_text(encoding="utf-8")
LINES = [line.split(" #")[0].strip() for line in TEXT.splitlines()]
BENCH = [shlex.split(line)[2:] for line in LINES if line.startswith("tapswitch bench ")]
LOAD = [line for line in LINES if line.startswith("make load")]


def test_the_guide_has_commands() -> None:
    assert len(BENCH) >= 6
    assert len(LOAD) >= 5


@pytest.mark.parametrize("words", BENCH, ids=" ".join)
def test_commands_of_the_bench_are_understood(words: list[str]) -> None:
    assert isinstance(command, click.Group)
    one = command.commands[words[0]]
    if words[0] in ("report", "compare"):
        # Their directories are the reader's.
        words = [word for word in words if not word.startswith("out/")] + ["."] * (
            1 if words[0] == "report" else 2
        )
    context = one.make_context(words[0], words[1:])
    parse_all(context.params.get("thresholds", ()))


@pytest.mark.parametrize("line", LOAD)
def test_commands_of_locust_are_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (given,) = [word.removeprefix("LOAD=") for word in shlex.split(line)[2:]] or [""]
    monkeypatch.setattr(sys, "argv", ["loadtest", *shlex.split(given)])
    ours, rest = arguments()
    find(ours.mix)
    parse_all(values_of("--fail-if", rest), ENTRIES)


def test_thresholds_of_the_table_are_of_the_grammar() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", TEXT, re.MULTILINE)
    thresholds = [row for row in rows if re.search(r"[<>]", row)]
    assert len(thresholds) >= 5
    for text in thresholds:
        parse(text)
