"""How the commands print: errors with code, place, the line with a caret, and the way out.

Data goes to stdout, talk to stderr. Nothing here may print a PAN, track, PIN or key; errors never
carry one.
"""

from pathlib import Path

import click

from switch.errors import OperatorError, TapswitchError, ThresholdError

__all__ = ["describe", "describe_error", "print_error"]


def print_error(error: TapswitchError) -> None:
    click.echo(describe_error(error), err=True)


def describe_error(error: TapswitchError, label: str = "error") -> str:
    """Several lines of text without a newline at the end::

    error[TSW-O0102]: unknown key "timeout_msx"
      --> config/switch.toml:12:1
       |
    12 | timeout_msx = 3
       | ^^^^^^^^^^^
       = help: did you mean "timeout_ms"?
       = more: tapswitch explain TSW-O0102
    """
    if isinstance(error, ThresholdError):
        caret = f"{' ' * error.at}{'^' * error.width}"
        lines = [f"{label}[{error.code}]: {error.problem}", f"  | {error.text}", f"  | {caret}"]
        return "\n".join([*lines, *_note("help", error.help, 0)])
    if isinstance(error, OperatorError):
        lines = [
            describe(f"{label}[{error.code}]", error),
            *_note("more", f"tapswitch explain {error.code}", error.line),
        ]
        return "\n".join(lines)
    return f"{label}[{error.code}]: {error}\n = more: tapswitch explain {error.code}"


def describe(head: str, error: OperatorError) -> str:
    """As `describe_error`, under a head of the caller's choice."""
    return "\n".join(
        [f"{head}: {error.problem}", *_place(error), *_note("help", error.help, error.line)]
    )


def _place(error: OperatorError) -> list[str]:
    if not error.file:
        return []
    if not error.line:
        return [f"  --> {error.file}"]
    margin = " " * len(str(error.line))
    lines = [f"{margin} --> {error.file}:{error.line}:{error.column}"]
    text = _line_of(error.file, error.line)
    if text is not None:
        width = len(error.key.rsplit(".", 1)[-1]) if error.key else 1
        caret = " " * (error.column - 1) + "^" * max(1, min(width, len(text) - error.column + 1))
        lines += [f"{margin} |", f"{error.line} | {text}", f"{margin} | {caret}"]
    return lines


def _note(word: str, text: str, line: int) -> list[str]:
    margin = " " * len(str(line or ""))
    return [f"{margin} = {word}: {text}"] if text else []


def _line_of(file: str, number: int) -> str | None:
    """Line `number` (from 1) of a settings file; None when it cannot be read any more."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines[number - 1].replace("\t", " ") if 0 < number <= len(lines) else None
