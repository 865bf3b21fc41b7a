"""The locked requirements: hashes for all, no addresses, and what pyproject.toml asks for."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from switch.native import codec
from tests.support.tree import text_of

pytestmark = pytest.mark.tidy

LOCKED: Final = ("dev.txt", "load.txt", "runtime.txt", "uv.txt")
PROJECT: Final[dict[str, Any]] = codec.parse_toml(text_of(Path("pyproject.toml")))[0]["project"]


def locked(name: str) -> dict[str, str]:
    """Package to version."""
    text = text_of(Path("requirements") / name)
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ \\;]+)", text, flags=re.MULTILINE))


def asked(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in requirements}


@pytest.mark.parametrize("name", LOCKED)
def test_every_package_has_hashes_and_no_line_an_address(name: str) -> None:
    text = text_of(Path("requirements") / name)
    assert "://" not in text
    assert not re.search(r"^--", text, flags=re.MULTILINE)
    entries = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked(name)) > 0
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_locked_packages_are_those_that_are_asked_for() -> None:
    extras = PROJECT["optional-dependencies"]
    runtime = asked(PROJECT["dependencies"])
    assert runtime <= set(locked("runtime.txt"))
    assert runtime | asked(extras["dev"]) <= set(locked("dev.txt"))
    assert runtime | asked(extras["load"]) <= set(locked("load.txt"))


def test_one_version_of_a_package_everywhere() -> None:
    dev = locked("dev.txt")
    for name in ("runtime.txt", "load.txt"):
        differing = {p: v for p, v in locked(name).items() if dev.get(p, v) != v}
        assert differing == {}


def test_lock_of_uv_itself_stays_out() -> None:
    assert "/uv.lock" in text_of(Path(".gitignore")).splitlines()
