"""Message authentication codes of links. See native/src/mac."""

from collections.abc import Sequence
from typing import Any, Final, final

from switch._native.journal import Keys
from switch._native.terminal import Terminals

__all__ = ["RESULTS", "Components", "Guard", "Key", "LinkKeys", "Strategy"]

RESULTS: Final[tuple[str, ...]]
"""Results that a guard counts."""

@final
class Guard:
    """Proves what comes in on a link, and seals what goes out on it."""

    @staticmethod
    def of_link(strategy: Strategy, keys: Sequence[Key]) -> Guard:
        """For a link whose two ends share a key: one, or two in a rotation, the newest first; the guard takes them.

        Raises switch.errors.UsageError for other numbers, keys of another cipher, and keys that a guard has.
        """
    @staticmethod
    def of_terminals(strategy: Strategy, terminals: Terminals, acquirer: str) -> Guard:
        """For the links of an acquirer whose terminals have keys of their own."""
    @property
    def counts(self) -> list[tuple[str, int]]:
        """How often each of `RESULTS` came."""

@final
class Key:
    """A key for message codes; native memory only, locked, wiped on drop."""

    @staticmethod
    def read(descriptor: int, cipher: str) -> Key:
        """Reads a key, binary or hexadecimal, from a file descriptor up to its end.

        `cipher` is ``"des"`` (8 bytes), ``"3des"`` or ``"sm4"`` (16 bytes). Raises switch.errors.KeyFileError for what is
        no such key, switch.errors.UsageError for another cipher.
        """
    @property
    def cipher(self) -> str: ...
    @property
    def check_value(self) -> str:
        """Eight hexadecimal digits: the head of an encrypted block of zeros."""

@final
class Strategy:
    """How one link makes codes."""

    def __new__(cls, algorithm: str, cipher: str, chain: str, form: str, length: int) -> Strategy:
        """`algorithm` is ``"cup-ecb"``, ``"x9.9"`` or ``"x9.19"``; `chain` ``"xor"``, ``"cbc"`` or ``"retail"``; `form` with
        `length` ``"hex"`` and 8, or ``"binary"`` and 8 or 4. Raises switch.errors.UsageError for what does not fit together.
        """
    def code(self, key: Key, data: bytes) -> bytes:
        """The eight bytes of field 64 or 128 over `data`. Raises switch.errors.UsageError for a key of another cipher."""
    def proves(self, key: Key, data: bytes, given: bytes) -> bool:
        """Whether `given` is the code over `data`, in constant time."""

@final
class Components:
    """A key in parts, as two people bring it, combined by exclusive or; native memory only."""

    def __new__(cls, cipher: str) -> Components: ...
    def enter(self, descriptor: int) -> str:
        """Reads one part from a descriptor, as `Key.read` does; the part's own check value, eight hexadecimal digits.

        Raises switch.errors.KeyFileError for what is no such key.
        """
    @property
    def check_value(self) -> str:
        """Of the key as it is so far. Raises switch.errors.UsageError when nothing was entered."""

@final
class LinkKeys:
    """The sealed file of link keys, opened. A key is named; its versions follow each other in a rotation."""

    @staticmethod
    def open(file: str, keys: Keys) -> LinkKeys:
        """Raises switch.errors.KeyFileError."""
    @staticmethod
    def add(
        file: str,
        keys: Keys,
        name: str,
        usage: str,
        components: Components,
        at_s: int,
        check_value: str | None = None,
    ) -> int:
        """Enters a key for ``"mac"`` or ``"transport"``, in a new file where there is none; returns its version.

        Raises switch.errors.KeyFileError, also for another check value than the one given.
        """
    @staticmethod
    def retire(
        file: str, keys: Keys, name: str, version: int, at_s: int, *, last: bool = False
    ) -> None:
        """Takes a key out of use for good; only `last` allows that none of its name is left."""
    def rows(self) -> list[dict[str, Any]]:
        """Name, version, usage, cipher, check_value, added_s and retired_s of every key."""
    def of(self, name: str, usage: str) -> list[Key]:
        """The keys in use of a name and usage, the newest first."""
