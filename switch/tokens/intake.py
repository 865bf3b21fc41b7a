"""Files of tokens to be made: CSV with a head line, or one JSON object a line, with the same keys.

Keys: pan, card_expiry (both needed), card_sequence, par, requestor, token, token_expiry,
token_sequence, assurance, medium, suspended, and those of a domain. A message names the line and
the key, never a value.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TextIO

import msgspec

from switch.errors import TokenError
from switch.model.token import Domain, Medium
from switch.settings.nearest import suggest
from switch.tokens.domain import DOMAIN_FIELDS, domain_of
from switch.tokens.orders import ROWS_MAX, CardGiven, Provision

__all__ = ["FIELDS", "batches", "read_csv", "read_jsonl"]

NEEDED: Final = ("pan", "card_expiry")
FIELDS: Final = (
    *NEEDED, "card_sequence", "par", "requestor", "token", "token_expiry", "token_sequence",
    "assurance", "medium", "suspended", *DOMAIN_FIELDS,
)  # fmt: skip
LINE_CHARACTERS_MAX: Final = 4_096

Line = tuple[int, Provision]
_MEDIA: Final = {medium.name.lower(): medium for medium in Medium}


class _Maker:
    """Makes provisions of texts by key; equal domains are made once."""

    def __init__(self, defaults: Mapping[str, str]) -> None:
        self._defaults = dict(defaults)
        self._domains: dict[tuple[str, ...], Domain] = {}

    def make(self, fields: Mapping[str, str]) -> Provision:
        """Raises: TokenError."""
        every = self._defaults | {key: value for key, value in fields.items() if value}
        given = tuple(every.get(key, "") for key in DOMAIN_FIELDS)
        domain = self._domains.get(given)
        if domain is None:
            domain = domain_of(dict(zip(DOMAIN_FIELDS, given, strict=True)))
            if len(self._domains) < ROWS_MAX:
                self._domains[given] = domain
        get = every.get
        medium = get("medium") or "secure_element"
        if medium not in _MEDIA:
            raise TokenError("there is no such medium", help=suggest(medium, list(_MEDIA)))
        suspended = get("suspended", "no").lower()
        if suspended not in {"yes", "no", "true", "false", "1", "0"}:
            raise TokenError("suspended is not yes or no")
        return Provision(
            card=CardGiven(
                pan=get("pan", ""),
                expiry=get("card_expiry", ""),
                sequence=_small(get("card_sequence", ""), "card_sequence"),
                par=get("par", ""),
            ),
            requestor=get("requestor", ""),
            token=get("token", ""),
            token_expiry=get("token_expiry", ""),
            token_sequence=_small(get("token_sequence", ""), "token_sequence", 1) or 0,
            assurance=get("assurance") or "00",
            medium=_MEDIA[medium],
            domain=domain,
            suspended=suspended in {"yes", "true", "1"},
        )


def read_csv(stream: TextIO, defaults: Mapping[str, str]) -> Iterator[Line]:
    """(line, provision) of each line behind the head. Raises: TokenError."""
    reader = csv.reader(_bounded(stream), strict=True)
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        _refuse_unknown(head, 1)
        if missing := [key for key in NEEDED if key not in head]:
            raise TokenError(f"line 1: the column {missing[0]} is missing")
        maker = _Maker(defaults)
        for values in reader:
            if not values:
                continue
            if len(values) != len(head):
                raise TokenError(
                    f"line {reader.line_num}: {len(values)} values under {len(head)} columns"
                )
            yield (
                reader.line_num,
                _made(maker, dict(zip(head, values, strict=True)), reader.line_num),
            )
    except csv.Error:
        raise TokenError(f"line {reader.line_num}: this is no CSV") from None


def read_jsonl(stream: TextIO, defaults: Mapping[str, str]) -> Iterator[Line]:
    """(line, provision) of each line. Raises: TokenError."""
    maker = _Maker(defaults)
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(_bounded(stream), 1):
        if not line.strip():
            continue
        try:
            found = decoder.decode(line)
        except msgspec.MsgspecError:
            raise TokenError(f"line {number}: this is no JSON object") from None
        _refuse_unknown(found, number)
        texts = {key: _text(value, key, number) for key, value in found.items()}
        yield number, _made(maker, texts, number)


def batches(lines: Iterable[Line], size: int = ROWS_MAX) -> Iterator[list[Line]]:
    """In parts of `size`."""
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _made(maker: _Maker, fields: Mapping[str, str], number: int) -> Provision:
    try:
        return maker.make(fields)
    except TokenError as error:
        raise TokenError(f"line {number}: {error.problem}", help=error.help) from None


def _bounded(stream: TextIO) -> Iterator[str]:
    """Lines; what is longer is no line of ours and must not fill the memory."""
    number = 0
    while True:
        try:
            line = stream.readline(LINE_CHARACTERS_MAX + 1)
        except UnicodeDecodeError:
            raise TokenError(f"line {number + 1}: this is not UTF-8") from None
        if not line:
            return
        number += 1
        if len(line) > LINE_CHARACTERS_MAX:
            raise TokenError(f"line {number}: longer than {LINE_CHARACTERS_MAX} characters")
        yield line


def _refuse_unknown(names: Iterable[str], number: int) -> None:
    for name in names:
        if name not in FIELDS:
            hint = suggest(name, list(FIELDS)) if name.isidentifier() else ""
            raise TokenError(
                f"line {number}: a column or key has a name that is not known", help=hint
            )


def _small(text: str, key: str, default: int | None = None) -> int | None:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 3):
        raise TokenError(f"{key} is no number")
    return int(text)


def _text(value: object, key: str, number: int) -> str:
    """A JSON value as a column of CSV would have it."""
    if isinstance(value, list):
        return " ".join(_text(one, key, number) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    if value is None:
        return ""
    raise TokenError(f"line {number}: {key} is neither text nor number")
