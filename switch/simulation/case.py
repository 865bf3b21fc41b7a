"""Cases: what names a run, and worlds kept as data in a file of TOML.

A seed names a world as long as nobody touches what is drawn. A kept case names it for good: its
shape, its transactions and every fault that strikes stand in the file, with the rule that they
broke and the commit at which they did. The file has a version; fields that are added later have
defaults.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.errors import OperatorError, TapswitchError
from switch.native import codec, hook
from switch.simulation.crowd import crowded
from switch.simulation.plan import FAULTS, MIDDLE, MOMENTS_AIMED, ORDERS, Aim, Plan, draw
from switch.simulation.script import KINDS

__all__ = ["FORMAT", "KEPT", "Case", "Kept", "keep", "kept_in", "plan_of", "text_of"]

FORMAT: Final = 1
TRANSACTIONS: Final = 340
KEPT: Final = frozenset({"", "keep_all", "keep_none"})
"""What a disk keeps of what was not synced when its power is cut."""


class Case(msgspec.Struct, frozen=True):
    """What names a run: a seed and what was taken away from its world, or the world itself."""

    seed: int
    transactions: int = TRANSACTIONS
    without: tuple[str, ...] = ()
    """Faults that do not happen; ``aim:0`` is the first aimed cut."""
    mutant: str = ""
    plan: Plan | None = None
    """All of it, drawn or shrunk before."""

    def words(self, file: str = "") -> str:
        """The options of `tapswitch simulate` that replay it; a case with a plan is in `file`."""
        if self.plan is not None:
            words = [f"--case {file}"]
        else:
            words = [f"--seed {self.seed}"]
            if self.transactions != TRANSACTIONS:
                words.append(f"--transactions {self.transactions}")
            words += [f"--without {name}" for name in self.without]
        if self.mutant:
            words.append(f"--mutant {self.mutant}")
        return " ".join(words)


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A world that broke a rule once."""

    name: str
    why: str = ""
    rule: str
    text: str = ""
    """What was said of it then."""
    seed: int
    commit: str
    journal: str = ""
    """Hash of its journal then."""
    mutant: str = ""
    """The defect that brings the failure back: proof that the case still bites."""
    world: Plan

    def case(self, *, mutant: str = "") -> Case:
        """To be run, with a defect or without."""
        return Case(self.seed, self.world.transactions, (), mutant, self.world)


def plan_of(case: Case) -> Plan:
    """The plan that a case names."""
    if case.plan is not None:
        return case.plan.without(mutant=case.mutant)
    points = tuple(point for point, _ in hook.points())
    plan = crowded(draw(case.seed, case.transactions, points))
    faults = {name: share for name, share in plan.faults.items() if name not in case.without}
    aims: tuple[Aim, ...] = tuple(
        aim for place, aim in enumerate(plan.aims) if f"aim:{place}" not in case.without
    )
    return plan.without(faults=faults, aims=aims, mutant=case.mutant)


# -- files ----------------------------------------------------------------------------------------


def kept_in(file: Path) -> list[Kept]:
    """The cases of a file. Raises: OperatorError, with what is wrong and where."""
    try:
        rows = codec.parse_toml(file.read_text(encoding="utf-8"))[0]
    except (OSError, TapswitchError) as error:
        raise OperatorError(f"{file}: {error}", help="a file of `tapswitch simulate`") from error
    if rows.get("format") != FORMAT:
        raise OperatorError(
            f"{file}: format {rows.get('format')!r}, this version reads {FORMAT}",
            help="check out the commit that the case names, or a version that reads its format",
        )
    found = []
    for place, row in enumerate(rows.get("case", []), 1):
        name = row.get("name", f"case {place}")
        try:
            kept = msgspec.convert(row, Kept)
        except msgspec.ValidationError as error:
            raise OperatorError(
                f"{file}: {name}: {error}", help="a case has the fields of switch.simulation.plan"
            ) from error
        wrong = next(_unknown(kept.world), "")
        if wrong:
            raise OperatorError(
                f"{file}: {name}: {wrong}",
                help="it was renamed: write the name that it has now, or the case proves nothing",
            )
        found.append(kept)
    if not found:
        raise OperatorError(f"{file} has no [[case]]", help="`tapswitch simulate` writes them")
    return found


def _unknown(plan: Plan) -> Iterator[str]:
    """Names in a plan that the simulation does not know any more."""
    points = {point for point, _ in hook.points()}
    for aim in plan.aims:
        if aim.at not in MOMENTS_AIMED and aim.at.partition(":")[0] not in points:
            yield f"no moment and no crash point {aim.at!r}"
    for one in plan.choices or ():
        if one.what not in FAULTS + ORDERS and one.what not in KEPT:
            yield f"no fault {one.what!r}"
    for script in plan.script or ():
        if script.kind not in KINDS:
            yield f"no kind of transaction {script.kind!r}"
        for name in script.faults:
            if name not in FAULTS:
                yield f"no fault {name!r}"


def keep(file: Path, kept: Kept) -> None:
    """Adds a case to a file, which is made when it is not there. Raises: OperatorError."""
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                f"# Worlds that broke a rule: `tapswitch simulate --case {file.name}` replays"
                f" them.\nformat = {FORMAT}\n",
                encoding="utf-8",
            )
        with file.open("a", encoding="utf-8") as stream:
            stream.write("\n" + text_of(kept))
    except OSError as error:
        raise OperatorError(f"{file}: {error.strerror}", help="name another file") from error


def text_of(kept: Kept) -> str:
    """A case as it stands in a file: a fault a line, so that people can read and shorten it."""
    row: dict[str, Any] = {
        name: value
        for name, value in msgspec.to_builtins(kept).items()
        if name != "world" and value != ""
    }
    lines = ["[[case]]", *(f"{name} = {_value(value)}" for name, value in row.items())]
    lines.append("[case.world]")
    world = msgspec.to_builtins(kept.world)
    world.pop("mutant", None)
    for script in world.get("script") or ():
        if tuple(script.get("at", ())) == MIDDLE:
            del script["at"]
    for name, value in world.items():
        if isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            rows = "".join(f"    {_value(one)},\n" for one in value)
            lines.append(f"{name} = [\n{rows}]")
        else:
            lines.append(f"{name} = {_value(value)}")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """As TOML. Text is escaped as in JSON, whose escapes TOML knows."""
    if isinstance(value, dict) and value:
        return "{ " + ", ".join(f"{name} = {_value(one)}" for name, one in value.items()) + " }"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)
