"""Puts the parts of locust's processes together to one run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from loadtest.recorder import SLICE_MS, Part, Tally
from switch.apps.load.figures import Measured
from switch.apps.load.model import Kind, Moment, Run, entry
from switch.apps.load.threshold import Threshold, judge
from switch.native import load

__all__ = ["kinds_of", "merged", "parts", "tidy"]


def parts(directory: Path) -> tuple[list[Part], dict[str, "load.Series"]]:
    """What the processes left in a directory."""
    found: list[Part] = []
    series: dict[str, load.Series] = {}
    for file in sorted(directory.glob("part-*.json")):
        found.append(msgspec.json.decode(file.read_bytes(), type=Part))
        for tag, one in load.read_log(file.with_suffix(".hlog").read_bytes()).items():
            series.setdefault(tag.replace(":", " "), load.Series(SLICE_MS)).merge(one)
    return found, series


def kinds_of(several: Mapping[str, Tally]) -> list[Kind]:
    """Tallies as a report has them."""
    return [
        Kind(
            name=name, offered=one.offered, answered=one.answered, declined=one.declined,
            errors=one.errors, timeouts=one.timeouts, not_sent=one.not_sent, late=one.late,
            codes=dict(sorted(one.codes.items())),
        )
        for name, one in sorted(several.items())
    ]  # fmt: skip


def tidy(directory: Path) -> None:
    """Takes away what only this module reads."""
    for pattern in ("part-*.json", "part-*.hlog", "stage.json"):
        for file in directory.glob(pattern):
            file.unlink()


def merged(
    directory: Path,
    *,
    title: str,
    at: str,
    start_s: float,
    plan: dict[str, Any],
    environment: dict[str, dict[str, str]],
    conservation: dict[str, Any] | None,
    thresholds: Sequence[Threshold],
) -> tuple[Run, dict[str, "load.Series"]]:
    """The run. Without any part it is not valid."""
    found, series = parts(directory)
    tallies: dict[str, Tally] = {}
    timeline: dict[int, list[int]] = {}
    for part in found:
        for name, tally in part.kinds.items():
            tallies.setdefault(name, Tally()).add(tally)
        for number, five in part.timeline.items():
            sums = timeline.setdefault(number, [0] * 5)
            for place, count in enumerate(five):
                sums[place] += count
    seconds = max((part.seconds for part in found), default=0.0)
    totals = {name: one.total() for name, one in series.items()}
    figures = Measured(totals, kinds_of(tallies), seconds)
    problems = [] if series else ["nothing was measured"]
    run = Run(
        tool="locust",
        title=title,
        at=at,
        start_s=start_s,
        seconds=round(seconds, 1),
        slice_ms=SLICE_MS,
        valid=not problems,
        faults=problems,
        shown=(0.0, seconds),
        kinds=kinds_of(tallies),
        entries=[entry(name, totals[name]) for name in sorted(totals)],
        timeline=[
            Moment(number * SLICE_MS / 1e3, *five) for number, five in sorted(timeline.items())
        ],
        verdicts=[judge(one, figures) for one in thresholds],
        conservation=conservation,
        plan=plan,
        environment=environment,
    )
    return run, series
