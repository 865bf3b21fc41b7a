"""Keys that hosts share: a sealed file beside the node's keys. All work with a key is native.

A key is named; its versions follow each other in a rotation, two of them in use for a moment. What
it is for is part of it: message codes of a link, or bringing master keys of terminals.
"""

from enum import StrEnum
from pathlib import Path

import msgspec

from switch.crypto.keyfile import Keys
from switch.errors import KeyFileError
from switch.native import mac

__all__ = [
    "Cipher",
    "Components",
    "Guard",
    "LinkKey",
    "LinkKeys",
    "Parameters",
    "Usage",
    "add_link_key",
    "link_guard",
    "link_rows",
    "open_link_keys",
    "retire_link_key",
]

Components = mac.Components
Guard = mac.Guard
LinkKeys = mac.LinkKeys


class Usage(StrEnum):
    """What a key may do."""

    MAC = "mac"
    TRANSPORT = "transport"


class Cipher(StrEnum):
    """The block cipher of a key."""

    DES = "des"
    TDES = "3des"
    SM4 = "sm4"


class LinkKey(msgspec.Struct, frozen=True):
    """All that is known of a key but the key."""

    name: str
    version: int
    usage: Usage
    cipher: Cipher
    check_value: str
    added_s: int
    retired_s: int
    """Unix seconds; 0 while it is in use."""


class Parameters(msgspec.Struct, frozen=True):
    """How a link makes codes, in the words of its settings."""

    algorithm: str
    cipher: str
    chain: str
    form: str
    code_bytes: int

    def strategy(self) -> mac.Strategy:
        """Raises: UsageError when they do not fit each other."""
        return mac.Strategy(self.algorithm, self.cipher, self.chain, self.form, self.code_bytes)


def open_link_keys(file: str, keys: Keys) -> LinkKeys:
    """Opens the file. Raises: KeyFileError."""
    return LinkKeys.open(file, keys)


def link_rows(opened: LinkKeys) -> list[LinkKey]:
    """Every key, retired ones included, by name and version."""
    return msgspec.convert(opened.rows(), list[LinkKey], strict=False)


def link_guard(parameters: Parameters, opened: LinkKeys, name: str) -> Guard:
    """The guard of a link whose codes are made with the keys of this name; both of a rotation
    prove.

    Raises: KeyFileError when there is no such key for message codes, or one of another cipher.
    """
    if not any(row.name == name and not row.retired_s for row in link_rows(opened)):
        raise KeyFileError(
            f'there is no key "{name}" in use', help=f"tapswitch keys link add {name}"
        )
    found = opened.of(name, Usage.MAC)
    if not found or any(key.cipher != parameters.cipher for key in found):
        raise KeyFileError(
            f'the key "{name}" is not for message codes in {parameters.cipher}',
            help="tapswitch keys link list shows what it is for",
        )
    return Guard.of_link(parameters.strategy(), found)


def add_link_key(
    file: str,
    keys: Keys,
    name: str,
    usage: Usage,
    components: Components,
    at_s: int,
    check_value: str | None = None,
) -> int:
    """Enters a key; returns its version. Raises: KeyFileError."""
    Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return LinkKeys.add(file, keys, name, usage.value, components, at_s, check_value)


def retire_link_key(
    file: str, keys: Keys, name: str, version: int, at_s: int, *, last: bool = False
) -> None:
    """Takes a key out of use for good. Raises: KeyFileError."""
    LinkKeys.retire(file, keys, name, version, at_s, last=last)
