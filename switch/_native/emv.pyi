"""Cryptograms of EMV cards and devices. See native/src/emv. Nothing on the walk of a request calls it yet."""

from typing import Final, final

__all__ = ["REASONS", "CardMaster", "Proof", "Refusal", "Ring"]

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
