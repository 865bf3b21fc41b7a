"""Says what an overload run measured: text, JSON, and a picture of each step."""

from pathlib import Path
from typing import Final

import msgspec

from switch.apps.bench.overload import OverloadRun, Stage
from switch.apps.bench.required import result
from switch.apps.load.svg import Drawing, linear, linear_ticks, log_ticks, logarithmic
from switch.errors import OperatorError

__all__ = ["draw", "save", "text"]

HEIGHT: Final = 420
LEFT: Final = 74
RIGHT: Final = 860
UPPER: Final = (48.0, 220.0)
LOWER: Final = (264.0, 360.0)
HEAD: Final = (
    "| offered | goodput/s | of the knee | p99 | refused | refusal p99 | lost | "
    "quiet success | quiet p99 calm, overload, after | normal after | lag p99 | stolen |"
)


def save(directory: Path, run: OverloadRun) -> None:
    """report.json, summary.md and one picture a step. Raises: OperatorError."""
    try:
        (directory / "report.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n"
        )
        (directory / "summary.md").write_text(text(run) + "\n", encoding="utf-8")
        for stage in run.stages:
            turn = f"-{stage.number}" if stage.number > 1 else ""
            file = directory / f"overload-{stage.multiple:g}x{turn}.svg"
            file.write_text(draw(run, stage) + "\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"the report cannot be written: {error.strerror}", file=str(directory)
        ) from error


def text(run: OverloadRun) -> str:
    """Markdown."""
    found = "found" if run.knee_found else "given"
    lines = [
        "# Overload",
        "",
        f"Knee {run.knee:,.0f}/s ({found}), goodput there {run.knee_goodput:,.0f}/s. {run.pinned}.",
        "",
        HEAD,
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(stage) for stage in run.stages]
    lines.append("")
    lines += [f"- {'✓' if ok else '✗'} {said}" for ok, said in result(run)]
    machine, build = run.environment["machine"], run.environment["build"]
    where = f"{machine['cpu']}, {machine['cores']} cores"
    lines += ["", f"{run.at}, {where}, commit {build['commit']}, {build['profile']} build."]
    return "\n".join(lines)


def _row(stage: Stage) -> str:
    busy, quiet = stage.noisy["overload"], stage.quiet
    p99 = ", ".join(_ms(quiet[name].p99_us) for name in ("calm", "overload", "after"))
    after = "never" if stage.recovered_s is None else f"{stage.recovered_s:g} s"
    void = "" if stage.valid else " VOID"
    return (
        f"| {stage.multiple:g}x {stage.rate:,.0f}/s{void} | {busy.goodput:,.0f} "
        f"| {100 * stage.goodput_share:.0f} % | {_ms(busy.p99_us)} | {busy.refused:,} "
        f"| {_ms(busy.refusal_p99_us)} | {busy.lost:,} | {100 * quiet['overload'].success:.3f} % "
        f"| {p99} | {after} | {stage.lag_p99_us / 1e3:.2f} ms | {stage.stolen_percent:.1f} % |"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e3:.2f} ms"


def draw(run: OverloadRun, stage: Stage) -> str:
    """Offered, approved and refused a second; below, p99 of the quiet acquirer."""
    width_s = stage.timeline[1][0] - stage.timeline[0][0] if len(stage.timeline) > 1 else 0.1
    rows = [(at, good / width_s, other / width_s) for at, _, good, other, _ in stage.timeline]
    last = rows[-1][0] + width_s if rows else 1.0
    busy = stage.noisy["overload"]
    drawing = Drawing(
        f"Overload at {stage.multiple:g} times the knee",
        f"Offered {stage.rate:,.0f} a second; approved {busy.goodput:,.0f} a second, "
        f"{100 * stage.goodput_share:.0f} % of the knee's goodput.",
        HEIGHT,
        f"overload-{stage.multiple:g}",
    )
    across = linear(0, last, LEFT, RIGHT)
    begin, end = run.plan.calm_s, run.plan.calm_s + run.plan.step_s
    top, bottom = UPPER
    drawing.rect(across(begin), top, across(end) - across(begin), LOWER[1] - top, "band")
    most = max([run.knee * 1.2, *(max(good, other) for _, good, other in rows)])
    up = linear(0, most, bottom, top)
    frame = (float(LEFT), top, float(RIGHT), bottom)
    drawing.up([(one, f"{one:,.0f}") for one in linear_ticks(most)], up, frame, "a second")
    drawing.line([(across(at), up(good)) for at, good, _ in rows], "first")
    drawing.line([(across(at), up(other)) for at, _, other in rows], "second")
    drawing.line([(LEFT, up(run.knee)), (RIGHT, up(run.knee))], "mark")
    for x, kind, said in (
        (200, "first", "approved"),
        (360, "second", "refused (91)"),
        (560, "mark", "knee"),
    ):
        drawing.line([(x, 14), (x + 30, 14)], kind)
        drawing.text((x + 36, 18), said, "start", f"{'good' if kind == 'mark' else kind}text")
    drawing.text((across(begin) + 4, top + 14), f"offered {stage.rate:,.0f}/s")
    top, bottom = LOWER
    p99s = [p99 for *_, p99 in stage.timeline if p99]
    low, high = (min(p99s), max(p99s)) if p99s else (100.0, 10_000.0)
    low, high = low / 1.5, max(high * 1.5, low * 10)
    scale = logarithmic(low, high, bottom, top)
    frame = (float(LEFT), top, float(RIGHT), bottom)
    ticks = [(one, f"{one / 1e3:g}") for one in log_ticks(low, high)]
    drawing.up(ticks, scale, frame, "p99 of the quiet acquirer, ms")
    drawing.line([(across(at), scale(p99)) for at, *_, p99 in stage.timeline if p99], "first")
    seconds = [(one, f"{one:g}") for one in linear_ticks(last, 10) if one <= last]
    drawing.across(seconds, across, frame, "seconds")
    return drawing.render()
