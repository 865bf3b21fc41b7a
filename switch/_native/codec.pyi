"""Dialects, framing, messages and legs. See native/src/codec."""

from collections.abc import Mapping
from typing import Any, final

from switch._native.mac import Guard

__all__ = ["Dialect", "Framer", "KeepAlive", "Leg", "Message", "parse_toml"]

def parse_toml(text: str) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """TOML to plain values, plus 1-based (line, column) of every key by dotted path.

    Array-of-table elements are addressed by index: ``acquirers.0.id``.
    Raises: switch.errors.TomlError (with line and column).
    """

@final
class Dialect:
    """A compiled dialect file; immutable, shared by all links that speak it."""

    @staticmethod
    def compile(text: str, source: str) -> Dialect:
        """Raises switch.errors.DialectError naming file, line, key and the nearest valid key."""
    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    def leg(self, name: str) -> Leg:
        """A leg of the dialect file's ``[legs.NAME]``: request, answer, reversal, reversal_answer, network, network_answer."""
    @property
    def sealable(self) -> bool:
        """The dialect says which messages carry a message code (``[mac]``)."""
    @property
    def supplies(self) -> list[str]:
        """Fields that the switch adds to a message that lacks them (``[supply]``), from the moment it is claimed."""
    @property
    def length_bytes(self) -> int:
        """Bytes of the length in front of a frame."""
    @property
    def preface_bytes(self) -> int:
        """Bytes of TPDU and header between the length and the body; 0 where the dialect has none."""
    def decode(self, body: bytes, now_ns: int = 0) -> Message:
        """One body, without length, TPDU and header. Raises switch.errors.DecodeError."""
    def decode_frame(self, frame: bytes, now_ns: int = 0) -> Message:
        """One whole frame. Raises switch.errors.FramingError when it is not exactly one, DecodeError for the rest."""
    def encode(
        self,
        mti: str,
        values: Mapping[str, str | bytes],
        header: Mapping[str, str] | None = None,
        answers: Message | None = None,
        guard: Guard | None = None,
    ) -> bytes:
        """A whole *framed* message from canonical names; for simulators, tools and tests.

        Sub-fields are dotted (``original_data.stan``). Binary fields take bytes. Before the body stand TPDU and header
        of the dialect or, of an answer, those of `answers` with the addresses swapped; `header` gives digits by part
        (``tpdu.source``, ``header.processing_request``). With a guard there is a message code behind the last field.
        Raises switch.errors.EncodeError naming the field, UsageError for a part that the header does not have.
        """
    def advice_final(self, code: str) -> bool:
        """True for a response code by which a bank says that it has an advice (``final_advice``; those that approve)."""
    def reversal_final(self, code: str) -> bool:
        """True for a response code after which a reversal is not repeated (``final_reversal_codes``)."""
    def fields(self) -> list[dict[str, Any]]:
        """One row a field, sub-field and tag: number, name, class, title_en, title_zh and, where they apply, type,
        encoding, charset, prefix, min, max, pad (side and character)."""

@final
class Leg:
    """An allow-list of fields and sources, compiled for one dialect."""

    @property
    def names(self) -> list[str]: ...
    @property
    def sealed(self) -> bool:
        """A message code stands behind the last field, where the link has codes."""

@final
class Message:
    """One decoded message, lazy; PAN, track, PIN and keys never leave it as Python objects."""

    @property
    def mti(self) -> str: ...
    @property
    def kind(self) -> int:
        """switch.model.kind.Kind by the dialect's closed table."""
    @property
    def check(self) -> int:
        """switch.model.kind.Check: what the static rules of the dialect say of it."""
    @property
    def check_path(self) -> str:
        """Field path the check speaks of, or ''."""
    @property
    def repeat(self) -> bool: ...
    @property
    def stan(self) -> int:
        """Field 11, -1 when absent."""
    @property
    def amount_minor(self) -> int:
        """Field 4, -1 when absent."""
    @property
    def outcome(self) -> int:
        """switch.model.response.RcClass of field 39 by the dialect; NONE when absent."""
    @property
    def received_ns(self) -> int:
        """Monotonic time of the first byte of its frame."""
    @property
    def sent_ns(self) -> int:
        """Monotonic time at which the leg built from it was handed to a socket; 0 before."""
    @property
    def proved(self) -> bool:
        """A tap whose token and cryptogram were proved (`tap.Verifier.check`)."""
    @property
    def length(self) -> int: ...
    def get(self, name: str) -> str | None:
        """Normal-form text of a canonical name (binary: hex). Raises switch.errors.UsageError for C3 and SAD."""
    def has(self, name: str) -> bool: ...
    def masked_pan(self) -> str:
        """First six and last four, '' when absent."""
    def reveal(self, name: str) -> str | None:
        """Any field, PAN included. For simulators and tests only; a tidy test bans it elsewhere."""
    @property
    def header(self) -> dict[str, str]:
        """Digits of TPDU and header by part (``tpdu.source``); empty when it came without."""
    def order(self, name: str, digit: int) -> None:
        """Whatever answers this message says `digit` in that part of its header, instead of what came. For parts of
        one digit, as ``processing_request``; raises switch.errors.UsageError for others."""
    def describe(self) -> list[tuple[str, str, str, int, int]]:
        """(number path, name, masked value, offset, length) in wire order."""
    def agrees(self, request: Message, out_stan: int, out_time: str) -> bool:
        """True when this answer carries the response MTI, STAN and listed echoes of the leg built from `request`."""

@final
class KeepAlive:
    """A frame of length zero, where the dialect answers one (``keep_alive = "echo"``)."""

    @property
    def answer(self) -> bytes:
        """The frame that the peer gets back."""

@final
class Framer:
    """Cuts one connection's bytes into messages."""

    def __new__(
        cls, dialect: Dialect, frame_bytes_max: int = 4096, guard: Guard | None = None
    ) -> Framer:
        """With a guard, a message whose code does not hold gives a switch.errors.MacError *value* in its place."""
    def feed(self, data: bytes, now_ns: int) -> list[Message | Exception | KeepAlive]:
        """Whole messages in order. An undecodable body, TPDU or header gives a switch.errors.DecodeError *value* in its
        place (the stream goes on behind it); of one chunk 41 of them at most, and then nothing more. Raises
        switch.errors.FramingError when the stream itself is lost: close the link."""
    def queue(self, data: bytes, now_ns: int) -> int:
        """Keeps what has come without looking into it, in one piece; how many whole frames wait now. Raises as `feed`;
        what came before the fault still waits. A stream is either queued or fed."""
    def take(self, requests_max: int, frames_max: int) -> list[Message | Exception | KeepAlive]:
        """The frames that have waited longest, decoded as by `feed`: at most `frames_max`, and up to the one that
        would be new request number `requests_max` + 1. New requests have an MTI of class 1 or 2 and function 0."""
    def clear(self) -> None:
        """Forgets the frames that wait."""
    @property
    def waiting(self) -> int:
        """Frames that wait."""
    @property
    def waiting_bytes(self) -> int: ...
    @property
    def oldest_ns(self) -> int:
        """Since when the frame waits that has waited longest: its last byte came then; 2**64 - 1 when none waits."""
    @property
    def buffered(self) -> int: ...
    @property
    def first_byte_ns(self) -> int:
        """Monotonic time of the first byte of the unfinished frame, 0 when there is none."""
