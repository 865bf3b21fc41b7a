"""Issuers' card master keys: a sealed file beside the node's keys. All work with a key is native.

A key is named by its place: scheme, card range, derivation key index and usage; versions of one
place follow each other in a rotation (docs/decisions/0011-card-masters.md).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from switch.crypto.keyfile import Keys, secret
from switch.crypto.profiles import Option, Scheme
from switch.errors import KeyFileError
from switch.native import emv

__all__ = [
    "DEMO_INDEX",
    "DEMO_INSTITUTION",
    "CardMasters",
    "MasterKey",
    "Place",
    "Usage",
    "add_master",
    "create_demo_masters",
    "key_source",
    "open_masters",
    "retire_master",
    "rows",
]

CardMasters = emv.CardMasters

DEMO_INSTITUTION: Final = "DEMO"
DEMO_INDEX: Final = 1
"""Derivation key index of demo masters."""


class Usage(StrEnum):
    """What a key may do. Only the first ever becomes a key that proves a tap."""

    CRYPTOGRAM = "cryptogram"
    SCRIPT_MAC = "script-mac"
    SCRIPT_SECRET = "script-secret"


class Place(msgspec.Struct, frozen=True):
    """Where a key belongs."""

    scheme: Scheme
    prefix: str
    """1 to 12 leading digits of the tokens or cards."""
    index: int
    """Derivation key index, 0 to 255, as tag 9F10 has it."""
    usage: Usage = Usage.CRYPTOGRAM

    @property
    def at(self) -> tuple[str, str, int, str]:
        """As native code takes it."""
        return (self.scheme.value, self.prefix, self.index, self.usage.value)


class MasterKey(msgspec.Struct, frozen=True):
    """All that is known of a key but the key."""

    institution: str
    scheme: Scheme
    prefix: str
    index: int
    version: int
    usage: Usage
    algorithm: str
    option: Option
    check_value: str
    added_s: int
    retired_s: int
    """Unix seconds; 0 while it is in use."""


def open_masters(file: str, keys: Keys) -> CardMasters:
    """Opens the file. Raises: KeyFileError."""
    return CardMasters.open(file, keys)


def rows(masters: CardMasters) -> list[MasterKey]:
    """Every key, retired ones included, in the order in which they were added."""
    return msgspec.convert(masters.rows(), list[MasterKey], strict=False)


def add_master(
    file: str,
    keys: Keys,
    place: Place,
    institution: str,
    option: Option,
    at_s: int,
    key: tuple[int, str],
    version: int = 0,
) -> int:
    """Enters a key read from a descriptor with its check value (six hexadecimal digits); 0 asks for
    the next version. Returns the version. Raises: KeyFileError."""
    descriptor, check_value = key
    _directory(file)
    return CardMasters.add(
        file,
        keys,
        place.at,
        institution,
        option.value,
        at_s,
        version=version,
        descriptor=descriptor,
        check_value=bytes.fromhex(check_value),
    )


def retire_master(
    file: str, keys: Keys, place: Place, version: int, at_s: int, *, last: bool = False
) -> None:
    """Takes a key out of use for good; only `last` allows that no key of the place is left.

    Raises: KeyFileError.
    """
    CardMasters.retire(file, keys, place.at, version, at_s, last=last)


def create_demo_masters(file: str, keys: Keys, prefixes: Iterable[str], at_s: int) -> None:
    """Random masters of every scheme for these ranges, in a new file.

    Raises: KeyFileError when the keys are no demo keys, or the file exists.
    """
    if not keys.demo:
        raise KeyFileError(
            "there are no card master keys, and none are made for real keys",
            file=file,
            help="tapswitch keys card-master add",
        )
    if Path(file).exists():
        raise KeyFileError("the file exists already", file=file)
    _directory(file)
    for prefix in prefixes:
        for scheme in Scheme:
            at = Place(scheme, prefix, DEMO_INDEX).at
            CardMasters.add(file, keys, at, DEMO_INSTITUTION, Option.A.value, at_s)


@contextmanager
def key_source(name: str) -> Iterator[int]:
    """A descriptor of a card master key: the path of a private file, or ``fd:N``.

    Raises: KeyFileError when the file is absent, a link, somebody else's, or open to others.
    """
    with secret(name, "card master key", again=False) as descriptor:
        yield descriptor


def _directory(file: str) -> None:
    Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
