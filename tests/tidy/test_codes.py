"""One registry of codes: all that the switch can say is in it, and nothing that it never says.

A code that is missing here wants an entry in switch/codes.toml, then scripts/generate.
"""

import re
from typing import Final

import pytest

from scripts.codes_page import PAGES
from switch.errors import REGISTRY
from switch.model import end
from switch.model import response as ours
from switch.native import codec
from switch.observe.codes import Code, codes
from tests.support.tree import ROOT, text_of, tracked

pytestmark = pytest.mark.tidy

BY_KIND: Final = {
    kind: [code for code in codes() if code.kind == kind]
    for kind in ("class", "end", "rule", "response")
}
SOURCES: Final = [p for p in tracked() if p.parts[0] == "switch" and p.suffix == ".py"]
NATIVE: Final = [p for p in tracked() if p.parts[:2] == ("native", "src") and p.suffix == ".rs"]


def names(kind: str) -> set[str]:
    return {code.code for code in BY_KIND[kind]}


def test_every_class_of_errors_is_explained() -> None:
    assert names("class") == set(REGISTRY)


def test_every_class_of_errors_is_raised_or_the_base_of_one_that_is() -> None:
    text = "\n".join(text_of(path) for path in [*SOURCES, *NATIVE])
    bases = {base for found in REGISTRY.values() for base in found.__mro__[1:]}
    silent = {
        found.__name__
        for found in REGISTRY.values()
        if found not in bases
        and not re.search(rf"raise {found.__name__}\b|\"{found.__name__}\"", text)
        and not re.search(rf"(?:return|error =|= ) ?{found.__name__}\(", text)
    }
    assert silent == set()


def test_every_end_code_is_explained_with_its_money() -> None:
    assert [code.code for code in BY_KIND["end"]] != []
    assert names("end") == set(end.ALL)
    assert [c.code for c in BY_KIND["end"] if not (c.money and c.money_zh)] == []


def test_every_rule_of_check_and_verify_is_explained_and_used() -> None:
    files = [
        ROOT / "switch/settings/check.py",
        *sorted((ROOT / "switch/control").glob("check*.py")),
    ]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    checked = set(
        re.findall(
            r'(?:_error|_warning|_from_error)\(\s*"(\w+)"|Finding\(\s*"\w+",\s*"(\w+)"', text
        )
    )
    judges = [ROOT / "native/src/journal/rules.rs"]
    judges += sorted((ROOT / "native/src/journal/rules").glob("*.rs"))
    verified = set(
        re.findall(
            r'"(walk\.\d+|structure)"', "\n".join(file.read_text("utf-8") for file in judges)
        )
    )
    said = {name for pair in checked for name in pair if name} | verified
    assert said == names("rule")
    assert {c.code for c in BY_KIND["rule"] if c.of == "verify"} == verified


def test_response_codes_are_those_of_the_dialects_and_ours() -> None:
    listed: set[str] = set()
    for file in (ROOT / "config" / "dialects").glob("*.toml"):
        values, _ = codec.parse_toml(file.read_text(encoding="utf-8"))
        for meaning, found in values.get("response_codes", {}).items():
            listed |= set(found) if isinstance(found, list) and meaning != "final" else set()
    own = {value for name in ours.__all__ if isinstance(value := getattr(ours, name), str)}
    assert names("response") == listed | own


def test_every_text_exists_in_both_languages() -> None:
    def whole(code: Code) -> bool:
        pairs = [
            (code.title, code.title_zh),
            (code.cause, code.cause_zh),
            (code.money, code.money_zh),
            (code.fix, code.fix_zh),
        ]
        return all(bool(a) == bool(b) for a, b in pairs)

    assert [code.code for code in codes() if not whole(code)] == []
    assert all(re.search(r"[\u4e00-\u9fff]", code.title_zh) for code in codes())
    assert all(code.cause and code.fix for code in codes() if code.kind != "response")


def test_no_code_stands_twice() -> None:
    assert len({(code.kind, code.code) for code in codes()}) == len(codes())


def test_since_is_a_version_that_there_was() -> None:
    values, _ = codec.parse_toml((ROOT / "pyproject.toml").read_text("utf-8"))
    version = values["project"]["version"]
    highest = [int(part) for part in version.split(".")]
    assert all([int(part) for part in code.since.split(".")] <= highest for code in codes())


@pytest.mark.parametrize("path", sorted(PAGES))
def test_pages_of_codes_are_those_of_the_registry(path: str) -> None:
    committed = (ROOT / path).read_text(encoding="utf-8")
    assert committed == PAGES[path](), "run .venv/bin/python scripts/generate"
