"""The registry of codes: what each means, what it does to the money, who acts.

`switch/codes.toml` is the one source: `tapswitch explain`, the lines of `tapswitch trace` and the
pages of docs/reference come from it. Offline, and quick: nothing else of the switch is loaded.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from switch.model.end import RETIRED
from switch.native import codec
from switch.settings.nearest import nearest

__all__ = ["KINDS", "LANGUAGES", "Code", "Language", "codes", "explain", "suggestion", "title_of"]

FILE: Final = Path(__file__).resolve().parent.parent / "codes.toml"

Kind = Literal["class", "end", "rule", "response"]
Severity = Literal["info", "notice", "warning", "error", "critical"]
Language = Literal["en", "zh"]

KINDS: Final[dict[str, tuple[str, str]]] = {
    "class": ("error", "错误"),
    "end": ("end code", "结束码"),
    "rule": ("rule", "规则"),
    "response": ("response code", "应答码"),
}
"""Kind to its words in English and Chinese."""
LANGUAGES: Final = ("en", "zh")


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry. Texts exist in both languages or not at all."""

    kind: Kind
    code: str
    severity: Severity
    since: str
    title: str
    title_zh: str
    of: str = ""
    """Of a rule: the command that says it."""
    cause: str = ""
    cause_zh: str = ""
    money: str = ""
    """Of an end code: what it means for the money."""
    money_zh: str = ""
    fix: str = ""
    """What to do; of an end code: who acts."""
    fix_zh: str = ""

    def text(self, name: str, language: Language) -> str:
        """``title``, ``cause``, ``money`` or ``fix`` in a language."""
        return str(getattr(self, name if language == "en" else f"{name}_zh"))


@cache
def codes() -> tuple[Code, ...]:
    """All of them, in the order of the file."""
    tables: dict[str, list[dict[str, Any]]]
    tables, _ = codec.parse_toml(FILE.read_text(encoding="utf-8"))
    rows = [{"kind": kind, **row} for kind, table in tables.items() for row in table]
    return tuple(msgspec.convert(rows, list[Code]))


def explain(asked: str) -> list[Code]:
    """What a word may stand for: a code in any case, without its prefix, or one that was retired.
    Two letters or digits may be more than one kind of code; empty when it is none."""
    wanted = RETIRED.get(asked.upper(), asked).upper()
    return [code for code in codes() if wanted in _spellings(code)]


def suggestion(asked: str) -> str:
    """The code that was probably meant, empty when none is near."""
    known = {spelling: code.code for code in codes() for spelling in _spellings(code)}
    return known.get(nearest(asked.upper(), known), "")


def title_of(kind: Kind, code: str, language: Language = "en") -> str:
    """Its one line of meaning, empty for a code that the registry does not have."""
    wanted = RETIRED.get(code, code) if kind == "end" else code
    return _titles(language).get((kind, wanted), "")


@cache
def _titles(language: Language) -> dict[tuple[str, str], str]:
    return {(code.kind, code.code): code.text("title", language) for code in codes()}


def _spellings(code: Code) -> Iterable[str]:
    upper = code.code.upper()
    if code.kind == "class":
        return upper, upper.removeprefix("TSW-")
    if code.code == "--":
        return upper, "ANSWERED"
    return (upper,)
