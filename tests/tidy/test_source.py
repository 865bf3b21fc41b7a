"""Style worth having is a test: sizes, banned calls, places, skips."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.tree import text_of, tracked

pytestmark = pytest.mark.tidy

FUNCTION_LINES_MAX: Final = 60
FILE_LINES_MAX: Final = 600

PYTHON: Final = [path for path in tracked() if path.suffix == ".py"]
OURS: Final = [path for path in PYTHON if path.parts[0] == "switch"]
RUST: Final = [path for path in tracked() if path.suffix == ".rs"]
CELLAR: Final = [path for path in RUST if path.parts[:2] == ("native", "src")]
CELLAR_TESTS: Final = {"tests.rs", "testing.rs"}


def without_tests(path: Path) -> str:
    """Rust source up to its module of tests; '' for a file of tests."""
    if path.name in CELLAR_TESTS:
        return ""
    return re.split(r"^#\[cfg\(test\)\]$", text_of(path), maxsplit=1, flags=re.MULTILINE)[0]


def test_python_functions_fit_a_screen() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in OURS
        for node in ast.walk(ast.parse(text_of(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_rust_functions_fit_a_screen() -> None:
    """rustfmt puts the closing brace of a function under its first letter."""
    long = []
    for path in CELLAR:
        opened: tuple[int, str, str] | None = None
        for number, line in enumerate(without_tests(path).splitlines(), 1):
            start = re.match(r"( *)(?:pub(?:\(\w+\))? )?(?:const )?(?:unsafe )?fn (\w+)", line)
            if start and not line.rstrip().endswith(("}", ";")):
                opened = (number, start[1], start[2])
            elif opened and line == opened[1] + "}":
                if number - opened[0] >= FUNCTION_LINES_MAX:
                    long.append(f"{path}:{opened[0]} {opened[2]}: {number - opened[0] + 1} lines")
                opened = None
    assert long == []


def test_files_can_be_read_in_one_go() -> None:
    sizes = {path: len(text_of(path).splitlines()) for path in OURS}
    sizes |= {path: len(without_tests(path).splitlines()) for path in CELLAR}
    assert {str(p): n for p, n in sizes.items() if n > FILE_LINES_MAX} == {}


def test_unsafe_code_lives_in_one_file() -> None:
    places = [
        f"{path}:{number}"
        for path in CELLAR
        if path.name != "buf.rs"
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if re.search(r"\bunsafe\b", line.partition("//")[0])
    ]
    assert places == []


def test_only_simulators_and_tests_reveal_a_field() -> None:
    allowed = {"sim", "client", "simulation"}
    places = [
        f"{path}:{number}"
        for path in OURS
        if path.parts[1] not in allowed
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if ".reveal(" in line
    ]
    assert places == []


def test_nothing_names_a_place_of_one_machine() -> None:
    places = re.compile(
        r"(?<![\w.$])/(work|root|home|opt/wheels)/|files\.pythonhosted|pypi\.org/simple"
        r"|registry\.npmjs|static\.crates\.io|deb\.debian\.org"
    )
    own = Path("tests/tidy/test_source.py")
    hits = [
        f"{path}:{number}: {line.strip()[:80]}"
        for path in tracked()
        if path != own
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if places.search(line)
    ]
    assert hits == []


def test_no_test_is_switched_off() -> None:
    """What a machine lacks goes through tests/support/debian.py, which CI turns into a failure."""
    off = re.compile(r"pytest\.(skip|xfail|importorskip)\b|mark\.(skip|skipif|xfail)\b|#\[ignore")
    exempt = {Path("tests/support/debian.py"), Path("tests/tidy/test_source.py")}
    hits = [
        f"{path}:{number}"
        for path in [*PYTHON, *RUST]
        if path not in exempt
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if off.search(line)
    ]
    assert hits == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path) for path in OURS if not ast.get_docstring(ast.parse(text_of(path)))]
    assert silent == []


def test_every_room_of_native_says_what_it_is_for() -> None:
    assert [str(path) for path in CELLAR if not text_of(path).startswith("//!")] == []
