"""Error codes are stable words: unique, each with a class, none used that has none."""

import re

import pytest

from switch.errors import REGISTRY, TapswitchError
from tests.support.tree import text_of, tracked

pytestmark = pytest.mark.tidy

CODE = re.compile(r"\bTSW-[A-Z]\d{4}\b")
FAMILIES = {"P": "PeerError", "U": "UsageError", "O": "OperatorError", "S": "StorageError"}


def subclasses(base: type[TapswitchError]) -> list[type[TapswitchError]]:
    return [found for sub in base.__subclasses__() for found in (sub, *subclasses(sub))]


def test_every_class_has_a_code_of_its_own() -> None:
    classes = [c for c in subclasses(TapswitchError) if c.__module__ == "switch.errors"]
    codes = [c.code for c in classes]
    assert len(set(codes)) == len(codes)
    assert all(CODE.fullmatch(code) for code in codes)
    assert {c.code: c for c in classes}.items() <= REGISTRY.items()


def test_letter_of_a_code_is_its_family() -> None:
    for code, found in REGISTRY.items():
        family = FAMILIES.get(code[4])
        if family:
            assert family in [base.__name__ for base in found.__mro__], code


def test_taken_code_refuses_to_import() -> None:
    with pytest.raises(TypeError, match="TSW-P0101 is taken by FramingError"):
        type("Second", (TapswitchError,), {"code": "TSW-P0101"})
    assert REGISTRY["TSW-P0101"].__name__ == "FramingError"


def test_every_code_in_the_tree_has_a_class() -> None:
    unknown = {
        f"{path}: {code}"
        for path in tracked()
        if path.suffix in {".py", ".pyi", ".rs", ".md", ".toml"}
        for code in CODE.findall(text_of(path))
        if code not in REGISTRY
    }
    assert unknown == set()


def test_exit_codes_are_those_of_the_command_contract() -> None:
    assert {error.exit_code for error in REGISTRY.values()} <= {1, 2, 3, 4, 5, 6}
