"""The last words of a process that has ended, from what it wrote."""

from pathlib import Path

__all__ = ["last_words"]


def last_words(log: Path) -> str:
    """Its last error on one line, with place and help; its last line when there is none; empty when
    it said nothing."""
    lines = log.read_text(errors="replace").strip().splitlines()
    began = next((i for i in range(len(lines) - 1, -1, -1) if lines[i].startswith("error[")), None)
    if began is None:
        return lines[-1] if lines else ""
    kept = (line.strip() for line in lines[began:])
    return " ".join(line for line in kept if line and not line.startswith("= more:"))
