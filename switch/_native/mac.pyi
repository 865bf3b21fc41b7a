"""Message authentication codes of links. See native/src/mac."""

from typing import final

__all__ = ["Key", "Strategy"]

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
