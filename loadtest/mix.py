"""What a load run consists of: mixes/*.toml, checked before anything starts."""

import itertools
import os
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from loadtest.schedule import ARRIVALS
from switch.errors import SettingsError, TomlError
from switch.native import codec
from switch.settings.nearest import suggest

__all__ = ["MIXES", "Curve", "Mix", "Terminals", "find", "share_at"]

MIXES: Final = Path(__file__).resolve().parent / "mixes"
VARIABLE: Final = "LOADTEST_MIX"
"""Environment variable with a mix's name or file, for the locustfile."""
DEFAULT: Final = "mixed"

Share = Annotated[float, Meta(ge=0, le=1)]
Rate = Annotated[float, Meta(gt=0, le=100)]


class Terminals(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of terminal."""

    weight: Annotated[int, Meta(ge=0, le=1_000)] = 1
    """How many of all users are of this kind, against the other's weight."""
    rate: Rate = 1.0
    """Requests a second of each, at its own due times."""
    tap: Share = 0.0
    """Of its customers tap with a token; the rest have plain cards."""
    cancel: Share = 0.0
    """Of its approved customers change their mind: a reversal follows."""
    amount_minor: tuple[int, int] = (100, 8_999)
    """From and to, in minor units."""
    mcc: Annotated[str, Meta(pattern="^[0-9]{4}$")] = "5411"


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A day: hour and share of the peak, in the order of hours, straight between them."""

    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 240.0
    """Length of the day in a run."""
    users: Annotated[int, Meta(ge=1, le=100_000)] = 200
    """At the peak."""
    points: list[tuple[float, Share]]


class Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file."""

    title: str
    arrivals: str = "poisson"
    timeout_s: Annotated[float, Meta(gt=0, le=120)] = 5.0
    """After so long a terminal gives up and reverses."""
    mixture: str = "approving"
    """Whether cards misbehave: approving, demo or harsh, as `tapswitch sim terminal` has it."""
    terminal: Terminals | None = None
    gate: Terminals | None = None
    curve: Curve | None = None


def find(name: str = "") -> Mix:
    """A mix by name or file; without one that of the environment. Raises: SettingsError."""
    wanted = name or os.environ.get(VARIABLE) or DEFAULT
    file = MIXES / f"{wanted}.toml"
    if wanted.endswith(".toml") or "/" in wanted:
        file = Path(wanted)
    known = sorted(path.stem for path in MIXES.glob("*.toml"))
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f'there is no mix "{wanted}": {error.strerror}', help=suggest(wanted, known)
        ) from error
    try:
        mix = msgspec.convert(codec.parse_toml(text)[0], Mix)
    except (msgspec.ValidationError, TomlError) as error:
        raise SettingsError(f"not a mix: {error}", file=str(file)) from error
    _check(mix, str(file))
    return mix


def _check(mix: Mix, file: str) -> None:
    if mix.arrivals not in ARRIVALS:
        help_line = suggest(mix.arrivals, ARRIVALS)
        raise SettingsError(f'no arrivals "{mix.arrivals}"', file=file, help=help_line)
    if not any(kind is not None and kind.weight for kind in (mix.terminal, mix.gate)):
        raise SettingsError("neither [terminal] nor [gate] has a weight", file=file)
    for name, kind in (("terminal", mix.terminal), ("gate", mix.gate)):
        if kind is not None and not 0 < kind.amount_minor[0] <= kind.amount_minor[1] < 9_000:
            raise SettingsError(
                f"[{name}] amount_minor must rise within 1 and 8999", file=file,
                help="amounts from 9000 on are magic: see docs/reference/test-cards.md",
            )  # fmt: skip
    if mix.curve is not None:
        hours = [hour for hour, _ in mix.curve.points]
        if len(hours) < 2 or hours != sorted(set(hours)) or hours[0] != 0 or hours[-1] != 24:
            raise SettingsError("[curve] points rise from hour 0 to hour 24", file=file)


def share_at(curve: Curve, second: float) -> float | None:
    """Share of the peak at a second of the run; None when the day is over."""
    if second >= curve.seconds:
        return None
    hour = 24 * second / curve.seconds
    points = curve.points
    (low, before), (high, after) = next(
        pair for pair in itertools.pairwise(points) if hour <= pair[1][0]
    )
    return before + (after - before) * (hour - low) / (high - low)
