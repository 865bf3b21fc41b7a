"""Terminals that sign on: the registry, and their work keys. See native/src/terminal."""

from collections.abc import Sequence
from typing import Any, final

from switch._native.journal import Keys
from switch._native.mac import Components, Key, LinkKeys

__all__ = ["Device", "Registry", "Terminals"]

@final
class Terminals:
    """Which terminals there are, and which work keys they have. Work keys are derived when they are used."""

    def __new__(cls, keys: Keys) -> Terminals: ...
    def install(self, file: str, keys: Keys) -> None:
        """Puts the registry of a file in force; terminals that are not in it, or retired, have no work keys any more.

        Raises switch.errors.KeyFileError; the registry before stays in force then.
        """
    @property
    def figures(self) -> tuple[int, int, int, int]:
        """Generation, terminals and bytes in memory of the registry; terminals that are signed on."""
    def work_key(self, acquirer: str, terminal_id: str) -> tuple[int, int]:
        """Numbers of the newer and the older work keys of a terminal, 0 for none."""

@final
class Registry:
    """The sealed file of terminals, opened."""

    @staticmethod
    def open(file: str, keys: Keys) -> Registry:
        """Raises switch.errors.KeyFileError."""
    @staticmethod
    def add(
        file: str,
        keys: Keys,
        given: tuple[str, str, str, str, str, str],
        components: Components,
        at_s: int,
        *,
        replace: bool = False,
    ) -> int:
        """Enters one terminal: acquirer, terminal_id, merchant_id, capability, zone, check value of its master key or ''.

        `replace` allows one that is there, or was retired. Raises switch.errors.KeyFileError.
        """
    @staticmethod
    def bring(
        file: str,
        keys: Keys,
        given: Sequence[tuple[tuple[str, str, str, str, str, str], str]],
        transport: LinkKeys,
        name: str,
        at_s: int,
        *,
        replace: bool = False,
    ) -> int:
        """Enters many, each with its master key under a transport key (32 hexadecimal digits): all of them, or none."""
    @staticmethod
    def generate(
        file: str, keys: Keys, given: Sequence[tuple[str, str, str, str, str, str]], at_s: int
    ) -> int:
        """Enters many with random master keys; demo keys only."""
    @staticmethod
    def retire(file: str, keys: Keys, acquirer: str, terminal_id: str, at_s: int) -> None:
        """Takes a terminal out of use for good: its master key leaves the file, its row stays."""
    @property
    def generation(self) -> int:
        """Counts the changes of the file."""
    @property
    def bytes(self) -> int:
        """In memory."""
    def __len__(self) -> int: ...
    def rows(self, start: int, most: int) -> list[dict[str, Any]]:
        """Terminals from a place on, by acquirer and terminal_id."""
    def find(self, acquirer: str, terminal_id: str) -> dict[str, Any] | None: ...
    def device(self, keys: Keys, acquirer: str, terminal_id: str) -> Device:
        """The terminal's own side, for a simulator; demo keys only."""

@final
class Device:
    """A terminal's own side: its master key, which opens what a sign-on brings. Native memory only."""

    @staticmethod
    def of(components: Components) -> Device: ...
    def download(self, field: bytes, cipher: str) -> Key:
        """The key for message codes out of field 62.

        Raises switch.errors.KeyFileError when one of the keys does not have its check value.
        """
