"""A small language over the outcome of a transaction: ``issuer == BANK01 and code != "00"``.

Comparisons (``== != < > <= >= in``) joined by ``and``, ``or``, ``not`` and parentheses. A value is
a number, a word, or text in quotes; a field that is true or false stands alone. Compiled once into
closures over known fields: nothing is evaluated as Python, and what it may cost is bounded by its
length.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from switch.settings.nearest import suggest

__all__ = ["ALIASES", "FIELDS", "LENGTH_MAX", "Where", "WhereError", "compile_where"]

Where = Callable[[Mapping[str, Any]], bool]

LENGTH_MAX: Final = 2_000
DEPTH_MAX: Final = 32

FIELDS: Final[Mapping[str, type]] = {
    "id": str,
    "kind": str,
    "acquirer": str,
    "issuer": str,
    "code": str,
    "bank_code": str,
    "end": str,
    "outcome": str,
    "cause": str,
    "reason": str,
    "amount_minor": int,
    "currency": str,
    "terminal_id": str,
    "merchant_id": str,
    "mcc": str,
    "entry_mode": str,
    "stan": str,
    "rrn": str,
    "route_digits": int,
    "config": str,
    "token": bool,
    "bank_ms": float,
    "ours_us": float,
}
"""Name to type. `token` is true for a tap; a time that is not known makes each comparison false."""

ALIASES: Final[Mapping[str, str]] = {
    "rc": "code",
    "amount": "amount_minor",
    "terminal": "terminal_id",
    "merchant": "merchant_id",
    "tap": "token",
}

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<op>==|!=|<=|>=|<|>|\(|\)|,)"""
    r"""|(?P<word>[A-Za-z0-9_.*+-]+|-+))"""
)
_WORDS: Final = frozenset({"and", "or", "not", "in"})
_TRUE: Final = {"true": True, "yes": True, "false": False, "no": False}


class WhereError(ValueError):
    """The expression is wrong at a place; `help` says how to mend it."""

    def __init__(self, problem: str, text: str, at: int, length: int, mend: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.text = text
        self.at = at
        self.length = max(1, length)
        self.help = mend

    def shown(self) -> str:
        """Problem, the expression, and a caret under the place."""
        lines = [self.problem, f"  {self.text}", "  " + " " * self.at + "^" * self.length]
        if self.help:
            lines[-1] += f" {self.help}"
        return "\n".join(lines)


class _Token(NamedTuple):
    kind: str
    """text, op, word, or end."""
    value: str
    at: int
    length: int


def compile_where(text: str) -> Where:
    """A predicate over an outcome as a mapping of `FIELDS`. Raises: WhereError."""
    if len(text) > LENGTH_MAX:
        raise WhereError(f"longer than {LENGTH_MAX} characters", text[:60], 0, 60)
    return _Parser(text).whole()


class _Parser:
    """Recursive descent; one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._place = 0
        self._depth = 0

    def whole(self) -> Where:
        found = self._either()
        token = self._peek()
        if token.kind != "end":
            raise self._wrong("expected `and`, `or` or the end here", token)
        return found

    def _either(self) -> Where:
        parts = [self._both()]
        while self._took("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _both(self) -> Where:
        parts = [self._one()]
        while self._took("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _one(self) -> Where:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._wrong(f"nested deeper than {DEPTH_MAX}", self._peek())
        try:
            if self._took("not"):
                inner = self._one()
                return lambda row: not inner(row)
            if self._took("("):
                inner = self._either()
                if not self._took(")"):
                    raise self._wrong("a parenthesis is not closed", self._peek())
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Where:
        token = self._next()
        if token.kind != "word" or token.value in _WORDS:
            raise self._wrong("expected a field here", token, f"fields: {', '.join(FIELDS)}")
        name = ALIASES.get(token.value, token.value)
        kind = FIELDS.get(name)
        if kind is None:
            known = [*FIELDS, *ALIASES]
            raise self._wrong(f'no field "{token.value}"', token, suggest(token.value, known))
        negated = self._peek().value == "not" and self._ahead(1).value == "in"
        if negated:
            self._next()
        if self._took("in"):
            values = self._list(kind)
            if negated:
                return lambda row: row[name] is not None and row[name] not in values
            return lambda row: row[name] in values
        operator = self._peek()
        if operator.kind != "op" or operator.value in "(),":
            if kind is bool:
                return lambda row: bool(row[name])
            raise self._wrong(f'"{name}" needs a comparison', operator, "== != < > <= >= in")
        self._next()
        if operator.value not in {"==", "!="} and kind in {str, bool}:
            raise self._wrong(f'"{name}" has no order', operator, "only == != in")
        return _compare(name, operator.value, self._value(kind))

    def _list(self, kind: type) -> frozenset[Any]:
        if not self._took("("):
            raise self._wrong("a list in parentheses belongs here", self._peek(), 'in (00, "11")')
        values = [self._value(kind)]
        while self._took(","):
            values.append(self._value(kind))
        if not self._took(")"):
            raise self._wrong("a list is not closed", self._peek())
        return frozenset(values)

    def _value(self, kind: type) -> Any:
        token = self._next()
        if token.kind not in {"text", "word"} or (token.kind == "word" and token.value in _WORDS):
            raise self._wrong("expected a value here", token)
        value = token.value
        if kind is str:
            return value
        if kind is bool:
            if value.lower() not in _TRUE:
                raise self._wrong("expected true or false", token)
            return _TRUE[value.lower()]
        try:
            return float(value)
        except ValueError:
            raise self._wrong(f'"{value}" is no number', token) from None

    # -- tokens -----------------------------------------------------------------------------------

    def _ahead(self, count: int) -> _Token:
        return self._tokens[min(self._place + count, len(self._tokens) - 1)]

    def _peek(self) -> _Token:
        return self._ahead(0)

    def _next(self) -> _Token:
        token = self._peek()
        self._place += 1
        return token

    def _took(self, word: str) -> bool:
        token = self._peek()
        if token.kind in {"word", "op"} and token.value == word:
            self._place += 1
            return True
        return False

    def _wrong(self, problem: str, token: _Token, mend: str = "") -> WhereError:
        return WhereError(problem, self._text, token.at, token.length, mend)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            mend = "== compares" if text[start] == "=" else ""
            raise WhereError("this is not understood", text, start, 1, mend)
        kind = str(match.lastgroup)
        value, start = match[kind], match.start(kind)
        length = len(value)
        found.append(_Token(kind, value[1:-1] if kind == "text" else value, start, length))
        at = match.end()
    return [*found, _Token("end", "", end, 1)]


def _compare(name: str, operator: str, value: Any) -> Where:
    match operator:
        case "==":
            return lambda row: row[name] == value
        case "!=":
            return lambda row: row[name] is not None and row[name] != value
        case "<":
            return lambda row: row[name] is not None and row[name] < value
        case ">":
            return lambda row: row[name] is not None and row[name] > value
        case "<=":
            return lambda row: row[name] is not None and row[name] <= value
        case _:
            return lambda row: row[name] is not None and row[name] >= value
