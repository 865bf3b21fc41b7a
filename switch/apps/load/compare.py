"""Two runs beside each other, if they were taken under the same conditions."""

from pathlib import Path

import msgspec

from switch.apps.load import model
from switch.apps.load.environment import comparable
from switch.apps.load.model import Entry, Run
from switch.apps.load.picture import us
from switch.errors import OperatorError

__all__ = ["Comparison", "Line", "compare", "text"]

DIFFERENT_MAX: int = 6
"""Of what differs so much is named."""


class Line(msgspec.Struct, frozen=True):
    """One figure of both."""

    name: str
    before: float | None
    after: float | None
    unit: str

    @property
    def change(self) -> float | None:
        """As a share of the first; None when one is missing."""
        if not self.before or self.after is None:
            return None
        return self.after / self.before - 1


class Comparison(msgspec.Struct, frozen=True):
    """What `tapswitch bench compare` prints."""

    schema: str
    before: str
    after: str
    different: list[str]
    """Conditions that were not the same."""
    lines: list[Line]


def compare(before: Path, after: Path, *, force: bool = False) -> Comparison:
    """Raises: OperatorError when the conditions differ and that is not forced."""
    first, second = model.read(before)[0], model.read(after)[0]
    different = differences(first, second)
    if different and not force:
        more = len(different) - DIFFERENT_MAX
        listed = "; ".join(different[:DIFFERENT_MAX]) + (f"; and {more} more" if more > 0 else "")
        raise OperatorError(
            f"the two were not taken under the same conditions: {listed}",
            help="--force compares them all the same",
        )
    return Comparison(
        "tapswitch.load.compare/1", str(before), str(after), different, lines(first, second)
    )


def differences(first: Run, second: Run) -> list[str]:
    """In words; the thresholds and the seed may differ."""
    one, two = comparable(first.environment), comparable(second.environment)
    found = [
        f"{name} {one.get(name, 'unknown')!r} and {two.get(name, 'unknown')!r}"
        for name in sorted(one.keys() | two.keys())
        if one.get(name) != two.get(name)
    ]
    if first.tool != second.tool:
        found.insert(0, f"tool {first.tool} and {second.tool}")
    free = {"thresholds", "seed", "climb", "connect"}
    found += [
        f"{name} {first.plan.get(name)!r} and {second.plan.get(name)!r}"
        for name in sorted((first.plan.keys() | second.plan.keys()) - free)
        if first.plan.get(name) != second.plan.get(name)
    ]
    for name, run in (("the first", first), ("the second", second)):
        if not run.valid:
            found.append(f"{name} is not valid ({'; '.join(run.faults)})")
    return found


def lines(first: Run, second: Run) -> list[Line]:
    """Every figure that both have."""
    found = []
    if first.tool == second.tool == "ladder":
        found.append(Line("rate that holds", first.sustained, second.sustained, "/s"))
    others = {one.name: one for one in second.entries}
    for one in first.entries:
        other = others.get(one.name)
        if other is not None:
            found += entry_lines(one, other)
    same = {step.rate: step for step in second.steps if step.passed}
    for step in first.steps:
        if step.passed and (match := same.get(step.rate)) is not None:
            found.append(Line(f"p99 at {step.rate:g}/s", step.p99_us, match.p99_us, "us"))
    return found


def entry_lines(one: Entry, other: Entry) -> list[Line]:
    names = ("p50_us", "p90_us", "p99_us", "p999_us", "max_us")
    labels = ("p50", "p90", "p99", "p99.9", "longest")
    return [
        Line(f"{label} {one.name}", getattr(one, name), getattr(other, name), "us")
        for name, label in zip(names, labels, strict=True)
    ]


def text(comparison: Comparison) -> str:
    """A table."""
    rows = [f"{'':<28} {'before':>12} {'after':>12} {'change':>9}"]
    for line in comparison.lines:
        before, after = (told(value, line.unit) for value in (line.before, line.after))
        change = "-" if line.change is None else f"{100 * line.change:+.1f} %"
        rows.append(f"{line.name:<28} {before:>12} {after:>12} {change:>9}")
    if comparison.different:
        rows += ["", "not under the same conditions:"]
        rows += [f"  {one}" for one in comparison.different]
    return "\n".join(rows)


def told(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return us(value) if unit == "us" else f"{value:,.0f}{unit}"
