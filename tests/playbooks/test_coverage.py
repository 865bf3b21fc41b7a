"""All plays together walk every cell of the engine's table."""

import importlib
from collections.abc import Callable
from pathlib import Path

from switch.engine.states import IMPOSSIBLE, TABLE
from tests.support.playbook import Play


def _stories() -> list[Callable[[], None]]:
    here = Path(__file__)
    modules = [
        importlib.import_module(f"tests.playbooks.{path.stem}")
        for path in sorted(here.parent.glob("test_*.py"))
        if path != here
    ]
    return [
        value
        for module in modules
        for name, value in sorted(vars(module).items())
        if name.startswith("test_") and callable(value)
    ]


def test_every_cell_that_is_not_impossible_is_walked_by_a_play() -> None:
    with Play.collected() as walked:
        for story in _stories():
            story()
    wanted = {
        (state, event)
        for state, row in TABLE.items()
        for event, cell in row.items()
        if cell is not IMPOSSIBLE
    }
    missing = sorted(f"{state.name} x {event.name}" for state, event in wanted - walked)
    assert not missing
    assert walked == wanted
