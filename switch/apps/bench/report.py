"""Says what was measured: text for people, one JSON object for programs."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from switch.apps.bench.costs import Cost
from switch.apps.bench.measure import Row
from switch.apps.bench.plan import REQUIRED, SWITCH, Plan, Required

__all__ = ["Met", "Report", "met", "text"]


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """A required figure, and what was measured."""

    name: str
    value: float | None
    limit: float
    aim: float
    ok: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `shapes` holds a row for each shape and system."""

    bench: str
    """floor or run."""
    at: str
    """UTC."""
    seconds: float
    valid: bool
    """Every row has figures."""
    interpreter: dict[str, str]
    machine: dict[str, str]
    journal: dict[str, str]
    build: dict[str, str]
    plan: Plan
    shapes: list[Row]
    costs: list[Cost]
    required: list[Met]

    @property
    def reached(self) -> bool:
        return all(met.ok for met in self.required)


def met(rows: list[Row], required: Sequence[Required] = REQUIRED) -> list[Met]:
    """The required figures against the switch's rows; a figure that is missing is not reached."""
    by_shape = {row.shape: row for row in rows if row.system == SWITCH}
    found = []
    for one in required:
        row = by_shape.get(one.shape)
        if row is None:
            continue
        value: float | None = getattr(row, one.figure)
        ok = value is not None and value <= one.limit
        found.append(Met(name=one.name, value=value, limit=one.limit, aim=one.aim, ok=ok))
    return found


def text(report: Report) -> str:
    """A table, the environment above it, what is required below."""
    lines = [f"bench {report.bench}  {report.at}  {report.seconds:.0f} s"]
    for name in ("machine", "interpreter", "build", "journal"):
        facts: dict[str, str] = getattr(report, name)
        lines.append(f"  {name:<12}" + ", ".join(f"{k} {v}" for k, v in facts.items()))
    lines += ["", _HEAD]
    lines += [_row(row) for row in report.shapes]
    for row in report.shapes:
        if row.ratio_without_tls is not None:
            lines.append(f"{row.shape:<8} TLS on both legs: {row.ratio_without_tls:.2f} x CPU")
    if report.costs:
        lines += ["", "CPU of the worker for one message, by how it ends:"]
        lines += [_cost(cost) for cost in report.costs]
    if report.required:
        lines += ["", "required (aim):"]
        for one in report.required:
            value = "no figure" if one.value is None else f"{one.value:g}"
            mark = "✓" if one.ok else "✗"
            lines.append(f"  {mark} {one.name:<32} {value:>10} <= {one.limit:g} ({one.aim:g})")
    if not report.valid:
        lines += ["", "Some windows gave no figures; see the reasons above."]
    return "\n".join(lines)


_HEAD: Final = (
    f"{'shape':<8} {'system':<14} {'tps':>8} {'p50 µs':>8} {'p99 µs':>8} {'p99.9 µs':>9} "
    f"{'CPU µs':>8} {'x durable':>9} {'x relay':>8} {'p99 +µs':>8} {'switches':>8} {'lag p99':>8}"
)


def _row(row: Row) -> str:
    head = f"{row.shape:<8} {row.system:<14}"
    if not row.valid:
        return f"{head} no figures: {row.fault}"
    cells: list[tuple[Any, int, str]] = [
        (row.tps, 8, ".0f"), (row.p50_us, 8, ".0f"), (row.p99_us, 8, ".0f"),
        (row.p999_us, 9, ".0f"), (row.cpu_us_per_auth, 8, ".1f"),
        (row.ratio_to_durable_floor, 9, ".2f"), (row.ratio_to_relay, 8, ".2f"),
        (row.p99_added_us, 8, ".0f"), (row.switches_per_auth, 8, ".2f"), (row.lag_p99_us, 8, ".0f"),
    ]  # fmt: skip
    return head + "".join(
        f" {'-' if value is None else format(value, form):>{width}}" for value, width, form in cells
    )


def _cost(cost: Cost) -> str:
    head = f"  {cost.shape:<8} {cost.case:<28} {cost.code}"
    if cost.cpu_us_per_message is None:
        return f"{head}  no figure: {cost.fault}"
    return f"{head} {cost.cpu_us_per_message:>8.1f} µs"
