"""Token index (LMDB) and the vault's card numbers. See native/src/index.

A card number leaves this room sealed or masked, never in clear."""

from collections.abc import Sequence
from typing import Protocol, Self, final, type_check_only

from switch._native.journal import Keys

__all__ = ["Index", "Rebuild", "VaultKeys", "random_tokens"]

@type_check_only
class Row(Protocol):
    """A token as the vault has it. Numbers that are absent: None, or 0 or an empty text or list where that
    restricts nothing. Expiries YYMM, times Unix seconds, currencies and categories as numbers."""

    @property
    def token(self) -> str: ...
    @property
    def state(self) -> int:
        """switch.model.token.TokenState."""
    @property
    def token_sequence(self) -> int: ...
    @property
    def token_expiry(self) -> str: ...
    @property
    def pan_sealed(self) -> bytes:
        """As `VaultKeys.seal` gave it for `card_row` and `key_version`."""
    @property
    def card_row(self) -> int: ...
    @property
    def key_version(self) -> int: ...
    @property
    def card_expiry(self) -> str: ...
    @property
    def card_sequence(self) -> int | None: ...
    @property
    def requestor(self) -> str:
        """11 digits."""
    @property
    def assurance(self) -> str:
        """2 characters."""
    @property
    def mapping_version(self) -> int: ...
    @property
    def requestor_bound(self) -> bool: ...
    @property
    def channels(self) -> int:
        """Bits of switch.model.token.Channel."""
    @property
    def mccs(self) -> Sequence[int]:
        """At most 16."""
    @property
    def ceiling_minor(self) -> int | None: ...
    @property
    def ceiling_currency(self) -> int: ...
    @property
    def currencies(self) -> Sequence[int]:
        """At most 8."""
    @property
    def not_before_s(self) -> int: ...
    @property
    def not_after_s(self) -> int: ...

@final
class Index:
    """One process's view of a node's index. Errors: switch.errors.TokenIndexError, VaultError."""

    @staticmethod
    def open(directory: str, keys: Keys) -> Index:
        """Opens what is there; nothing, or nothing readable, is told by `why`. Once per process and directory."""
    @property
    def why(self) -> str:
        """Why there are no answers: missing, stale, damaged, sealed; empty when there are."""
    @property
    def stamp(self) -> tuple[int, bytes] | None:
        """Change number and id of the vault that it shows; None without answers."""
    @property
    def damaged(self) -> bool:
        """Whether any process has met damage in the generation in force; it answers where it is whole. Build
        another."""
    def __len__(self) -> int:
        """Tokens in it; 0 without answers."""
    def look(self) -> None:
        """Takes up a generation that another process put in force, and what it wrote."""
    def verify(self) -> int:
        """Opens every value and follows the chain of tokens; how many there are. A second of work for a million,
        without the interpreter's lock.

        Raises: TokenIndexError with the first damage.
        """
    def find(self, token: str) -> dict[str, object] | None:
        """What may be shown of a token's record, as it is now; the card number masked."""
    def write(self, rows: Sequence[Row], removed: Sequence[str], change: int) -> None:
        """Puts rows and takes tokens out under a change number; durable, and seen by the next tap of every
        worker, when it returns."""
    def mark_stale(self) -> None:
        """From now on every process gets no answer, until a rebuilt generation is in force."""
    def rebuild(self) -> Rebuild:
        """Begins a new generation beside the one in force."""
    def clear_stale_readers(self) -> int:
        """Frees what dead processes held; how many there were."""

@final
class Rebuild:
    """A generation under construction; given up when it is dropped before `finish`."""

    def add(self, rows: Sequence[Row], change: int) -> None:
        """Rows behind those added before: shorter tokens first, then by value."""
    def amend(self, rows: list[Row], change: int) -> None:
        """Rows that were changed meanwhile: in any order, in the place of those added."""
    def finish(self, change: int, vault: bytes) -> None:
        """Stamps it with change number and id (16 bytes) of the vault and puts it in force."""
    def cancel(self) -> None: ...

@final
class VaultKeys:
    """Seals card numbers and makes their keyed hashes, under key versions derived from the node's keys."""

    def __new__(cls, keys: Keys) -> Self: ...
    def seal(self, number: str, row: int, version: int) -> bytes:
        """AES-256-GCM-SIV over the digits, with row, column and key version bound in."""
    def reseal(
        self, sealed: bytes, row: int, version: int, new_version: int
    ) -> tuple[bytes, bytes]:
        """The same number under another key version, and its hash under that."""
    def hash(self, number: str, version: int) -> bytes:
        """HMAC-SHA-256 of the digits, 32 bytes."""
    def masked(self, sealed: bytes, row: int, version: int) -> str:
        """First six and last four digits."""

def random_tokens(prefix: str, length: int, count: int) -> list[str]:
    """Random numbers of a range, each with its Luhn digit; two may be equal."""
