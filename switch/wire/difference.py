"""Two messages, also of two dialects, compared by canonical name: what only one has, what both have
and differs. Values stay masked; equality of what is hidden is decided below."""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from switch.native import describe
from switch.wire import Message

__all__ = ["SCHEMA", "Difference", "difference"]

SCHEMA: Final = "tapswitch.diff/1"

State = Literal["same", "changed", "only-in-a", "only-in-b"]


class Difference(NamedTuple):
    """One name and what each side shows of it, '' where it is absent."""

    name: str
    title_en: str
    title_zh: str
    number_a: str
    number_b: str
    state: State
    a: str
    b: str


def difference(a: Message, b: Message) -> Iterator[Difference]:
    """Every name of either message, in the order of A, then what only B has.

    A field with parts is compared by them where both sides have parts, else as a whole.
    """
    left, right = _rows(a), _rows(b)
    split = _split(left, right)
    for name in [*left, *(name for name in right if name not in left)]:
        if ("." in name) != (name.partition(".")[0] in split):
            continue
        mine, other = left.get(name), right.get(name)
        row = mine or other
        assert row is not None
        yield Difference(
            name,
            row["title_en"],
            row["title_zh"],
            mine["number"] if mine else "",
            other["number"] if other else "",
            _state(a, b, name, mine, other),
            mine["value"] if mine else "",
            other["value"] if other else "",
        )


def _state(
    a: Message, b: Message, name: str, mine: dict[str, Any] | None, other: dict[str, Any] | None
) -> State:
    if other is None:
        return "only-in-a"
    if mine is None:
        return "only-in-b"
    return "same" if describe.same(a, b, name) else "changed"


def _rows(message: Message) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in describe.lines(message)}


def _split(left: dict[str, Any], right: dict[str, Any]) -> set[str]:
    """Fields that are compared by their parts."""
    sides = [{name.partition(".")[0] for name in rows if "." in name} for rows in (left, right)]
    return {
        field
        for field in sides[0] | sides[1]
        if all(
            field in side or field not in rows
            for side, rows in zip(sides, (left, right), strict=True)
        )
    }
