"""All pictures of a run, those for which it has something to show."""

from collections.abc import Mapping
from typing import Final

from switch.apps.load.figures import DUE
from switch.apps.load.latency import heat, percentiles
from switch.apps.load.model import Run
from switch.apps.load.picture import Picture
from switch.apps.load.rate import ladder, rates
from switch.native import load

__all__ = ["draw"]

REQUESTS_MIN: Final = 50
"""A kind with fewer requests beside others has its table only."""


def draw(run: Run, series: Mapping[str, "load.Series"]) -> list[Picture]:
    """Those for which the run has something to show."""
    known = [kind for kind in run.kinds if kind.name + DUE in series]
    kinds = [kind.name for kind in known if len(known) == 1 or kind.offered >= REQUESTS_MIN]
    found = [percentiles(run, kind, series) for kind in kinds]
    found += [heat(run, kind, series[kind + DUE]) for kind in kinds]
    if run.timeline:
        found.append(rates(run))
    if any(step.p99_us for step in run.steps):
        found.append(ladder(run))
    return found
