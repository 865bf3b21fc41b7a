"""Messages for people, and other readings of a dialect file; for tools, never on the walk."""

from typing import Any, final

from switch._native.codec import Dialect, Message

__all__ = [
    "Draft",
    "announced",
    "doubts",
    "framings",
    "header",
    "length",
    "lines",
    "not_bare",
    "same",
]

def lines(message: Message, bare: bool = False) -> list[dict[str, Any]]:
    """One row for the MTI, each field, sub-field and tag, in wire order: number, name, title_en, title_zh, value,
    offset and length of the value in the body, head (bytes of length prefix, or of tag and length, before it), raw
    (head and value as hexadecimal, two stars a hidden byte, the head alone where parts follow), parts (whether lines of
    sub-fields or tags follow), type, class, hidden.

    Values and bytes are masked by class. `bare` shows all; raises switch.errors.UsageError unless every account
    number is of the test range 6299xx and there is one.
    """

def not_bare(message: Message) -> str:
    """Why `lines` would refuse to show it bare, '' when it would not."""

def doubts(message: Message) -> list[tuple[int, str, str, str]]:
    """(field number, path, name, problem) of values that fit their type and are yet unlikely; quotes nothing above C1."""

def announced(dialect: Dialect, body: bytes) -> tuple[int, int, list[int]] | None:
    """Offsets of the bitmap and of the first field, and the fields announced; None when there is no MTI or bitmap."""

def same(left: Message, right: Message, name: str) -> bool:
    """Whether both, also of different dialects, carry the same value under a canonical name: neither has one, or they
    are equal in normal form. Raises switch.errors.UsageError when a dialect does not know the name."""

def framings() -> list[str]:
    """Names of all framings."""

def header(dialect: Dialect, preface: bytes) -> tuple[dict[str, str], str]:
    """Digits of TPDU and header by part (``tpdu.source``), and what is wrong with them, '' for nothing."""

def length(framing: str, data: bytes) -> tuple[int, int] | None:
    """(bytes of the length in front of `data`, bytes it says follow); None when those bytes are no such length.

    Raises switch.errors.UsageError for a framing that there is not.
    """

@final
class Draft:
    """A parsed dialect file."""

    def __new__(cls, text: str, source: str) -> Draft:
        """Raises switch.errors.DialectError: it is not TOML."""
    def vary(self, changes: dict[str, Any]) -> Dialect:
        """Compiles it with other values under dotted keys (None: without the key).

        Raises switch.errors.DialectError for what the changed file would be refused for.
        """
