"""The monitoring rules as tests need them: their text, and a copy that a test can wait for."""

import re
from pathlib import Path
from typing import Final

from tests.support.tree import ROOT

__all__ = ["MONITORING", "alerts", "hurried", "rules_text", "write_hurried"]

MONITORING: Final = ROOT / "config" / "monitoring"

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"(?<=\[)(\d+)([smhdw])(?=\])|(?<=offset )(\d+)([smhdw])")
_FOR: Final = re.compile(r"(?m)^(\s+for: )(\d+)([smhdw])$")
_AGE: Final = re.compile(r"(time\(\) - (?:tapswitch_\w+ > )?|< time\(\) - )(\d+)")


def rules_text() -> str:
    """All rule files one after the other."""
    files = sorted(MONITORING.glob("*.rules.yml"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def alerts() -> dict[str, str]:
    """Name of each alert to its text."""
    text = (MONITORING / "alerts.rules.yml").read_text(encoding="utf-8")
    pieces = re.split(r"(?m)^      - alert: ", text)[1:]
    return {piece.split("\n", 1)[0]: piece for piece in pieces}


def hurried(text: str, factor: int) -> str:
    """The same rules for a test in a hurry: every duration (ranges, offsets, ``for``) and every
    age in seconds that is compared with ``time()`` is divided by `factor`, ranges down to 3 s
    at the least (two scrapes of a second), the others to 1 s. Nothing else changes."""

    def range_or_offset(match: re.Match[str]) -> str:
        number, unit = (match[1], match[2]) if match[1] else (match[3], match[4])
        return f"{max(3, int(number) * _UNITS_S[unit] // factor)}s"

    text = _DURATION.sub(range_or_offset, text)
    text = _FOR.sub(lambda m: f"{m[1]}{max(1, int(m[2]) * _UNITS_S[m[3]] // factor)}s", text)
    return _AGE.sub(lambda m: f"{m[1]}{max(3, int(m[2]) // factor)}", text)


def write_hurried(directory: Path, factor: int) -> list[Path]:
    """Hurried copies of all rule files."""
    out = []
    for file in sorted(MONITORING.glob("*.rules.yml")):
        copy = directory / file.name
        copy.write_text(hurried(file.read_text(encoding="utf-8"), factor), encoding="utf-8")
        out.append(copy)
    return out
