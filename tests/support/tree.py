"""The files of the project, for tests about the tree itself."""

import subprocess
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "text_of", "tracked"]

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that git tracks or would track, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return tuple(Path(name) for name in sorted(set(names)) if (ROOT / name).is_file())


@cache
def text_of(path: Path) -> str:
    """The text of a tracked file; '' for a binary one."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
