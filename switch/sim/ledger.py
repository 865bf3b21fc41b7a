"""What a simulator saw and did, one JSON object a line, written by itself as it happens.

Two vocabularies: `Sale` lines from terminals, `Booking` lines from banks. Each line is handed to
the kernel before the call returns, so a killed simulator loses nothing. A ledger never holds a card
number: cards are masked. `switch.apps.conservation` reads the files and compares them with the
journal.
"""

from collections.abc import Iterator
from enum import StrEnum, unique
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from switch.errors import OperatorError

__all__ = ["Booking", "Did", "Effect", "Ledger", "Sale", "Saw", "read_bookings", "read_sales"]

_Line = TypeVar("_Line")


@unique
class Did(StrEnum):
    """What a terminal lived through with one sale."""

    INVOKE = "invoke"
    """The request is about to be sent."""
    UNSENT = "unsent"
    """No signed-on connection took it: the sale never began."""
    REPEAT = "repeat"
    """The request was sent again (0101, 0201, or an identical copy)."""
    OK = "ok"
    """Approved: the terminal lets the customer go."""
    FAIL = "fail"
    """Declined, with the code."""
    INFO = "info"
    """Unknown: no answer in the terminal's time, or its connection broke. It reverses."""
    AGAIN = "again"
    """A further answer to a sale already answered (a repeat's); its code must be the first one's.
    """
    LATE = "late"
    """An answer after the terminal gave up; it has no effect."""
    REVERSE = "reverse"
    """A reversal was sent: 0420, then 0421."""
    REVERSED = "reversed"
    """The reversal was acknowledged, with the code."""


class Sale(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of a terminal simulator's ledger; acquirer, terminal, STAN, time name the sale."""

    did: Did
    at_ms: int
    """Unix milliseconds."""
    acquirer: str
    """Institution code, field 32."""
    terminal: str
    stan: str
    time: str
    """Transmission date and time, field 7."""
    mti: str = ""
    rrn: str = ""
    merchant: str = ""
    amount: int = 0
    card: str = ""
    """Masked."""
    code: str = ""
    why: str = ""
    tap: str = ""
    """Of a tap: what is wrong with it (`switch.sim.magic.Trick`), ``"nothing"`` as a rule."""
    proof: str = ""
    """What the device found in the answer to its tap (`switch.crypto.profiles.FOUND`)."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Acquirer, terminal, STAN, transmission time."""
        return (self.acquirer, self.terminal, self.stan, self.time)


@unique
class Saw(StrEnum):
    """What a bank lived through."""

    REQUEST = "request"
    """A request was decided; `held` says how much money is now held for it."""
    COPY = "copy"
    """A request with a STAN and time seen before. No switch may send one."""
    ANSWER = "answer"
    """An answer was handed to a socket."""
    REVERSAL = "reversal"
    """A reversal was booked; `effect` says how."""
    ADVICE = "advice"
    """An advice was booked: `held` says how much money is held for it from now on, nothing for a
    repeat."""


@unique
class Effect(StrEnum):
    """What a reversal did at the bank."""

    RELEASED = "released"
    NOTHING = "nothing"
    """The original was declined: nothing was held."""
    AGAIN = "again"
    """The original is reversed already."""
    TOMBSTONE = "tombstone"
    """The original is not known; should it come late, it is refused."""


class Booking(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of a bank's ledger. Forwarder, STAN and time name the request, for a reversal its
    original.
    """

    saw: Saw
    at_ms: int
    stan: str
    time: str
    mti: str = ""
    rrn: str = ""
    acquirer: str = ""
    terminal: str = ""
    merchant: str = ""
    amount: int = 0
    card: str = ""
    act: str = ""
    code: str = ""
    held: int = 0
    """Money held for the request from now on, in minor units."""
    released: int = 0
    """Money that this reversal set free."""
    effect: Effect | None = None
    problem: str = ""
    """How a reversal disagreed with its original."""

    @property
    def reference(self) -> tuple[str, str]:
        """STAN and transmission time of the request towards this bank."""
        return (self.stan, self.time)


class Ledger:
    """Appends lines to a file of its own; made new, never continued."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        # Unbuffered: every line is one write, in the kernel before the simulator goes on.
        self._file = path.open("xb", buffering=0)
        self._encode = msgspec.json.Encoder().encode

    def write(self, line: Sale | Booking) -> None:
        """One line, whole. A short write would tear it, and a torn oracle is worse than none."""
        data = self._encode(line) + b"\n"
        if self._file.write(data) != len(data):
            raise OSError(f"{self.path}: short write")
        self.lines += 1

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _read(path: Path, decoder: "msgspec.json.Decoder[_Line]") -> Iterator[_Line]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                yield decoder.decode(raw)
            except msgspec.DecodeError as error:
                raise OperatorError(
                    f"not a ledger line: {error}", file=str(path), line=number, column=1
                ) from error


def read_sales(path: Path) -> Iterator[Sale]:
    """Lines of a terminals' ledger, in order. Raises OperatorError naming file and line."""
    return _read(path, msgspec.json.Decoder(Sale))


def read_bookings(path: Path) -> Iterator[Booking]:
    """Lines of a bank's ledger, in order. Raises OperatorError naming file and line."""
    return _read(path, msgspec.json.Decoder(Booking))
