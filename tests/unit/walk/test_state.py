"""States that native and Python share have the same numbers on both sides."""

import re
from enum import IntEnum

import pytest

from switch.model.state import Cause, KeyState, ReversalEffect
from tests.support.tree import ROOT

SOURCE = (ROOT / "native/src/walk/state.rs").read_text()


@pytest.mark.parametrize("members", [KeyState, Cause, ReversalEffect])
def test_numbers_agree(members: type[IntEnum]) -> None:
    block = re.search(rf"pub enum {members.__name__} {{(.*?)\n}}", SOURCE, re.DOTALL)
    assert block
    native = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): int(number)
        for name, number in re.findall(r"(\w+) = (\d+),", block[1])
    }
    assert native == {member.name: member.value for member in members}
