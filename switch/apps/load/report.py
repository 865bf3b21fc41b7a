"""The directory of a run: written at its end, drawn again from what it holds."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from switch.apps.load import model
from switch.apps.load.model import Run
from switch.apps.load.page import page, verdict
from switch.apps.load.picture import us
from switch.apps.load.pictures import draw
from switch.errors import OperatorError
from switch.native import load

__all__ = ["again", "make_directory", "save", "text"]

OUT: Final = Path("out")


def make_directory(wanted: Path | None, tool: str) -> Path:
    """A new directory for a run; `wanted` may exist when it is empty. Raises: OperatorError."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(100):
        directory = wanted or OUT / f"{tool}-{stamp}{f'-{number}' if number else ''}"
        try:
            directory.mkdir(parents=True, exist_ok=wanted is not None)
        except FileExistsError:
            if wanted is None:
                continue
            raise OperatorError("this is no directory", file=str(directory)) from None
        except OSError as error:
            raise OperatorError(
                f"the directory cannot be made: {error.strerror}", file=str(directory)
            ) from error
        if any(directory.iterdir()):
            raise OperatorError(
                "the directory is not empty", file=str(directory), help="--out with a new name"
            )
        return directory
    raise OperatorError(f"there are a hundred runs of {stamp}", file=str(OUT))


def save(directory: Path, run: Run, series: Mapping[str, "load.Series"]) -> None:
    """All files of a run. Raises: OperatorError when the disk does not take them."""
    try:
        model.write(directory, run, series)
        _draw(directory, run, series)
    except OSError as error:
        raise OperatorError(
            f"the report cannot be written: {error.strerror}", file=str(directory)
        ) from error


def again(directory: Path) -> Run:
    """Draws pictures, page and summary anew from report.json and run.hlog."""
    run, series = model.read(directory)
    _draw(directory, run, series)
    return run


def _draw(directory: Path, run: Run, series: Mapping[str, "load.Series"]) -> None:
    pictures = draw(run, series)
    for one in pictures:
        (directory / f"{one.name}.svg").write_text(one.svg + "\n", encoding="utf-8")
    (directory / "report.html").write_text(page(run, pictures), encoding="utf-8")
    (directory / "summary.md").write_text(text(run) + "\n", encoding="utf-8")


def text(run: Run) -> str:
    """Some lines of Markdown: what a person wants to know first."""
    _, word, sentence = verdict(run)
    lines = [f"# {run.title}: {word}", "", sentence, ""]
    lines += [f"- {one.text}" for one in run.verdicts]
    lines += [
        "",
        "| counted | requests | p50 | p99 | p99.9 | longest |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {one.count:,} | {us(one.p50_us)} | {us(one.p99_us)} | {us(one.p999_us)} "
        f"| {us(one.max_us)} |"
        for one in run.entries
    ]
    if run.steps:
        lines += ["", "| offered/s | | achieved/s | p50 | p99 | p99.9 | errors | |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for step in run.steps:
            what = "held" if step.passed else ("failed" if step.valid else "invalid")
            lines.append(
                f"| {step.rate:,.0f} | {what} | {step.achieved:,.0f} | {us(step.p50_us)} "
                f"| {us(step.p99_us)} | {us(step.p999_us)} | {step.errors:,} | {step.fault} |"
            )
    if run.conservation is not None:
        agree = "agree" if run.conservation["ok"] else "DISAGREE"
        lines += ["", f"Ledgers of terminals, journal and banks: {agree}."]
    machine = run.environment.get("machine", {})
    build = run.environment.get("build", {})
    lines += [
        "",
        (
            f"{run.at}, {machine.get('cpu', 'unknown')}, {machine.get('cores', '?')} cores, "
            f"commit {build.get('commit', 'unknown')}, {build.get('profile', '?')} build."
        ),
    ]
    return "\n".join(lines)
