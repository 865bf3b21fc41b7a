"""Cryptograms of EMV cards and devices. See native/src/emv."""

from typing import Any, Final, final

from switch._native.journal import Keys

__all__ = [
    "FOUND",
    "REASONS",
    "CardMaster",
    "CardMasters",
    "Element",
    "Proof",
    "Refusal",
    "Ring",
    "Tapped",
]

FOUND: Final[tuple[str, ...]]
"""Every word that `Tapped.check` can give."""

REASONS: Final[tuple[str, ...]]
"""Every word that `Refusal.reason` can be."""

@final
class CardMaster:
    """An issuer's master key for application cryptograms; native memory only, locked, wiped on drop."""

    @staticmethod
    def read(descriptor: int, option: str, check_value: bytes) -> CardMaster:
        """Reads 16 bytes, or 32 hexadecimal digits, from a file descriptor up to its end.

        `option` is how card keys come from it, ``"A"`` or ``"B"``; `check_value` the three bytes that the key must have.
        Raises switch.errors.KeyFileError for what is no such key, switch.errors.UsageError for another option.
        """
    def card_check_value(self, number: str, sequence: int) -> str:
        """Six hexadecimal digits that tell a card's key apart, to compare with what personalisation printed.

        Raises switch.errors.UsageError for what is no card number (8 to 19 digits) and when a ring has the key.
        """
    def session_check_value(self, number: str, sequence: int, session: str, counter: int) -> str:
        """Likewise for the session key; `session` is ``"none"``, ``"pboc"`` or ``"common"``."""

@final
class Proof:
    """A cryptogram that held, with the session key for its answer (native memory, wiped on drop)."""

    @property
    def profile(self) -> str:
        """``"unionpay-01"``, ``"visa-10"`` or ``"visa-18"``."""
    @property
    def counter(self) -> int:
        """Transaction counter, tag 9F36: authenticated; whether it was seen before is decided elsewhere."""
    @property
    def index(self) -> int:
        """Derivation key index: which of the issuer's keys it was."""
    @property
    def version(self) -> int:
        """Which version of that key: during a rotation an index has two, both tried, the newer one first."""
    @property
    def results(self) -> bytes:
        """Card verification results, four bytes with their length, authenticated."""
    def answer_code(self, code: bytes) -> bytes:
        """Tag 91 by method 1: ARPC of eight bytes and the two bytes of response code as the terminal gets it.

        Raises switch.errors.UsageError when the profile answers by method 2.
        """
    def answer_status(self, status: bytes, proprietary: bytes | None = None) -> bytes:
        """Tag 91 by method 2: ARPC of four bytes, card status update of four, proprietary data of up to eight.

        Raises switch.errors.UsageError when the profile answers by method 1.
        """

@final
class Refusal:
    """Why a tap proves nothing."""

    @property
    def reason(self) -> str:
        """One of `REASONS`."""
    @property
    def about(self) -> str:
        """The tag, version, algorithm or key index that the reason is about, in hexadecimal; else empty."""

@final
class Ring:
    """All card master keys of a node, by card range, scheme and derivation key index."""

    def __new__(cls) -> Ring: ...
    def add(self, scheme_name: str, prefix: str, index: int, master: CardMaster) -> None:
        """Takes the key over. `scheme_name` is ``"unionpay"`` or ``"visa"``, `prefix` 1 to 12 digits.

        Raises switch.errors.UsageError when there is a key at that place, or the key is in a ring already.
        """
    def __len__(self) -> int: ...
    def verify(
        self, field: bytes, number: str, sequence: int, amount: int, currency: int
    ) -> Proof | Refusal:
        """Proves that the card made the cryptogram in `field` (field 55) for this amount (minor unit) and currency.

        One call: tags, scheme, profile, agreement, keys, cryptogram (compared in constant time), and the card's own
        results, which must say "first GENERATE AC, ARQC". Raises switch.errors.UsageError for what is no card number.
        """

@final
class CardMasters:
    """The sealed file of issuers' master keys, opened: native memory only, locked, left out of dumps, wiped on drop.

    `at` names a place: scheme, card range (1 to 12 digits), derivation key index, usage (``"cryptogram"``,
    ``"script-mac"`` or ``"script-secret"``). Times are Unix seconds. Raises switch.errors.KeyFileError for what the file
    or the node's keys do not allow, switch.errors.UsageError for words that are none.
    """

    @staticmethod
    def open(path: str, keys: Keys) -> CardMasters: ...
    @staticmethod
    def add(
        path: str,
        keys: Keys,
        at: tuple[str, str, int, str],
        institution: str,
        option: str,
        at_s: int,
        *,
        version: int = 0,
        descriptor: int | None = None,
        check_value: bytes | None = None,
    ) -> int:
        """Enters a key and returns its version; 0 asks for the next one. A file that is not there is made.

        The key is read from `descriptor` (16 bytes or 32 hexadecimal digits up to its end; a terminal up to the end of
        the line) and must have `check_value`; without both a random key is made.
        """
    @staticmethod
    def retire(
        path: str,
        keys: Keys,
        at: tuple[str, str, int, str],
        version: int,
        at_s: int,
        *,
        last: bool = False,
    ) -> None:
        """Takes a key out of use for good: its bytes leave the file, its row stays. Only `last` allows that no key of
        the place is left."""
    def rows(self) -> list[dict[str, Any]]:
        """Every key, retired ones included, without the key: institution, scheme, prefix, index, version, usage,
        algorithm, option, check_value, added_s, retired_s (0 while in use)."""
    def ring(self) -> Ring:
        """A ring of its own of all keys in use for cryptograms; a key of another usage is never in it."""
    def element(
        self,
        profile: str,
        index: int,
        number: str,
        sequence: int,
        expiry: str,
        *,
        requestor: str = "",
        counter: int = 0,
    ) -> Element:
        """A device for a token, as `Element`, under the newest key of its range.

        Raises switch.errors.UsageError when the node's keys are no demo keys: whoever may make devices of real keys
        can pay with anybody's.
        """

@final
class Element:
    """A secure element in software: counts, signs, proves answers. For simulators and tests."""

    def __new__(
        cls,
        master: CardMaster,
        profile: str,
        index: int,
        number: str,
        sequence: int,
        expiry: str,
        *,
        requestor: str = "",
        counter: int = 0,
    ) -> Element:
        """A device for the token `number`; `expiry` YYMM, `requestor` 11 digits, `counter` the last one used.

        Raises switch.errors.UsageError for what is no token, and when a ring has the key.
        """
    @property
    def profile(self) -> str:
        """``"unionpay-01"``, ``"visa-10"`` or ``"visa-18"``."""
    @property
    def counter(self) -> int:
        """The last transaction counter that it used."""
    def tap(
        self,
        *,
        amount: int,
        currency: int,
        country: int,
        date: int,
        unpredictable: bytes,
        kind: int = 0,
        other: int = 0,
        findings: bytes = ...,
        tell: str = "",
        spoiled: bool = False,
        counter: int | None = None,
    ) -> Tapped:
        """Signs under the next counter. `amount` and `other` in the minor unit, `currency` and `country` numeric, `date`
        YYMMDD and `kind` (tag 9C) as numbers, `findings` tag 95, `unpredictable` the four bytes of tag 9F37.

        `tell` names what is told beside: 5A, 57, 5F34, 9F19, with spaces between. Two tricks: `spoiled` gives the
        cryptogram a wrong bit; `counter` signs with that counter, as a copy of the device would. Raises
        switch.errors.UsageError when the counter is used up.
        """

@final
class Tapped:
    """One tap on its way."""

    @property
    def field(self) -> bytes:
        """The value of field 55: 9F26 9F27 9F10 9F02 9F03 9F1A 95 5F2A 9A 9C 9F37 82 9F36 84, and what was told."""
    @property
    def counter(self) -> int: ...
    def check(self, field: bytes, code: str) -> str:
        """What the device finds in the answer's field 55, of which it reads tag 91; one of `FOUND`. `code` is the
        answer's response code. Only ``"genuine"`` was made by the issuer for this tap and (method 1) this code."""
